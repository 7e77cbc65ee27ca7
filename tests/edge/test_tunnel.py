"""Upgrades: bytes both ways, half-close, idle time, and what is not a WebSocket."""

from __future__ import annotations

import asyncio

import pytest

from gapura.board import CONNS

from .backend import Request, Wire, ordinary
from .client import Client, get
from .edge import Edge, configuration

UPGRADE = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: x", "Sec-WebSocket-Version: 13")
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: y\r\n\r\n"


async def echo(request: Request, wire: Wire) -> None:
    """Switches, greets, says back what it hears, and goodbye at the end."""
    if request.get("upgrade") != "websocket":
        await ordinary(request, wire)
        return
    wire.say(SWITCH + b"welcome ")
    while data := await wire.reader.read(1 << 16):
        wire.say(data)
        await wire.writer.drain()
    if not wire.writer.is_closing():
        wire.say(b" bye")
    wire.close()


async def tunnel(edge: Edge, early: bytes = b"") -> Client:
    client = await edge.client()
    client.send(get("/ws", *UPGRADE) + early)
    answer = await client.head()
    assert (answer.status, answer.get("upgrade"), answer.get("connection")) == (101, "websocket", "Upgrade")
    assert answer.get("sec-websocket-accept") == "y"
    assert await client.reader.readexactly(8) == b"welcome "
    return client


async def test_bytes_go_both_ways_and_each_side_may_end_first(edge: Edge) -> None:
    backend = await edge.proxy(echo, log="$status $request_uri")
    client = await tunnel(edge, b"early")
    assert await client.reader.readexactly(5) == b"early"
    assert backend.requests[0].get("sec-websocket-key") == "x"
    for size in (1, 100_000):
        client.send(b"x" * size)
        assert await client.reader.readexactly(size) == b"x" * size
    assert edge.conns() == 1
    assert edge.lines() == []
    client.eof()
    assert await client.end() == b" bye"
    await edge.forgotten()
    assert edge.lines() == ["101 /ws"]


async def test_a_lot_passes_with_bounded_buffers(edge: Edge) -> None:
    await edge.proxy(echo)
    client = await tunnel(edge)
    (joined,) = edge.worker.tunnels
    most = 0
    body = b"x" * (1 << 20)
    for _ in range(16):
        client.send(body)
        most = max(most, joined.client.get_write_buffer_size(), joined.server.get_write_buffer_size())
        await asyncio.sleep(0)
    for _ in range(16):
        assert len(await client.reader.readexactly(1 << 20)) == 1 << 20
        most = max(most, joined.client.get_write_buffer_size(), joined.server.get_write_buffer_size())
    assert most < 1 << 20


@pytest.mark.parametrize("who", ["client", "server"])
async def test_who_leaves_ends_it(edge: Edge, who: str) -> None:
    backend = await edge.proxy(echo)
    client = await tunnel(edge)
    if who == "client":
        client.reset()
        await edge.until(lambda: backend.open == 0)
    else:
        backend.wires[0].reset()
        assert await client.end() == b""
    await edge.forgotten()


async def test_a_silent_tunnel_ends(edge: Edge) -> None:
    await edge.proxy(echo, timeouts={"tunnel": "100ms"})
    client = await tunnel(edge)
    for _ in range(10):
        client.send(b"x")
        assert await client.reader.readexactly(1) == b"x"
        await asyncio.sleep(0.02)
    assert await client.end() in (b"", b" bye")
    await edge.forgotten()


async def test_a_tunnel_outlives_a_reload(edge: Edge) -> None:
    await edge.proxy(echo)
    client = await tunnel(edge)
    await edge.serve(configuration('[sites."*"]\nrespond = "other"\n', {}))
    client.send(b"still here")
    assert await client.reader.readexactly(10) == b"still here"
    assert (await (await edge.client()).ask()).body == b"other"
    client.eof()
    assert await client.end() == b" bye"
    await edge.at_rest()
    assert edge.board.total(edge.board.slot(0), CONNS) == 0


@pytest.mark.parametrize(
    ("method", "lines"),
    [
        ("GET", ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AA")),
        ("GET", ("Connection: Upgrade", "Upgrade: foo")),
        ("GET", ("Connection: Upgrade", "Upgrade: websocket, h2c")),
        ("GET", ("Upgrade: websocket",)),
        ("POST", ("Connection: Upgrade", "Upgrade: websocket")),
        ("GET", ("Connection: Upgrade", "Upgrade: websocket", "Content-Length: 1")),
    ],
)
async def test_nothing_but_a_websocket_is_switched_to(edge: Edge, method: str, lines: tuple[str, ...]) -> None:
    backend = await edge.proxy()
    client = await edge.client()
    client.send(get("/", *lines, method=method) + (b"x" if "Content-Length: 1" in lines else b""))
    assert (await client.answer()).status == 200
    (request,) = backend.requests
    assert (request.get("upgrade"), request.get("connection"), request.get("http2-settings")) == (None, None, None)


async def test_a_server_may_decline(edge: Edge) -> None:
    backend = await edge.proxy()
    client = await edge.client()
    assert (await client.ask("/", *UPGRADE)).body == b"hello"
    assert backend.requests[0].get("upgrade") == "websocket"
    assert (await client.ask()).body == b"hello"
