from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gapura.edge import error_pages
from gapura.edge.intercept import PATIENCE

from .backend import Answer, Backend, Request, Wire, saying
from .client import get
from .edge import Edge, one_upstream


async def behind(edge: Edge, answer: Answer, folder: Path, keys: str = "", log: str = "") -> Backend:
    error_pages.page.cache_clear()
    (folder / "oops.html").write_text("oops $status")
    backend = await edge.backend(answer)
    keys += '\nerror_pages = { 404 = "oops.html", 5xx = "oops.html", 401 = "oops.html" }\nintercept_errors = true\n'
    await edge.start(one_upstream([backend.address], site=keys), log)
    return backend


WHOLE = b"HTTP/1.1 404 Nothing\r\nContent-Length: 6\r\nSet-Cookie: a=b\r\nServer: x\r\nETag: y\r\n\r\ntheirs"


async def test_the_page_takes_the_place_and_the_status_stays(edge: Edge, tmp_path: Path) -> None:
    await behind(edge, saying(WHOLE), tmp_path, log="$status $body_bytes_sent")
    client = await edge.client()
    for _ in range(2):  # the connections are kept
        answer = await client.ask()
        assert (answer.status, answer.body) == (404, b"oops 404")
        assert answer.get("content-type") == "text/html; charset=utf-8"
        assert {name for name, _ in answer.lines} & {"set-cookie", "etag", "server"} == set()
        assert answer.get("x-served-by")
        assert answer.get("x-request-id")
    await edge.until(lambda: edge.log.exists() and edge.log.read_text().count("\n") == 2)
    assert edge.log.read_text() == "404 8\n404 8\n"


async def test_what_clients_act_upon_is_kept(edge: Edge, tmp_path: Path) -> None:
    lines = b'WWW-Authenticate: Basic realm="x"\r\nRetry-After: 7\r\n'
    await behind(edge, saying(b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n%b\r\n" % lines), tmp_path)
    answer = await (await edge.client()).ask()
    assert (answer.status, answer.body) == (401, b"oops 401")
    assert (answer.get("www-authenticate"), answer.get("retry-after")) == ('Basic realm="x"', "7")


@pytest.mark.parametrize("status", ["200 OK", "403 No", "302 There"])
async def test_other_answers_pass(edge: Edge, tmp_path: Path, status: str) -> None:
    await behind(edge, saying(f"HTTP/1.1 {status}\r\nContent-Length: 6\r\nETag: y\r\n\r\ntheirs".encode()), tmp_path)
    answer = await (await edge.client()).ask()
    assert (answer.body, answer.get("etag")) == (b"theirs", "y")


async def test_head(edge: Edge, tmp_path: Path) -> None:
    await behind(edge, saying(b"HTTP/1.1 404 Nothing\r\nContent-Length: 6\r\n\r\n"), tmp_path)
    client = await edge.client()
    answer = await client.ask(method="HEAD")
    assert (answer.status, answer.get("content-length")) == (404, "8")
    assert (await client.ask(method="HEAD")).status == 404


@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
@pytest.mark.parametrize("size", [10, PATIENCE, 1 << 20])
async def test_answers_in_parts(edge: Edge, tmp_path: Path, framing: str, size: int) -> None:
    async def answer(request: Request, wire: Wire) -> None:
        lines = {"length": f"Content-Length: {size}", "chunked": "Transfer-Encoding: chunked", "close": "X: y"}[framing]
        wire.say(f"HTTP/1.1 500 Oh\r\n{lines}\r\n\r\n".encode())
        await asyncio.sleep(0.01)
        for start in range(0, size, 1 << 14):
            part = b"x" * min(1 << 14, size - start)
            wire.say(b"%x\r\n%b\r\n" % (len(part), part) if framing == "chunked" else part)
            await wire.writer.drain()
        if framing == "chunked":
            wire.say(b"0\r\n\r\n")
        if framing == "close":
            wire.close()

    await behind(edge, answer, tmp_path, log="$status $body_bytes_sent")
    client = await edge.client()
    for _ in range(2):
        found = await client.ask()
        assert (found.status, found.body, found.get("content-length")) == (500, b"oops 500", "8")
    await edge.until(lambda: edge.log.exists() and edge.log.read_text().count("\n") == 2)
    assert edge.log.read_text() == "500 8\n500 8\n"


async def test_an_error_without_end_is_cut_short(edge: Edge, tmp_path: Path) -> None:
    gone = asyncio.Event()

    async def answer(request: Request, wire: Wire) -> None:
        wire.say(b"HTTP/1.1 500 Oh\r\nTransfer-Encoding: chunked\r\n\r\n")
        try:
            while True:
                wire.say(b"4000\r\n" + b"x" * 0x4000 + b"\r\n")
                await wire.writer.drain()
        finally:
            gone.set()

    await behind(edge, answer, tmp_path)
    client = await edge.client()
    assert (await client.ask()).body == b"oops 500"
    await gone.wait()


async def test_an_error_that_breaks_off(edge: Edge, tmp_path: Path) -> None:
    await behind(edge, saying(b"HTTP/1.1 500 Oh\r\nContent-Length: 100\r\n\r\nsome", close=True), tmp_path)
    answer = await (await edge.client()).ask()
    assert (answer.status, answer.body, answer.whole) == (500, b"oops 500", True)


async def test_the_client_leaves_meanwhile(edge: Edge, tmp_path: Path) -> None:
    async def answer(request: Request, wire: Wire) -> None:
        wire.say(b"HTTP/1.1 500 Oh\r\nContent-Length: 100\r\n\r\nsome")
        await wire.over.wait()

    backend = await behind(edge, answer, tmp_path)
    client = await edge.client()
    client.send(get())
    await edge.until(lambda: bool(backend.requests))
    client.reset()
    await edge.until(lambda: not edge.worker.connections and not edge.worker.forwards)


async def test_errors_of_ours_keep_their_fields(edge: Edge, tmp_path: Path) -> None:
    backend = await behind(edge, saying(b"nonsense\r\n\r\n"), tmp_path)
    answer = await (await edge.client()).ask()
    assert (answer.status, answer.body) == (502, b"oops 502")
    assert backend.requests


async def test_without_the_page_the_server_is_heard(edge: Edge, tmp_path: Path) -> None:
    await behind(edge, saying(WHOLE), tmp_path)
    (tmp_path / "oops.html").unlink()
    assert (await (await edge.client()).ask()).body == b"theirs"


async def test_compressed(edge: Edge, tmp_path: Path) -> None:
    await behind(edge, saying(WHOLE), tmp_path, "compress = { minimum = 0 }")
    answer = await (await edge.client()).ask("/", "Accept-Encoding: gzip, identity;q=0")
    assert (answer.status, answer.get("content-encoding")) == (404, "gzip")
