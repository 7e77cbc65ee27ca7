"""What a `proxy` route does beyond forwarding: visitors stay with a server, requests queue when all servers are full."""

from __future__ import annotations

import asyncio

import pytest

from gapura.board import READY, STOPPED, UNHEALTHY

from .backend import Backend, Request, Wire
from .client import Client, get
from .edge import Edge, configuration, one_upstream

# -- sticky ---------------------------------------------------------------------------------------------------------------


async def three(edge: Edge, upstream: str = "", **more: object) -> list[Backend]:
    backends = [await edge.backend() for _ in range(3)]
    await edge.start(one_upstream([backend.address for backend in backends], f"health = false\n{upstream}"), **more)
    return backends


def cookie(line: str) -> str:
    """What a browser sends back."""
    return "Cookie: " + line.partition(";")[0]


async def test_a_visitor_stays(edge: Edge) -> None:
    await three(edge, "sticky = true")
    for _ in range(4):
        client = await edge.client()
        first = await client.ask()
        line = first.get("set-cookie")
        assert line is not None
        assert line.partition(";")[2] == " Path=/; HttpOnly; SameSite=Lax"
        again = [await client.ask("/", cookie(line)) for _ in range(4)]
        assert {answer.get("x-served-by") for answer in again} == {first.get("x-served-by")}
        assert [answer.get("set-cookie") for answer in again] == [None] * 4


async def test_the_cookie_tells_no_address_and_has_the_words_of_the_file(edge: Edge) -> None:
    words = '{ cookie = "seat", max_age = "1h", secure = true, same_site = "strict", secret = "0123456789abcdef" }'
    backends = await three(edge, f"sticky = {words}")
    line = (await (await edge.client()).ask()).get("set-cookie")
    assert line is not None
    assert line.startswith("seat=")
    assert line.endswith("; Path=/; Max-Age=3600; HttpOnly; SameSite=Strict; Secure")
    assert not any(str(backend.port) in line or backend.address in line for backend in backends)


async def test_secure_when_the_visitor_came_over_https(edge: Edge) -> None:
    await three(edge, "sticky = true", trusted_proxies=["127.0.0.1"])
    client = await edge.client()
    said = [(await client.ask("/", f"X-Forwarded-Proto: {scheme}")).get("set-cookie") for scheme in ("https", "http", "ftp")]
    assert ["Secure" in (line or "") for line in said] == [True, False, False]


async def test_the_word_of_a_stranger_makes_no_cookie_secure(edge: Edge) -> None:
    await three(edge, "sticky = true")
    line = (await (await edge.client()).ask("/", "X-Forwarded-Proto: https")).get("set-cookie")
    assert "Secure" not in (line or "Secure")


async def test_a_server_that_is_out_is_replaced_and_so_is_the_cookie(edge: Edge) -> None:
    await three(edge, "sticky = true")
    client = await edge.client()
    first = await client.ask()
    server, line = first.get("x-served-by"), first.get("set-cookie") or ""
    edge.health(server or "", UNHEALTHY)
    second = await client.ask("/", cookie(line))
    assert second.get("x-served-by") != server
    renewed = second.get("set-cookie") or ""
    assert renewed.partition(";")[0] != line.partition(";")[0]
    assert (await client.ask("/", cookie(renewed))).get("set-cookie") is None


@pytest.mark.parametrize("value", ["x", "127.0.0.1:1", "=" * 100, "\x80\xff", '"quoted"', "a" * 8000, ""])
async def test_made_up_cookies(edge: Edge, value: str) -> None:
    await three(edge, 'sticky = { cookie = "seat" }')
    answer = await (await edge.client()).ask("/", f"Cookie: a=b; seat={value}; c=d")
    assert answer.status == 200
    assert (answer.get("set-cookie") or "").startswith("seat=")


async def test_a_visitor_stays_over_a_reload_and_a_change_of_order(edge: Edge) -> None:
    backends = await three(edge, "sticky = true")
    client = await edge.client()
    first = await client.ask()
    line = first.get("set-cookie") or ""
    turned = [backend.address for backend in reversed(backends)]
    await edge.serve(configuration(one_upstream(turned, "health = false\nsticky = true\n"), {}))
    assert {(await client.ask("/", cookie(line))).get("x-served-by") for _ in range(4)} == {first.get("x-served-by")}


async def test_an_error_page_sets_no_cookie(edge: Edge) -> None:
    backends = await three(edge, "sticky = true\nhold = 0")
    for backend in backends:
        await backend.stop()
    answer = await (await edge.client()).ask()
    assert answer.status == 503
    assert answer.get("set-cookie") is None


# -- the queue ------------------------------------------------------------------------------------------------------------


class Counter:
    """A server that answers only when it is told to, in the order of the test's choice."""

    def __init__(self) -> None:
        self.arrived: list[str] = []
        self.open: dict[str, asyncio.Future[None]] = {}

    async def __call__(self, request: Request, wire: Wire) -> None:
        self.arrived.append(request.target)
        self.open[request.target] = asyncio.get_running_loop().create_future()
        await self.open[request.target]
        wire.reply(b"x")

    def finish(self, target: str) -> None:
        self.open[target].set_result(None)


async def waiting(edge: Edge, count: int, start: int = 0) -> list[Client]:
    """Clients that wait, one after the other."""
    clients = []
    before = edge.worker.hold.count
    for number in range(start, start + count):
        client = await edge.client()
        client.send(get(f"/{number}"))
        clients.append(client)
        await edge.until(lambda number=number: edge.worker.hold.count == before + number - start + 1)  # type: ignore[misc]
    return clients


async def full(edge: Edge, words: str) -> tuple[Counter, Client]:
    """One server for one request at a time, which it has."""
    counter = Counter()
    backend = await edge.backend(counter)
    await edge.start(one_upstream([backend.address], f"health = false\nmax_conns = 1\n{words}\n"))
    client = await edge.client()
    client.send(get("/first"))
    await edge.until(lambda: counter.arrived)
    return counter, client


async def test_first_come_first_served_as_places_become_free(edge: Edge) -> None:
    counter, first = await full(edge, "queue = 10")
    clients = await waiting(edge, 4)
    counter.finish("/first")
    await first.answer()
    for number, client in enumerate(clients):
        await edge.until(lambda number=number: f"/{number}" in counter.open)  # type: ignore[misc]
        counter.finish(f"/{number}")
        assert (await client.answer()).status == 200
    assert counter.arrived == ["/first", "/0", "/1", "/2", "/3"]


async def test_a_free_place_wakes_the_next_one_without_the_timer(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gapura.edge.hold.TICK", 3600)
    counter, first = await full(edge, "queue = 10")
    clients = await waiting(edge, 2)
    counter.finish("/first")
    await first.answer()
    for number, client in enumerate(clients):
        await edge.until(lambda number=number: f"/{number}" in counter.open)  # type: ignore[misc]
        counter.finish(f"/{number}")
        await client.answer()
    edge.worker.hold._timer.cancel()  # type: ignore[union-attr]
    edge.worker.hold._timer = None


async def test_nobody_overtakes_those_who_wait(edge: Edge) -> None:
    counter, first = await full(edge, "queue = 10")
    clients = await waiting(edge, 1)
    counter.finish("/first")
    await first.answer()
    first.send(get("/late"))  # in the same breath
    await edge.until(lambda: "/0" in counter.open)
    counter.finish("/0")
    await clients[0].answer()
    await edge.until(lambda: "/late" in counter.open)
    counter.finish("/late")
    assert (await first.answer()).status == 200


@pytest.mark.parametrize(("words", "places"), [("queue = 2", 2), ("queue = 0", 0)])
async def test_one_too_many(edge: Edge, words: str, places: int) -> None:
    counter, first = await full(edge, words)
    clients = await waiting(edge, places)
    refused = await (await edge.client()).ask()
    assert (refused.status, refused.get("retry-after")) == (503, "2")
    for client in clients:
        client.reset()
    await edge.until(lambda: edge.worker.hold.count == 0)
    counter.finish("/first")
    assert (await first.answer()).status == 200


async def test_after_queue_timeout_503(edge: Edge) -> None:
    counter, first = await full(edge, 'queue = 5\nqueue_timeout = "50ms"\nhold = "1h"')
    refused = await (await edge.client()).ask()
    assert (refused.status, refused.get("retry-after")) == (503, "2")
    assert b"All of its servers are busy." in refused.body
    counter.finish("/first")
    await first.answer()


async def test_whoever_leaves_the_queue_is_not_served(edge: Edge) -> None:
    counter, _ = await full(edge, "queue = 5")
    clients = await waiting(edge, 3)
    clients[1].reset()
    await edge.until(lambda: edge.worker.hold.count == 2)
    counter.finish("/first")
    for target, client in (("/0", clients[0]), ("/2", clients[2])):
        await edge.until(lambda target=target: target in counter.open)  # type: ignore[misc]
        counter.finish(target)
        await client.answer()
    assert "/1" not in counter.arrived


async def test_a_server_that_is_away_is_waited_for_as_ever(edge: Edge) -> None:
    """`queue` is about full servers: more than its length may be held for an instance that starts."""
    backend = await edge.backend()
    text = '[apps.u]\ncommand = "true"\nmax_conns = 50\nqueue = 1\n[sites."*"]\nproxy = "u"\n'
    await edge.start(text)
    edge.instance("u/u:0", 1)
    clients = await waiting(edge, 5)
    edge.instance("u/u:0", READY, backend.port)
    assert [(await client.answer()).status for client in clients] == [200] * 5


async def test_when_the_servers_are_stopped_the_queue_is_told(edge: Edge) -> None:
    counter = Counter()
    backend = await edge.backend(counter)
    await edge.start('[apps.u]\ncommand = "true"\nmax_conns = 1\nqueue = 5\n[sites."*"]\nproxy = "u"\n')
    edge.instance("u/u:0", READY, backend.port)
    first = await edge.client()
    first.send(get("/first"))
    await edge.until(lambda: counter.arrived)
    (client,) = await waiting(edge, 1)
    edge.instance("u/u:0", STOPPED)
    assert (await client.answer()).status == 503
    counter.finish("/first")
    await first.answer()


async def test_the_queue_goes_on_over_a_reload(edge: Edge) -> None:
    counter, first = await full(edge, "queue = 10")
    clients = await waiting(edge, 2)
    text = one_upstream([edge.backends[0].address], "health = false\nmax_conns = 2\nqueue = 10\n")
    await edge.serve(configuration(text, {}))
    counter.finish("/first")
    await first.answer()
    for number, client in enumerate(clients):
        await edge.until(lambda number=number: f"/{number}" in counter.open)  # type: ignore[misc]
        counter.finish(f"/{number}")
        assert (await client.answer()).status == 200
