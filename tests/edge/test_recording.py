"""What a request leaves behind: its record and what is counted of it."""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from gapura import metrics as m
from gapura import records as r
from gapura.board import BYTES, HEALTHY, LATENCY, SERVED, STARTING, UNHEALTHY, id_hash
from gapura.edge import recording
from gapura.records import FAILED, RECENT, Record

from .backend import Request, Wire, ordinary, saying, silent
from .client import get
from .edge import PATIENCE, Edge, configuration, one_upstream

BROKEN = 'respond = { status = 500, body = "" }\n'
NO_HOLD = 'hold = 0\nfail_timeout = "10s"'


async def records(edge: Edge, count: int = 1, rings: tuple[int, ...] = (RECENT, FAILED)) -> list[Record]:
    """The newest first, once there are so many."""
    await edge.until(lambda: len(edge.records.newest(rings)) >= count)
    found = edge.records.newest(rings)
    assert len(found) == count
    return found


async def counted(edge: Edge, requests: int, seconds: float = PATIENCE) -> None:
    """Everything has been written down."""
    await edge.until(lambda: edge.metrics.workers().requests == requests, seconds)


def statuses(edge: Edge, row: int) -> dict[int, int]:
    return {status: count for status, count in zip(m.COUNTED, edge.metrics.row(row).statuses, strict=True) if count}


def server_of(edge: Edge, record: Record | r.Trial) -> str:
    """The address of a record's server."""
    return next(
        (name.partition("/")[2] for name in edge.slots if id_hash(*name.split("/")) & 0xFFFFFFFF == record.server), "nobody"
    )


async def hangs_up(request: Request, wire: Wire) -> None:
    await request.read_body()
    wire.close()


def stands_still(record: Record) -> None:
    """Times follow each other."""
    times = (record.accepted, record.tls, 0, record.routed, record.first_claimed, record.claimed, record.connected, record.answered)
    known = [moment for moment in (*times, record.ended) if moment is not None]
    assert known == sorted(known), record


# -- records ----------------------------------------------------------------------------------------------------------------


async def test_a_proxied_request(edge: Edge) -> None:
    backend = await edge.proxy()
    client = await edge.client()
    answer = await client.ask("/a?x=1&token=abc", method="POST", body=b"1234")
    (record,) = await records(edge)
    assert record.id == answer.get("x-request-id")
    assert (record.ring, record.status, record.cause, record.tries, record.trials) == (RECENT, 200, r.NO_CAUSE, 1, ())
    assert (record.method, record.path, record.host, record.client) == ("POST", "/a?x=1&token=***", "a.example", "127.0.0.1")
    assert (record.received, record.sent, record.row) == (4, 5, 2)
    assert server_of(edge, record) == backend.address
    assert record.slot == edge.slots[f"u/{backend.address}"]
    assert record.accepted is not None
    assert record.connected is not None
    assert record.tls is None
    assert not record.failed
    stands_still(record)


async def test_the_second_request_of_a_connection_on_a_kept_one(edge: Edge) -> None:
    await edge.proxy()
    client = await edge.client()
    await client.ask("/1")
    await client.ask("/2")
    second, first = await records(edge, 2)
    assert (first.path, second.path) == ("/1", "/2")
    assert first.flags == 0
    assert second.flags == r.KEPT | r.REUSED
    assert second.accepted is second.connected is None
    stands_still(second)


async def test_a_request_begins_with_its_first_byte_not_with_the_connection(edge: Edge) -> None:
    await edge.start('[sites."*"]\nrespond = "x"\n')
    client = await edge.client()
    await edge.until(lambda: edge.worker.connections)
    await asyncio.sleep(0.02)
    await client.ask()
    (record,) = await records(edge)
    assert record.accepted is not None
    assert record.accepted < -20_000_000 / 2 < 0 <= record.ended < -record.accepted


@pytest.mark.parametrize(
    ("answer", "upstream", "cause", "note"),
    [
        (hangs_up, "", r.CLOSED, "closed"),
        (saying(b"nonsense\r\n\r\n"), "", r.INVALID, ""),
        (silent, '\nread_timeout = "100ms"', r.TIMEOUT, "read timeout"),
    ],
)
async def test_another_server_answers(
    edge: Edge, answer: Callable[[Request, Wire], object], upstream: str, cause: int, note: str
) -> None:
    bad = await edge.backend(answer)  # type: ignore[arg-type]
    good = await edge.backend()
    await edge.start(one_upstream([bad.address, good.address], NO_HOLD + upstream))
    client = await edge.client()
    assert (await client.ask()).status == 200
    (record,) = await records(edge, rings=(FAILED,))
    assert (record.status, record.cause, record.tries) == (200, r.NO_CAUSE, 2)
    (trial,) = record.trials
    assert (server_of(edge, trial), trial.cause) == (bad.address, cause)
    assert note in record.note
    assert server_of(edge, record) == good.address
    assert record.first_claimed is not None
    assert record.claimed is not None
    assert record.first_claimed <= trial.at // 1000 * 1000 <= record.claimed
    assert record.failed
    stands_still(record)


async def test_refused_by_all(edge: Edge) -> None:
    gone = await edge.backend()
    await edge.start(one_upstream([gone.address], NO_HOLD))
    await gone.stop()
    client = await edge.client()
    assert (await client.ask()).status == 503
    (record,) = await records(edge, rings=(FAILED,))
    assert (record.status, record.cause) == (503, r.NO_SERVER)
    assert [(server_of(edge, trial), trial.cause) for trial in record.trials] == [(gone.address, r.REFUSED)]


async def test_nobody_came_in_time(edge: Edge) -> None:
    await edge.start('[apps.u]\ncommand = "true"\nhold = "100ms"\n[sites."*"]\nproxy = "u"\n')
    edge.instance("u/u:0", STARTING)
    client = await edge.client()
    assert (await client.ask()).status == 503
    (record,) = await records(edge, rings=(FAILED,))
    assert (record.cause, record.note, record.flags & r.HELD, record.slot) == (r.NO_SERVER, "starting", r.HELD, r.NO_SLOT)
    assert record.claimed is record.first_claimed is None


async def test_a_hung_server_is_left(edge: Edge) -> None:
    bad, good = await edge.backend(silent), await edge.backend()
    await edge.start(one_upstream([bad.address, good.address], NO_HOLD))
    client = await edge.client()
    client.send(get())
    await edge.until(lambda: bad.requests)
    edge.health(bad.address, UNHEALTHY)
    assert (await client.answer()).status == 200
    edge.health(bad.address, HEALTHY)
    (record,) = await records(edge, rings=(FAILED,))
    assert [(server_of(edge, trial), trial.cause) for trial in record.trials] == [(bad.address, r.UNHEALTHY)]
    assert server_of(edge, record) == good.address


async def test_an_answer_that_breaks_off(edge: Edge) -> None:
    await edge.proxy(saying(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", close=True))
    client = await edge.client()
    assert not (await client.ask()).whole
    (record,) = await records(edge, rings=(FAILED,))
    assert (record.status, record.flags & r.BROKEN_OFF, record.sent) == (200, r.BROKEN_OFF, 3)
    assert record.failed
    await edge.until(lambda: edge.metrics.row(2).broken == 1)
    assert edge.metrics.row(2).errors == 1


async def test_a_client_that_leaves(edge: Edge) -> None:
    backend = await edge.proxy(silent)
    client = await edge.client()
    client.send(get())
    await edge.until(lambda: backend.requests)
    client.reset()
    (record,) = await records(edge, rings=(FAILED,))
    assert (record.status, record.cause) == (499, r.CLIENT_GONE)
    assert server_of(edge, record) == backend.address
    await counted(edge, 1)
    assert statuses(edge, 2) == {499: 1}


async def test_a_server_that_says_500(edge: Edge) -> None:
    await edge.proxy(saying(b"HTTP/1.1 500 Oh\r\nContent-Length: 2\r\n\r\nno"))
    client = await edge.client()
    assert (await client.ask()).status == 500
    (record,) = await records(edge, rings=(FAILED,))
    assert (record.cause, record.trials, record.tries) == (r.SERVER, (), 1)


@pytest.mark.parametrize(
    ("site", "request_", "status", "cause", "row"),
    [
        ('[sites."b.example"]\nrespond = "x"', get(), 421, r.NO_SITE, 0),
        ('[[sites."*".routes]]\npath = "/x"\nrespond = "x"', get(), 404, r.NO_ROUTE, 1),
        ('[sites."*"]\nrespond = "x"\n[edge.limits]\nbody = 3', get(method="POST", body=b"12345"), 413, r.TOO_LARGE, 2),
        ('[sites."*"]\nrespond = "x"\ndeny = ["0.0.0.0/0"]', get(), 403, r.DENIED, 2),
        ('[sites."*"]\nfiles = "."', get("/none"), 404, r.OWN, 2),
        ('[sites."*"]\nrespond = { status = 503, body = "x" }', get(), 503, r.OWN, 2),
        ('[sites."*"]\nrespond = "x"', b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400, r.BAD_REQUEST, 0),
    ],
)
async def test_what_gapura_says_by_itself(edge: Edge, site: str, request_: bytes, status: int, cause: int, row: int) -> None:
    await edge.start(site)
    client = await edge.client()
    client.send(request_)
    assert (await client.answer()).status == status
    (record,) = await records(edge)
    assert (record.status, record.cause, record.row, record.slot, record.tries) == (status, cause, row, r.NO_SLOT, 0)
    await counted(edge, 1)
    assert statuses(edge, row) == {status: 1}


async def test_too_often(edge: Edge) -> None:
    await edge.start('[sites."*"]\nrespond = "x"\nlimit = "1r/m"\n')
    client = await edge.client()
    assert [(await client.ask()).status for _ in range(2)] == [200, 429]
    second, first = await records(edge, 2)
    assert (first.cause, second.cause) == (r.NO_CAUSE, r.RATE_LIMIT)


async def test_maintenance(edge: Edge) -> None:
    await edge.start('[sites."*"]\nrespond = "x"\n')
    plan = edge.plan(configuration('[sites."*"]\nrespond = "x"\n', {}))
    plan["sites"][0]["closed"] = {"until": 0, "message": "", "since": 0}  # type: ignore[typeddict-unknown-key]
    edge.say({"type": "prepare", "generation": 2, "plan": plan})
    await edge.reply("prepared")
    edge.say({"type": "commit", "generation": 2})
    await edge.reply("committed")
    client = await edge.client()
    assert (await client.ask()).status == 503
    (record,) = await records(edge)
    assert (record.cause, record.row) == (r.MAINTENANCE, 1)


async def test_a_tunnel_is_recorded_at_its_end(edge: Edge) -> None:
    async def switches(request: Request, wire: Wire) -> None:
        wire.say(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        await wire.reader.read()
        wire.close()

    await edge.proxy(switches)
    client = await edge.client()
    client.send(get("/ws", "Connection: Upgrade", "Upgrade: websocket"))
    assert (await client.head()).status == 101
    assert edge.records.newest() == []
    client.eof()
    await client.end()
    (record,) = await records(edge)
    assert (record.status, record.flags & r.TUNNEL, record.failed) == (101, r.TUNNEL, False)
    await counted(edge, 1)
    assert statuses(edge, 2) == {101: 1}


async def test_what_the_log_hides_is_hidden(edge: Edge) -> None:
    log = {"access_log": {"path": "access.log", "mask": ["film"], "anonymize": True}}
    await edge.start('[sites."*"]\nrespond = "x"\n', **log)
    client = await edge.client()
    await client.ask("/?film=1&token=2")
    (record,) = await records(edge)
    assert (record.path, record.client) == ("/?film=***&token=2", "127.0.0.0")


async def test_also_without_a_log_secrets_are_hidden(edge: Edge) -> None:
    await edge.start('[sites."*"]\nrespond = "x"\naccess_log = false\n')
    client = await edge.client()
    await client.ask("/?password=1")
    assert (await records(edge))[0].path == "/?password=***"


async def test_of_many_requests_some_become_records_and_all_are_counted(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "ROOM", 3)
    monkeypatch.setattr(recording, "FAILURES", 2)
    await edge.start('[[sites."*".routes]]\npath = "/"\nrespond = "x"\n[[sites."*".routes]]\npath = "/no"\n' + BROKEN)
    client = await edge.client()
    edge.worker.recorder.beat()
    for number in range(10):
        edge.worker.recorder.room = max(0, 3 - number)
        edge.worker.recorder._failures = max(0, 2 - number)
        await client.ask("/")
        await client.ask("/no")
    assert len(edge.records.newest([RECENT])) == 3
    assert len(edge.records.newest([FAILED])) == 2
    await counted(edge, 20)
    assert (statuses(edge, 2), statuses(edge, 3)) == ({200: 10}, {500: 10})


# -- metrics ------------------------------------------------------------------------------------------------------------------


async def test_routes_sites_and_servers_are_counted(edge: Edge) -> None:
    backend = await edge.backend()
    text = f'[upstreams.u]\nservers = ["{backend.address}"]\n[[sites."*".routes]]\npath = "/a"\nproxy = "u"\n'
    text += '[[sites."*".routes]]\npath = "/b"\nrespond = { status = 404, body = "" }\n'
    await edge.start(text)
    client = await edge.client()
    for target in ("/a", "/a", "/b", "/none"):
        await client.ask(target, method="POST" if target == "/a" else "GET", body=b"123" if target == "/a" else b"")
    await counted(edge, 4)
    assert [statuses(edge, row) for row in range(4)] == [{}, {404: 1}, {200: 2}, {404: 1}]
    row = edge.metrics.row(2)
    assert (row.requests, row.sent, row.received, row.errors) == (2, 10, 6, 0)
    assert 0 < row.duration_sum < PATIENCE * 1e9
    (slot,) = edge.slots.values()
    server = edge.metrics.server(slot)
    assert (server.requests, server.classes, server.sent) == (2, [0, 2, 0, 0, 0], 10)
    assert 0 < server.answer_sum <= row.duration_sum
    board, at = edge.board, edge.board.slot(slot)
    assert (board.total(at, SERVED), board.total(at, BYTES)) == (2, 10)
    assert 0 < board.total(at, LATENCY) <= row.duration_sum


async def test_latency_is_the_first_mean_then_a_moving_average(edge: Edge) -> None:
    backend = await edge.proxy()
    at = edge.board.slot(edge.slots[f"u/{backend.address}"])
    answers = edge.worker.recorder.answers
    answers[at] += [(200, 1_000_000), (200, 3_000_000)]
    edge.worker.recorder.beat()
    assert edge.board.total(at, LATENCY) == 2_000_000
    assert not answers[at]
    answers[at] += [(200, 4_000_000)] * 2
    edge.worker.recorder.beat()
    assert edge.board.total(at, LATENCY) == pytest.approx(4_000_000 - 0.95**2 * 2_000_000, abs=1)


async def test_recalled_answers_count_and_have_records(edge: Edge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "www").mkdir()
    (tmp_path / "www" / "a.css").write_bytes(b"x" * 100)
    os.utime(tmp_path / "www" / "a.css", (1e9, 1e9))
    monkeypatch.setattr("gapura.edge.recall.FRESH", 10**12)
    await edge.start('[sites."*"]\nfiles = "www"\n')
    client = await edge.client()

    async def again() -> bool:
        await client.ask("/a.css?token=1")
        return any(record.flags & r.RECALLED for record in edge.records.newest(most=1))

    requests = 1
    while not await again():  # it is recalled within the same second only
        requests += 1
    record = edge.records.newest(most=1)[0]
    assert (record.status, record.sent, record.row, record.path, record.method) == (200, 100, 2, "/a.css?token=***", "GET")
    assert (record.host, record.client, record.flags) == ("a.example", "127.0.0.1", r.KEPT | r.RECALLED)
    await counted(edge, requests)
    assert statuses(edge, 2) == {200: requests}
    assert edge.metrics.row(2).sent == 100 * requests


async def test_connections_are_counted(edge: Edge) -> None:
    backend = await edge.proxy(silent, limits={"connections": 3})
    idle, busy, half, refused = [await edge.client() for _ in range(4)]
    await edge.until(lambda: edge.metrics.workers().accepted == 4)
    assert (await refused.answer()).status == 503
    await edge.until(lambda: edge.metrics.workers().handled == 3)
    busy.send(get())
    half.send(b"GET / HT")
    await edge.until(lambda: backend.requests)

    def now() -> tuple[int, int, int]:
        found = edge.metrics.workers()
        return found.reading, found.writing, found.waiting

    await edge.until(lambda: now() == (1, 1, 1))
    for client in (idle, busy, half):
        client.reset()
    await edge.until(lambda: now() == (0, 0, 0))


async def test_the_oldest_generation_in_use_is_told(edge: Edge) -> None:
    go_on = asyncio.Event()

    async def answer(request: Request, wire: Wire) -> None:
        await go_on.wait()
        wire.reply(b"old")

    backend = await edge.proxy(answer)
    at = edge.metrics.worker_at(0) + m.OLDEST
    client = await edge.client()
    client.send(get())
    await edge.until(lambda: backend.requests)
    await edge.serve(configuration('[sites."*"]\nrespond = "new"\n', {}))
    await edge.until(lambda: edge.metrics.cells[at] == 1)
    go_on.set()
    await client.answer()
    edge.worker.pool.close()  # a kept connection remembers who used it last
    gc.collect()
    await edge.until(lambda: edge.metrics.cells[at] == 2)


async def test_an_exchange_of_an_old_generation_is_counted_in_its_row(edge: Edge) -> None:
    go_on = asyncio.Event()

    async def answer(request: Request, wire: Wire) -> None:
        await go_on.wait()
        await ordinary(request, wire)

    backend = await edge.proxy(answer)
    client = await edge.client()
    client.send(get())
    await edge.until(lambda: backend.requests)
    await edge.serve(configuration('[[sites."*".routes]]\npath = "/x"\nrespond = "new"\n', {}))
    go_on.set()
    await client.answer()
    await counted(edge, 1)
    assert statuses(edge, 2) == {200: 1}
