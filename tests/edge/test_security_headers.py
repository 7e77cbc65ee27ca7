"""Headers that make browsers careful; what the application says itself stays."""

from __future__ import annotations

from pathlib import Path

import pytest

from .backend import Request, Wire
from .client import Answer
from .edge import Edge

PRESET = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "SAMEORIGIN",
    "referrer-policy": "strict-origin-when-cross-origin",
    "content-security-policy": "frame-ancestors 'self'",
}
NAMES = {*PRESET, "permissions-policy", "cross-origin-opener-policy", "cross-origin-resource-policy", "x-powered-by"}


def careful(answer: Answer) -> dict[str, str]:
    found = [(name, value) for name, value in answer.lines if name in NAMES]
    assert len(dict(found)) == len(found), found
    return dict(found)


@pytest.mark.parametrize("action", ['respond = "x"', 'redirect = "/y"', 'files = "."'])
async def test_every_answer_has_them(edge: Edge, tmp_path: Path, action: str) -> None:
    (tmp_path / "a.txt").write_text("x")
    await edge.start(f'[sites."*"]\n{action}\nsecurity_headers = true\n')
    client = await edge.client()
    for target, method in (("/a.txt", "GET"), ("/a.txt", "HEAD"), ("/none", "GET")):
        assert careful(await client.ask(target, method=method)) == PRESET


async def test_a_table_says_more(edge: Edge) -> None:
    await edge.start(
        """
        [sites."*"]
        respond = "x"
        [sites."*".security_headers]
        frame = "none"
        referrer = "no-referrer"
        csp = "default-src 'self';"
        permissions = "camera=()"
        opener = "same-origin"
        resource = "same-site"
        """
    )
    client = await edge.client()
    assert careful(await client.ask()) == {
        "x-content-type-options": "nosniff",
        "x-frame-options": "DENY",
        "referrer-policy": "no-referrer",
        "content-security-policy": "default-src 'self'; frame-ancestors 'none'",
        "permissions-policy": "camera=()",
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-site",
    }


async def test_frames_for_everybody(edge: Edge) -> None:
    await edge.start('[sites."*"]\nrespond = "x"\nsecurity_headers = { frame = "any" }\n')
    client = await edge.client()
    found = careful(await client.ask())
    assert not found.keys() & {"x-frame-options", "content-security-policy"}


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        (["X-Frame-Options: DENY"], {"x-frame-options": "DENY", "content-security-policy": None}),
        (["content-security-policy: frame-ancestors x"], {"x-frame-options": None, "content-security-policy": "frame-ancestors x"}),
        (["Content-Security-Policy: img-src *"], {"content-security-policy": "img-src *"}),
        (["Referrer-Policy: unsafe-url", "X-Content-Type-Options: nosniff"], {"referrer-policy": "unsafe-url"}),
        (["X-Powered-By: PHP/5.2", "X-AspNet-Version: 4"], {"x-powered-by": None}),
    ],
)  # fmt: skip
async def test_the_applications_own_words_win(edge: Edge, own: list[str], expected: dict[str, str | None]) -> None:
    async def app(request: Request, wire: Wire) -> None:
        wire.reply(b"x", "200 OK", *own)

    await edge.proxy(app)
    await edge.serve(edge.folder.joinpath("gapura.toml").read_text() + "security_headers = true\n")
    client = await edge.client()
    found = careful(await client.ask())
    wanted = {**PRESET, **expected}
    assert found == {name: value for name, value in wanted.items() if value is not None}


async def test_a_route_without_them(edge: Edge) -> None:
    route = '[[sites."*".routes]]\npath = "/plain"\nrespond = "x"\nsecurity_headers = false\n'
    await edge.start(f'[sites."*"]\nrespond = "x"\nsecurity_headers = true\n{route}')
    client = await edge.client()
    assert careful(await client.ask("/plain")) == {}
