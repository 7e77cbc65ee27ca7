"""What a certificate authority finds over HTTP: challenges before everything else, and nothing but challenges."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from .edge import Edge

TOKEN = "abcdefghijklmnop_-0123456789ABCDEFGH"
SITE = """
[sites."a.example"]
tls = "auto"
respond = "the site"
allow = ["10.9.9.9"]
"""


def challenges(edge: Edge) -> Path:
    """The folder where the master puts them."""
    folder = edge.folder / ".gapura" / "challenges"
    folder.mkdir(parents=True)
    return folder


async def ask(edge: Edge, path: str, method: str = "GET") -> tuple[int, bytes]:
    client = await edge.client()
    answer = await client.ask(path, method=method)
    return answer.status, answer.body


async def test_a_challenge_comes_before_access_rules_and_redirects(edge: Edge) -> None:
    await edge.start(SITE)
    proof = challenges(edge) / TOKEN
    proof.write_text(f"{TOKEN}.thumbprint")
    assert await ask(edge, f"/.well-known/acme-challenge/{TOKEN}") == (200, f"{TOKEN}.thumbprint".encode())
    assert (await ask(edge, "/"))[0] == 403
    proof.unlink()
    assert (await ask(edge, f"/.well-known/acme-challenge/{TOKEN}"))[0] == 403


async def test_what_is_no_challenge_of_ours_goes_on_to_the_routes(edge: Edge) -> None:
    await edge.start('[sites."a.example"]\ntls = "auto"\nrespond = "the site"\n')
    challenges(edge)
    assert await ask(edge, f"/.well-known/acme-challenge/{TOKEN}") == (200, b"the site")


async def test_sites_without_certificates_of_ours_have_no_challenges(edge: Edge) -> None:
    await edge.start('[sites."*"]\nrespond = "the site"\n')
    (challenges(edge) / TOKEN).write_text("secret")
    assert await ask(edge, f"/.well-known/acme-challenge/{TOKEN}") == (200, b"the site")


@pytest.mark.parametrize(
    "token",
    [
        "", ".", "..", "short", "../gapura.toml", "..%2fgapura.toml", "%2e%2e/%2e%2e/gapura.toml",
        "../../gapura.toml%00" + "x" * 20, "x" * 300, TOKEN + "/", TOKEN + "%00", TOKEN + "%0a", "/" + TOKEN, TOKEN + "?",
        "folder-folder-folder", "pipe-pipe-pipe-pipe", "link-link-link-link",
    ],
)  # fmt: skip
async def test_nothing_but_a_token_becomes_a_file_name(edge: Edge, token: str) -> None:
    await edge.start('[sites."a.example"]\ntls = "auto"\nrespond = "the site"\n')
    folder = challenges(edge)
    (folder / "folder-folder-folder").mkdir()
    os.mkfifo(folder / "pipe-pipe-pipe-pipe")
    (folder / "link-link-link-link").symlink_to(edge.folder / "gapura.toml")
    status, body = await ask(edge, f"/.well-known/acme-challenge/{token}")
    assert (status, body) == (200, b"the site") or status >= 400
    assert b"respond" not in body


async def test_head_and_a_long_file(edge: Edge) -> None:
    await edge.start(SITE)
    (challenges(edge) / TOKEN).write_text("x" * 5000)
    assert await ask(edge, f"/.well-known/acme-challenge/{TOKEN}", method="HEAD") == (200, b"")
    assert await ask(edge, f"/.well-known/acme-challenge/{TOKEN}") == (200, b"x" * 512)
