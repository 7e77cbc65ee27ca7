"""The dashboard's files as they are sent, and what stands in for them."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest

from gapura.control.api import page

from .world import World

PAGE = "<!doctype html><title>Gapura</title>" + "x" * 2000


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small build, in place of the one of this checkout."""
    found = tmp_path / "dashboard"
    (found / "assets").mkdir(parents=True)
    (found / page.INDEX).write_text(PAGE)
    (found / "assets" / "index-1a2b.js").write_text("let a;" * 500)
    (found / "gate.svg").write_text("<svg/>")
    (found / "notes.txt").write_text("none of the dashboard's")
    monkeypatch.setattr(page, "build", page.Build(found))
    return found


def test_the_page_and_its_files(world: World, folder: Path) -> None:
    index = world.ask("GET", "/")
    assert index.status == 200
    assert index.body.decode() == PAGE
    assert index.headers["content-type"].startswith("text/html")
    assert index.headers["cache-control"] == "no-cache"
    script = world.ask("GET", "/assets/index-1a2b.js")
    assert script.headers["content-type"].startswith("text/javascript")
    assert "immutable" in script.headers["cache-control"]
    assert world.ask("HEAD", "/gate.svg").status == 200


def test_nothing_may_run_that_stands_in_the_page(world: World, folder: Path) -> None:
    policy = world.ask("GET", "/").headers["content-security-policy"]
    assert "script-src 'self';" in policy
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


@pytest.mark.parametrize(
    ("accepted", "packed"), [("gzip", True), ("br, gzip;q=0.5", True), ("", False), ("br", False), ("gzip;q=0", False)]
)
def test_it_is_packed_for_who_takes_that(world: World, folder: Path, accepted: str, packed: bool) -> None:
    answer = world.ask("GET", "/", accept_encoding=accepted)
    assert (answer.headers.get("content-encoding") == "gzip") == packed
    assert (gzip.decompress(answer.body) if packed else answer.body).decode() == PAGE
    assert answer.headers["vary"] == "Accept-Encoding"


def test_what_is_known_is_not_sent_again(world: World, folder: Path) -> None:
    tag = world.ask("GET", "/").headers["etag"]
    again = world.ask("GET", "/", if_none_match=tag)
    assert (again.status, again.body) == (304, b"")


def test_another_build_is_seen(world: World, folder: Path) -> None:
    assert world.ask("GET", "/").body.decode() == PAGE
    (folder / "other").write_text("another build")
    os.replace(folder / "other", folder / page.INDEX)
    assert world.ask("GET", "/").body == b"another build"


@pytest.mark.parametrize(
    "path",
    [
        "/notes.txt",
        "/assets",
        "/assets/",
        "/assets/none.js",
        "/assets/..%2Findex.html",
        "/..%2F..%2Fgapura.toml",
        "/v1",
        "/favicon.ico",
        "/%00",
        "/index.html/",
    ],
)
def test_nothing_else_is_there(world: World, folder: Path, path: str) -> None:
    assert world.ask("GET", path).status in (404, 307)


def test_a_link_in_the_build_leads_nowhere(world: World, folder: Path) -> None:
    (folder / "secret.svg").symlink_to("/etc/hostname")
    assert world.ask("GET", "/secret.svg").status == 404


def test_other_answers_are_not_taken_over(world: World, folder: Path) -> None:
    assert world.ask("GET", "/openapi.json").json["openapi"]
    assert world.ask("GET", "/v1/picture").json["sites"]
    assert world.ask("POST", "/").status == 405


def test_without_a_build(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "build", page.Build(tmp_path / "none"))
    answer = world.ask("GET", "/")
    assert answer.status == 200
    assert b"make dashboard" in answer.body
    assert b"shop.test" in answer.body
    assert b"10.0.0.2:3000" in answer.body
    assert "script" not in answer.body.decode()
