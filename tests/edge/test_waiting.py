"""Steps that wait: what comes of the body meanwhile, answers, and clients that leave."""

from __future__ import annotations

import pytest

from gapura.edge.downstream import Downstream
from gapura.edge.exchange import Exchange
from gapura.edge.router import NEXT, PAUSED
from gapura.edge.waiting import Waiting

from .client import get
from .edge import Edge


def install(edge: Edge, gone: list[str] | None = None) -> list[Waiting]:
    """Put a step that waits before the action; those that wait."""
    waiting: list[Waiting] = []

    def step(exchange: Exchange) -> int:
        waiting.append(Waiting(exchange, lambda: gone.append("gone") if gone is not None else None))
        return PAUSED

    site = edge.worker.snapshot.router.site(b"a.example")[1]
    assert site is not None
    assert site.only is not None
    site.only.steps = (step, *site.only.steps)
    return waiting


async def test_the_body_that_came_meanwhile_is_forwarded(edge: Edge) -> None:
    backend = await edge.proxy()
    waiting = install(edge)
    client = await edge.client()
    body = b"x" * 300_000
    client.send(get("/", method="POST", body=body))
    await edge.until(lambda: bool(waiting))
    assert backend.requests == []
    waiting[0].go_on(NEXT)
    waiting[0].go_on(NEXT)
    assert (await client.answer("POST")).status == 200
    assert [request.body for request in backend.requests] == [body]


async def test_a_refusal_keeps_the_connection(edge: Edge) -> None:
    backend = await edge.proxy()
    waiting = install(edge)
    client = await edge.client()
    client.send(get("/", method="POST", body=b"small"))
    await edge.until(lambda: bool(waiting))
    waiting[0].refuse(403, "No.", [b"X-Why: no"])
    waiting[0].refuse(500, "Twice.")
    answer = await client.answer("POST")
    assert (answer.status, answer.get("x-why")) == (403, "no")
    client.send(get("/again"))
    await edge.until(lambda: len(waiting) == 2)
    waiting[1].go_on(NEXT)
    assert (await client.answer()).status == 200
    assert len(backend.requests) == 1


async def test_a_client_that_leaves_is_noticed(edge: Edge) -> None:
    gone: list[str] = []
    backend = await edge.proxy()
    waiting = install(edge, gone)
    client = await edge.client()
    client.send(get("/"))
    await edge.until(lambda: bool(waiting))
    client.reset()
    await edge.until(lambda: gone == ["gone"])
    waiting[0].go_on(NEXT)
    assert backend.requests == []


async def test_100_continue_is_not_said_while_it_waits(edge: Edge) -> None:
    await edge.proxy()
    waiting = install(edge)
    client = await edge.client()
    client.send(get("/", "Content-Length: 2", "Expect: 100-continue", method="POST"))
    await edge.until(lambda: bool(waiting))
    waiting[0].go_on(NEXT)
    assert (await client.head()).status == 100
    client.send(b"ok")
    assert (await client.answer("POST")).status == 200


async def test_a_step_that_fails_after_a_wait_is_told(edge: Edge, caplog: pytest.LogCaptureFixture) -> None:
    await edge.proxy()
    waiting = install(edge)
    client = await edge.client()
    client.send(get("/"))
    await edge.until(lambda: bool(waiting))

    def fail(exchange: Exchange) -> int:
        raise ValueError("a mistake of ours")

    route = waiting[0].exchange.route
    assert route is not None
    route.steps = (route.steps[0], fail)
    waiting[0].go_on(NEXT)
    assert (await client.answer()).status == 500
    assert "a mistake of ours" in caplog.text


async def test_an_answer_after_a_wait_leaves_the_next_request_alone(edge: Edge) -> None:
    """The connection is at the next request by then, and that may want no more of its body."""
    await edge.proxy()
    waiting = install(edge)
    client = await edge.client()
    client.send(get("/") + get("/next", "Content-Length: 200000", method="POST") + b"x" * 1000)
    await edge.until(lambda: bool(waiting))
    first = waiting[0]
    route = first.exchange.route
    assert route is not None
    route.steps = (route.steps[0], lambda exchange: exchange.reply(200, [], b""))
    connection = first.exchange.sink
    first.go_on(NEXT)
    await edge.until(lambda: len(waiting) == 2)
    assert isinstance(connection, Downstream)
    assert connection.body_paused
    waiting[1].refuse(403, "No.")
    client.reset()
    await edge.until(lambda: connection.lost)
