"""Whatever bytes a client or a server sends: nothing is raised into the loop, no claim stays, nothing is left behind.

The fixtures look after the loop and after what is left; the tests only have to send.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from itertools import pairwise

from .backend import Request, Wire
from .client import get
from .edge import Edge

REQUESTS = (
    get("/a?b=c", "Accept: */*", "Cookie: a=b"),
    get("/", "Connection: keep-alive, x", "X: y", version="1.0"),
    get("/p", method="POST", body=b"hello"),
    get("/c", "Transfer-Encoding: chunked", method="POST") + b"5\r\nhello\r\n0\r\nT: v\r\n\r\n",
    get("/", "Connection: Upgrade", "Upgrade: websocket") + b"\x81\x05hello",
    get("/", method="HEAD") + get("/2") + get("/3"),
)
ANSWERS = (
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nServer: x\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nT: v\r\n\r\n",
    b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.0 200 OK\r\n\r\nhello",
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n\x81\x05hello",
)
PIECES = (
    b"\r\n",
    b"\n",
    b"\0",
    b" ",
    b":",
    b"\xff",
    b"0",
    b"-1",
    b"chunked",
    b"HTTP/1.1",
    b"\r\n\r\n",
    b"\r\nContent-Length: 3",
    b"close",
)


def bent(seeds: tuple[bytes, ...], chance: random.Random) -> bytes:
    """One of the seeds with some of its bytes replaced, removed, doubled or added."""
    data = chance.choice(seeds)
    for _ in range(chance.randrange(4)):
        at = chance.randrange(len(data) + 1)
        to = at + chance.choice((1, 3, 20))
        data = chance.choice(
            (
                data[:at] + data[to:],
                data[:to] + data[at:],
                data[:at] + chance.choice(PIECES) + data[at:],
                data[:at] + bytes([chance.randrange(256)]) + data[at + 1 :],
            )
        )
    return data


def cuts(data: bytes, chance: random.Random) -> Iterator[bytes]:
    """The data in one to four pieces."""
    marks = sorted({0, len(data), *(chance.randrange(len(data) + 1) for _ in range(chance.randrange(4)))})
    return (data[start:end] for start, end in pairwise(marks))


async def visit(edge: Edge, chance: random.Random, seeds: tuple[bytes, ...]) -> None:
    """A client that sends bent bytes, and leaves in one of the ways there are."""
    client = await edge.client()
    for piece in cuts(bent(seeds, chance), chance):
        client.send(piece)
        await asyncio.sleep(0)
    way = chance.randrange(4)
    if way == 0:
        client.reset()
        return
    if way == 1 and not client.writer.is_closing():
        client.eof()
    try:
        await asyncio.wait_for(client.end(), 0.02)
    except TimeoutError:
        pass
    client.reset()


async def storm(edge: Edge, seed: int, seeds: tuple[bytes, ...], visits: int) -> None:
    chance = random.Random(seed)
    for _ in range(visits // 10):
        await asyncio.gather(*(visit(edge, chance, seeds) for _ in range(10)))
    await edge.forgotten()


async def test_whatever_clients_send(edge: Edge) -> None:
    backend = await edge.proxy(log="$status", timeouts={"tunnel": "100ms"})
    await storm(edge, 1, REQUESTS, 600)
    assert backend.broken == []  # whatever reached it was strictly valid
    assert len(backend.requests) > 100
    assert {line[0] for line in edge.lines()} == {"2", "4", "5"}
    assert (await (await edge.client()).ask()).status == 200


async def test_whatever_servers_send(edge: Edge) -> None:
    chance = random.Random(2)

    async def answer(request: Request, wire: Wire) -> None:
        await request.read_body()
        for piece in cuts(bent(ANSWERS, chance), chance):
            if wire.writer.is_closing():
                return
            wire.say(piece)
            await asyncio.sleep(0)
        match chance.randrange(3):
            case 0:
                wire.close()
            case 1:
                wire.reset()

    await edge.proxy(answer, 'hold = "20ms"\nmax_fails = 0\nread_timeout = "50ms"', log="$status", timeouts={"tunnel": "50ms"})
    await storm(edge, 3, REQUESTS[:3] + REQUESTS[4:], 400)
    statuses = [line[:3] for line in edge.lines()]
    assert {"200", "502"} <= set(statuses)
    edge.backends[0].broken.clear()  # its own writes to connections that were taken away
