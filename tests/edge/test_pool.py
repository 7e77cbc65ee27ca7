"""What one connection, of a client or to a server, may do before the others have their turn."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from gapura.edge import downstream
from gapura.wire.body import MOST_CHUNKS

from .backend import Request, Wire
from .client import get
from .edge import Edge

RESPOND = '[sites."*"]\nrespond = "hi"\n'


async def test_pipelined_requests_to_a_slow_server_wait_outside(edge: Edge) -> None:
    async def answer(request: Request, wire: Wire) -> None:
        await asyncio.sleep(0.002)
        wire.reply(b"x")

    await edge.proxy(answer)
    client = await edge.client()
    for _ in range(40):
        client.send(get("/", "A: " + "a" * 400) * 1000)
    most = 0
    for _ in range(60):
        assert (await client.answer()).body == b"x"
        most = max(most, *(len(connection.reader.buffer) for connection in edge.worker.connections))
    assert 0 < most < 1 << 20


async def test_who_sends_much_at_once_does_not_keep_others_waiting(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    await edge.start(RESPOND)
    turns = 0
    others_turn = edge.worker.busy

    def busy(go_on: Callable[[], None]) -> None:
        nonlocal turns
        turns += 1
        others_turn(go_on)

    monkeypatch.setattr(edge.worker, "busy", busy)
    client = await edge.client()
    client.send(get("/") * (10 * downstream.AT_ONCE))
    for _ in range(10 * downstream.AT_ONCE):
        assert (await client.answer()).body == b"hi"
    assert turns > 5


async def test_bodies_in_chunks_of_one_byte_arrive_whole_but_not_in_one_go(edge: Edge) -> None:
    size = 5 * MOST_CHUNKS
    tiny = b"1\r\nz\r\n" * size + b"0\r\n\r\n"

    async def answer(request: Request, wire: Wire) -> None:
        await request.read_body()
        wire.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + tiny)

    backend = await edge.proxy(answer, limits={"body": 0})
    client = await edge.client()
    for _ in range(3):
        client.send(get("/", "Transfer-Encoding: chunked", method="POST") + tiny)
        assert (await client.answer()).body == b"z" * size
        assert (await client.ask()).body == b"z" * size
    assert [len(request.body) for request in backend.requests] == [size, 0] * 3
