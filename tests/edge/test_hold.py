"""Requests that wait: for whom, in which order, how long, and what they are told in the end."""

from __future__ import annotations

import asyncio
import time

import pytest

from gapura.board import BACKOFF, CRASHED, READY, STARTING, STOPPED
from gapura.edge import hold

from .backend import Backend, Request, Wire
from .client import get
from .edge import Edge, configuration


async def an_app(edge: Edge, hold: str = "3s", instances: int = 1, log: str = "") -> Backend:
    """An app whose instances are starting; the backend is ready to be one of them."""
    backend = await edge.backend()
    await edge.start(f'[apps.u]\ncommand = "true"\ninstances = {instances}\nhold = "{hold}"\n[sites."*"]\nproxy = "u"\n', log)
    for index in range(instances):
        edge.instance(f"u/u:{index}", STARTING)
    return backend


async def test_requests_wait_until_an_instance_is_ready(edge: Edge) -> None:
    backend = await an_app(edge, log="$status $server $upstream_addr")
    clients = [await edge.client() for _ in range(5)]
    for number, client in enumerate(clients):
        client.send(get(f"/{number}"))
        await edge.until(lambda number=number: edge.worker.hold.count == number + 1)  # type: ignore[misc]
    edge.instance("u/u:0", READY, backend.port)
    assert [(await client.answer()).status for client in clients] == [200] * 5
    assert edge.lines() == [f"200 u:0 {backend.address}"] * 5


async def test_first_in_first_out(edge: Edge) -> None:
    backend = await an_app(edge)
    clients = [await edge.client() for _ in range(8)]
    for number, client in enumerate(clients):
        client.send(get(f"/{number}"))
        await edge.until(lambda number=number: edge.worker.hold.count == number + 1)  # type: ignore[misc]
    arrived: list[str] = []

    async def one_by_one(request: Request, wire: Wire) -> None:
        arrived.append(request.target)
        wire.reply(b"x")

    backend.answer = one_by_one
    edge.instance("u/u:0", READY, backend.port)
    for client in clients:
        await client.answer()
    assert arrived[0] == "/0"
    assert sorted(arrived[1:3]) == ["/1", "/2"]
    assert sorted(arrived[3:7]) == ["/3", "/4", "/5", "/6"]


async def test_a_post_waits_with_its_body(edge: Edge) -> None:
    backend = await an_app(edge)
    client = await edge.client()
    client.send(get(method="POST", body=b"x" * 200_000))
    await edge.until(lambda: edge.worker.hold.count)
    edge.instance("u/u:0", READY, backend.port)
    assert (await client.answer()).status == 200
    assert len(backend.requests[0].body) == 200_000


@pytest.mark.parametrize(
    ("accept", "kind", "words"),
    [
        ("Accept: text/html", "text/html; charset=utf-8", "The application is starting."),
        ("Accept: text/html\r\nAccept-Language: id, en;q=0.5", "text/html; charset=utf-8", "Aplikasi sedang dinyalakan."),
        ("Accept: */*", "text/plain; charset=utf-8", "The application is starting."),
        ("Accept-Language: id", "text/plain; charset=utf-8", "Aplikasi sedang dinyalakan."),
    ],
)
async def test_who_waited_in_vain_gets_a_page(edge: Edge, accept: str, kind: str, words: str) -> None:
    await an_app(edge, hold="100ms")
    client = await edge.client()
    began = time.monotonic()
    answer = await client.ask("/", accept)
    assert 0.09 < time.monotonic() - began < 2
    assert (answer.status, answer.get("content-type"), answer.get("retry-after")) == (503, kind, "2")
    assert words in answer.body.decode()
    assert (answer.get("x-request-id") or "?") in answer.body.decode()
    assert answer.get("cache-control") == "no-store"


@pytest.mark.parametrize(
    ("state", "returns_in", "waits"),
    [(STOPPED, 0, False), (CRASHED, 0, False), (BACKOFF, 60, False), (BACKOFF, 0.5, True), (STARTING, 0, True)],
)
async def test_only_what_may_return_is_waited_for(edge: Edge, state: int, returns_in: float, waits: bool) -> None:
    backend = await an_app(edge)
    edge.instance("u/u:0", state, returns_at=time.monotonic_ns() + int(returns_in * 1e9))
    client = await edge.client()
    client.send(get())
    if waits:
        await edge.until(lambda: edge.worker.hold.count)
        edge.instance("u/u:0", READY, backend.port)
        assert (await client.answer()).status == 200
    else:
        assert (await client.answer()).status == 503


async def test_hold_0_does_not_wait(edge: Edge) -> None:
    await an_app(edge, hold="0s")
    assert (await (await edge.client()).ask()).status == 503


async def test_a_server_that_refuses_is_asked_again(edge: Edge) -> None:
    """One server, not an app: it is restarted by somebody else."""
    backend = await edge.backend()
    await edge.start(f'[sites."*"]\nproxy = "{backend.address}"\n')
    await backend.stop()
    client = await edge.client()
    client.send(get())
    await edge.until(lambda: edge.worker.hold.count)
    await backend.start(backend.port)
    assert (await client.answer()).status == 200


async def test_the_queue_is_bounded(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hold, "LIMIT", 3)
    backend = await an_app(edge)
    clients = [await edge.client() for _ in range(3)]
    for client in clients:
        client.send(get())
    await edge.until(lambda: edge.worker.hold.count == 3)
    answer = await (await edge.client()).ask()
    assert answer.status == 503
    assert b"Too many visitors are waiting already." in answer.body
    edge.instance("u/u:0", READY, backend.port)
    assert [(await client.answer()).status for client in clients] == [200] * 3


async def test_one_timer_runs_however_requests_follow_each_other(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipelined request begins to wait while the one before it is let go."""
    ticks = 0
    tick = hold.Hold._tick

    def counted(self: hold.Hold) -> None:
        nonlocal ticks
        ticks += 1
        tick(self)

    monkeypatch.setattr(hold.Hold, "_tick", counted)
    await an_app(edge, hold="100ms")
    client = await edge.client()
    client.send(get() * 4)
    began = time.monotonic()
    assert [(await client.answer()).status for _ in range(4)] == [503] * 4
    assert ticks <= (time.monotonic() - began) / hold.TICK + 2


async def test_a_reload_does_not_lose_who_waits(edge: Edge) -> None:
    backend = await an_app(edge)
    client = await edge.client()
    client.send(get())
    await edge.until(lambda: edge.worker.hold.count)
    await edge.serve(configuration('[apps.u]\ncommand = "true"\n[sites."*"]\nproxy = "u"\n', {}))
    edge.instance("u/u:0", READY, backend.port)
    assert (await client.answer()).status == 200
    await asyncio.sleep(0)
