"""Large files on their way: by the kernel over plain connections, in pieces through layers."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.conftest import descriptors

from gapura.edge import sending
from gapura.edge.downstream import SENDING, Downstream
from gapura.edge.exchange import Exchange
from gapura.edge.filter import Filter

from .client import Client, get
from .edge import Edge

SITE = '[sites."*"]\nfiles = "www"\n'
SIZE = 8_000_000


@pytest.fixture
def data(tmp_path: Path) -> bytes:
    """The content of /big."""
    (tmp_path / "www").mkdir()
    content = os.urandom(1 << 16) * (SIZE >> 16)
    (tmp_path / "www" / "big").write_bytes(content)
    (tmp_path / "www" / "small").write_bytes(b"small")
    return content


def layered(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a filter before every answer, so that bytes cannot go past it."""
    begin = Exchange.begin

    def filtered(exchange: Exchange) -> None:
        Filter(exchange)
        begin(exchange)

    monkeypatch.setattr(Exchange, "begin", filtered)


@pytest.mark.parametrize("how", ["kernel", "pieces", "no descriptor left"])
async def test_it_arrives_whole_and_the_connection_goes_on(
    edge: Edge, data: bytes, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    if how == "pieces":
        layered(edge, monkeypatch)
    elif how == "no descriptor left":
        monkeypatch.setattr(sending, "_own_socket", lambda connection: None)
    await edge.start(SITE, log="$status $body_bytes_sent")
    client = await edge.client()
    for _ in range(2):
        assert (await client.ask("/big")).body == data
        assert (await client.ask("/big", "Range: bytes=1000-5000000")).body == data[1000:5000001]
        assert (await client.ask("/small")).body == b"small"
    multi = await client.ask("/big", "Range: bytes=0-999999,2000000-2999999")
    boundary = (multi.get("content-type") or "").partition("boundary=")[2].encode()
    parts = multi.body.split(b"\r\n--" + boundary)
    assert [part.partition(b"\r\n\r\n")[2] for part in parts[1:-1]] == [data[:1_000_000], data[2_000_000:3_000_000]]
    assert edge.lines()[:3] == [f"200 {len(data)}", "206 4999001", "200 5"]
    assert edge.lines()[-1] == f"206 {len(multi.body)}"


async def test_pipelined_answers_keep_their_order(edge: Edge, data: bytes) -> None:
    await edge.start(SITE)
    client = await edge.client()
    targets = ["/small", "/big", "/small", "/big", "/missing", "/small"]
    client.send(b"".join(get(target) for target in targets))
    answers = [await client.answer() for _ in targets]
    assert [answer.status for answer in answers] == [200, 200, 200, 200, 404, 200]
    assert [len(answer.body) for answer in answers[:4]] == [5, len(data), 5, len(data)]
    assert answers[1].body == answers[3].body == data


async def test_behind_a_lot_that_still_waits(edge: Edge, data: bytes, tmp_path: Path) -> None:
    """What was answered before is in the transport's buffer: the kernel's way waits for it."""
    (tmp_path / "www" / "middle").write_bytes(b"m" * 100_000)
    await edge.start(SITE)
    client = await edge.client(limit=1 << 12)
    client.send(get("/middle") * 3 + get("/big") + get("/middle"))
    for length in (100_000, 100_000, 100_000, len(data), 100_000):
        assert (await client.head()).get("content-length") == str(length)
        body = await client.reader.readexactly(length)
        assert body == (data if length == len(data) else b"m" * length)


async def test_the_last_answer_closes(edge: Edge, data: bytes) -> None:
    await edge.start(SITE)
    client = await edge.client()
    answer = await client.ask("/big", "Connection: close")
    assert answer.body == data
    assert answer.get("connection") == "close"
    assert await client.end() == b""
    old = await edge.client()
    assert (await old.ask("/big", version="1.0")).body == data
    half = await edge.client()
    half.send(get("/big"))
    half.eof()
    assert (await half.answer()).body == data


async def stuck(edge: Edge, client: Client) -> None:
    client.send(get("/big"))
    await client.head()
    (connection,) = edge.worker.connections
    assert isinstance(connection, Downstream)
    await edge.until(lambda: connection.phase == SENDING)


async def test_a_client_that_takes_nothing_is_given_up(edge: Edge, data: bytes, tmp_path: Path) -> None:
    (tmp_path / "www" / "big").write_bytes(data * 4)
    await edge.start(SITE, timeouts={"send": 0.05})
    client = await edge.client(limit=1 << 12)
    await stuck(edge, client)
    await edge.forgotten()


async def test_a_client_that_takes_a_little_is_not(edge: Edge, data: bytes, tmp_path: Path) -> None:
    (tmp_path / "www" / "big").write_bytes(data * 4)
    await edge.start(SITE, timeouts={"send": 0.3})
    client = await edge.client(limit=1 << 12)
    await stuck(edge, client)
    found = 0
    while found < len(data) * 4:
        found += len(await client.reader.readexactly(min(400_000, len(data) * 4 - found)))
        await edge.until(lambda: True)
    assert (await client.ask("/small")).body == b"small"


@pytest.mark.parametrize("how", ["kernel", "pieces"])
async def test_nothing_is_left_of_those_who_leave(edge: Edge, data: bytes, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    if how == "pieces":
        layered(edge, monkeypatch)
    await edge.start(SITE)
    before = descriptors()
    for _ in range(5):
        client = await edge.client(limit=1 << 12)
        client.send(get("/big"))
        await client.head()
        client.reset()
        await edge.forgotten()
    await edge.until(lambda: descriptors() <= before)  # (threads of others may have one open for a moment)


async def test_head_sends_nothing_and_leaves_nothing_open(edge: Edge, data: bytes) -> None:
    await edge.start(SITE)
    client = await edge.client()
    before = descriptors()
    for _ in range(5):
        answer = await client.ask("/big", method="HEAD")
        assert answer.get("content-length") == str(len(data))
    assert (await client.ask("/big", "If-None-Match: *")).status == 304
    assert (await client.ask("/big", "Range: bytes=99999999-")).status == 416
    assert descriptors() <= before
