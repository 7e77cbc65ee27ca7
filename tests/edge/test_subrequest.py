"""Requests of our own: asked beside a client's, collected, bounded, and never left behind."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace
from typing import Any

import pytest

from gapura.edge.exchange import Exchange
from gapura.edge.subrequest import Collected, Subrequest, ask, options
from gapura.wire.request import CHUNKED, RequestHead

from .backend import Request, Wire
from .edge import Edge, one_upstream


def clients(edge: Edge) -> Exchange:
    """An exchange of a client, as a step sees it."""
    head = RequestHead(b"POST", b"/form?x=1", 1)
    head.host = b"a.example"
    head.lines = [b"Cookie: a=1", b"Content-Type: text/plain", b"If-Match: x"]
    head.length, head.length_seen = 5, True
    sink: Any = SimpleNamespace(
        client=b"10.0.0.9", peer="10.0.0.9", scheme=b"https", now=0,
        forwarded=b"X-Forwarded-For: 10.0.0.9\r\nX-Forwarded-Proto: https",
    )  # fmt: skip
    return Exchange(edge.worker, sink, edge.worker.snapshot, head, time.monotonic_ns())


def begin(edge: Edge, head: RequestHead | None = None, timeout: float = 5, limit: int = 100) -> tuple[Subrequest, list[Collected]]:
    exchange = clients(edge)
    found: list[Collected] = []
    made = head or ask(exchange, b"GET", b"/verify", (b"content-type", b"if-match"))
    sub = Subrequest(exchange, made, found.append, timeout, limit)
    upstream = edge.worker.snapshot.upstreams["u"]
    sub.begin(upstream, options(upstream, timeout))
    return sub, found


async def test_an_answer_is_collected(edge: Edge) -> None:
    async def answer(request: Request, wire: Wire) -> None:
        wire.say(
            b"HTTP/1.1 401 Who\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n"
        )

    backend = await edge.proxy(answer)
    _, found = begin(edge)
    await edge.until(lambda: found)
    assert (found[0].answered, found[0].status, found[0].status_line) == (True, 401, b"HTTP/1.1 401 Who")
    assert (found[0].lines, found[0].body) == ([b"Set-Cookie: a=1", b"Set-Cookie: b=2"], b"no")
    [request] = backend.requests
    assert (request.method, request.target, request.body) == ("GET", "/verify", b"")
    assert [name for name, _ in request.lines][:2] == ["host", "cookie"]
    told = dict(request.lines)
    assert (told["host"], told["x-forwarded-for"], told["x-forwarded-proto"]) == ("a.example", "10.0.0.9", "https")
    assert "content-type" not in told
    assert "content-length" not in told


async def test_a_whole_answer_at_once(edge: Edge) -> None:
    async def answer(request: Request, wire: Wire) -> None:
        wire.say(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    await edge.proxy(answer)
    for _ in range(3):  # on a kept connection too
        _, found = begin(edge)
        await edge.until(lambda found=found: found)
        assert (found[0].answered, found[0].status, found[0].body) == (True, 200, b"ok")


@pytest.mark.parametrize("head", [b"Content-Length: 101", b"Transfer-Encoding: chunked"])
async def test_a_long_answer_is_none(edge: Edge, head: bytes) -> None:
    async def answer(request: Request, wire: Wire) -> None:
        body = b"x" * 101
        chunked = b"65\r\n" + body + b"\r\n0\r\n\r\n" if b"chunked" in head else body
        wire.say(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\n" + chunked)

    await edge.proxy(answer)
    _, found = begin(edge)
    await edge.until(lambda: found)
    assert (found[0].answered, found[0].status) == (False, 502)
    await edge.at_rest()
    _, found = begin(edge, limit=-1)
    await edge.until(lambda: found)
    assert (found[0].answered, found[0].status, found[0].body) == (True, 200, b"")


@pytest.mark.parametrize(
    ("answer", "status"), [(b"nonsense\r\n\r\n", 502), (b"", 502), (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n1", 502)]
)
async def test_a_server_that_fails(edge: Edge, answer: bytes, status: int) -> None:
    async def fail(request: Request, wire: Wire) -> None:
        wire.say(answer)
        wire.writer.close()

    await edge.proxy(fail, "hold = 0")
    _, found = begin(edge)
    await edge.until(lambda: found)
    assert (found[0].answered, found[0].status, found[0].body) == (False, status, b"")


async def test_no_server(edge: Edge) -> None:
    backend = await edge.backend()
    await edge.start(one_upstream([backend.address], "hold = 0"))
    await backend.stop()
    _, found = begin(edge)
    await edge.until(lambda: found)
    assert (found[0].answered, found[0].status) == (False, 503)


async def test_a_silent_server_costs_no_more_than_the_timeout(edge: Edge) -> None:
    async def silent(request: Request, wire: Wire) -> None:
        await wire.over.wait()

    await edge.proxy(silent)
    _, found = begin(edge, timeout=0.05)
    await edge.until(lambda: found)
    assert (found[0].answered, found[0].status) == (False, 504)
    await edge.at_rest()


async def test_cancelled(edge: Edge) -> None:
    async def silent(request: Request, wire: Wire) -> None:
        await wire.over.wait()

    backend = await edge.proxy(silent)
    sub, found = begin(edge)
    await edge.until(lambda: backend.requests)
    sub.cancel()
    await edge.at_rest()
    assert found == []


async def test_a_body_can_be_sent_along(edge: Edge) -> None:
    backend = await edge.proxy()
    head = ask(clients(edge), b"POST", b"/copy")
    head.length, head.length_seen = CHUNKED, True
    sub, found = begin(edge, head)
    sub.body(b"one")
    await asyncio.sleep(0)
    sub.body(b"two")
    sub.body_end()
    await edge.until(lambda: found)
    assert found[0].answered
    assert [request.body for request in backend.requests] == [b"onetwo"]
    sub.body(b"late")
    sub.body_end()
