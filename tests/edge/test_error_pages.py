from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from gapura.edge import error_pages
from gapura.edge.error_pages import LARGEST, Page

from .backend import saying
from .client import get
from .edge import Edge, one_upstream

PAGE = "<h1>$status $reason</h1><p>$request_id $other $status_ ${status}</p>"


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(error_pages, "FRESH", 0)
    error_pages.page.cache_clear()


def site(keys: str, routes: str = "") -> str:
    return f'[sites."*"]\n{keys}\n{routes}'


async def test_errors_of_ours(edge: Edge, tmp_path: Path) -> None:
    (tmp_path / "404.html").write_text(PAGE)
    (tmp_path / "public").mkdir()
    await edge.start(site('files = "public"\nerror_pages = { 404 = "404.html" }'))
    client = await edge.client()
    answer = await client.ask("/none", "X-Request-Id: abc-1")
    assert (answer.status, answer.get("content-type")) == (404, "text/html; charset=utf-8")
    assert answer.body == b"<h1>404 Not Found</h1><p>abc-1 $other $status_ ${status}</p>"
    assert answer.get("cache-control") == "no-store"
    head = await client.ask("/none", "X-Request-Id: abc-1", method="HEAD")
    assert (head.status, head.get("content-length")) == (404, str(len(answer.body)))
    other = await client.ask("/none", method="POST")
    assert (other.status, other.get("allow")) == (405, "GET, HEAD")
    assert b"<h1>" not in other.body


async def test_kinds_and_levels(edge: Edge, tmp_path: Path) -> None:
    for name in ("edge4", "edge5", "site4", "route404"):
        (tmp_path / name).write_text(name)
    backend = await edge.backend()
    text = f"""
[sites."a.example"]
error_pages = {{ 4xx = "site4" }}
routes = [
  {{ path = "/files/", files = ".", error_pages = {{ 404 = "route404" }} }},
  {{ path = "/limited/", proxy = "{backend.address}", body_limit = 3 }},
]
"""
    await edge.start(text, error_pages={"404": "edge4", "421": "edge4", "5xx": "edge5"})
    client = await edge.client()

    async def said(target: str, **request: object) -> tuple[int, bytes]:
        answer = await client.ask(target, **request)  # type: ignore[arg-type]
        return answer.status, answer.body

    assert await said("/") == (404, b"site4")  # no route: the site's
    assert await said("/files/none") == (404, b"route404")
    assert await said("/files/none", method="DELETE") == (405, b"site4")
    assert await said("/limited/", method="POST", body=b"12345") == (413, b"site4")
    client = await edge.client()
    client.send(get(host="other.example"))
    unknown = await client.answer()
    assert (unknown.status, unknown.body) == (421, b"edge4")


async def test_a_page_is_read_again_when_it_has_changed(edge: Edge, tmp_path: Path) -> None:
    page = tmp_path / "page.json"
    await edge.start(site('files = "."\nerror_pages = { 4xx = "page.json" }'))
    client = await edge.client()
    assert b"There is no page" in (await client.ask("/none")).body
    for text in (b'{"error":$status}', b'{"other":$status}'):
        page.write_bytes(text)
        answer = await client.ask("/none")
        assert (answer.get("content-type") or "").startswith("application/json")
        assert answer.body == text.replace(b"$status", b"404")
    page.unlink()
    assert b"There is no page" in (await client.ask("/none")).body


@pytest.mark.parametrize("kind", ["missing", "folder", "fifo", "large", "unreadable"])
def test_what_cannot_be_used(tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "page.html"
    if kind == "folder":
        file.mkdir()
    elif kind == "fifo":
        os.mkfifo(file)
    elif kind == "large":
        file.write_bytes(b"x" * (LARGEST + 1))
    elif kind == "unreadable":
        file.symlink_to(file)
    page = Page(str(file))
    assert page.body(404, b"a") is None
    assert page.body(404, b"a") is None
    assert len(caplog.records) == 1  # told once


def test_pictures_are_not_searched_for_variables(tmp_path: Path) -> None:
    file = tmp_path / "page.png"
    file.write_bytes(b"\x89$status")
    assert Page(str(file)).body(404, b"a") == b"\x89$status"


async def test_a_page_that_is_looked_for_in_the_files_first(edge: Edge, tmp_path: Path) -> None:
    (tmp_path / "public").mkdir()
    (tmp_path / "public" / "404.html").write_text("inside")
    (tmp_path / "absolute.html").write_text("absolute")
    keys = f'files = "public"\nerror_pages = {{ 404 = "/404.html", 405 = {json.dumps(str(tmp_path / "absolute.html"))} }}'
    await edge.start(site(keys))
    client = await edge.client()
    assert (await client.ask("/none")).body == b"inside"
    assert (await client.ask("/none", method="PUT")).body == b"absolute"


async def test_errors_about_servers_tell_when_to_try_again(edge: Edge, tmp_path: Path) -> None:
    (tmp_path / "oops.html").write_text("oops")
    backend = await edge.backend()
    await backend.stop()
    await edge.start(one_upstream([backend.address], "hold = 0", 'error_pages = { "5xx" = "oops.html" }'))
    answer = await (await edge.client()).ask()
    assert (answer.status, answer.body, answer.get("retry-after")) == (503, b"oops", "2")


async def test_it_is_compressed_like_any_answer(edge: Edge, tmp_path: Path) -> None:
    (tmp_path / "404.html").write_text("word " * 500)
    await edge.start(site('files = "."\nerror_pages = { 404 = "404.html" }\ncompress = true'))
    answer = await (await edge.client()).ask("/none", "Accept-Encoding: gzip")
    assert (answer.status, answer.get("content-encoding")) == (404, "gzip")


async def test_a_broken_request_gets_the_page_of_the_edge(edge: Edge, tmp_path: Path) -> None:
    (tmp_path / "400.txt").write_text("what? $reason")
    await edge.start(site('respond = "x"'), error_pages={"4xx": "400.txt"})
    client = await edge.client()
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
    answer = await client.answer()
    assert (answer.status, answer.body) == (400, b"what? Bad Request")


async def test_answers_of_servers_pass_unless_they_are_intercepted(edge: Edge, tmp_path: Path) -> None:
    (tmp_path / "500.html").write_text("ours")
    backend = await edge.backend(saying(b"HTTP/1.1 500 Oh\r\nContent-Length: 6\r\n\r\ntheirs"))
    await edge.start(one_upstream([backend.address], site='error_pages = { 500 = "500.html" }'))
    assert (await (await edge.client()).ask()).body == b"theirs"
