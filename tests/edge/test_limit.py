"""How often and how many at a time somebody may ask: what is counted, what is refused, what is given back."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from gapura.board import H_USED
from gapura.edge.limit import client_key
from gapura.tally import BUSY_COLUMN, BUSY_START, Tally

from .backend import Request, Wire
from .client import get
from .edge import Edge, configuration, one_upstream

SITE = '[sites."*"]\nrespond = "hi"\n'


def busy(edge: Edge) -> bool:
    """Whether the tally knows of any request under way."""
    return any(edge.tally.cells[BUSY_START : BUSY_START + BUSY_COLUMN])


async def statuses(edge: Edge, count: int, *lines: str) -> list[int]:
    client = await edge.client()
    return [(await client.ask("/", *lines)).status for _ in range(count)]


async def test_too_often_gets_429_and_is_told_when_to_come_again(edge: Edge) -> None:
    await edge.start(SITE + 'limit = { rate = "6/m", burst = 2 }\n')
    client = await edge.client()
    assert [(await client.ask()).status for _ in range(3)] == [200] * 3
    refused = await client.ask()
    assert refused.status == 429
    assert 1 <= int(refused.get("retry-after")) <= 10
    assert refused.get("ratelimit") == f'"limit";r=0;t={refused.get("retry-after")}'
    assert b"More requests came than are allowed here." in refused.body


@pytest.mark.parametrize(("limit", "passed"), [('"4/h"', 4), ('{ rate = "1/h", burst = 0 }', 1), ('["4/h", "2/h"]', 2), ("[]", 6)])
async def test_how_many_pass(edge: Edge, limit: str, passed: int) -> None:
    await edge.start(SITE + f"limit = {limit}\n")
    assert await statuses(edge, 6) == [200] * passed + [429] * (6 - passed)


async def test_a_request_that_one_limit_refuses_is_not_counted_by_another(edge: Edge) -> None:
    site = 'limit = [{ rate = "3/h", key = "$http_a" }, { rate = "1/h", key = "$http_b" }]\n'
    await edge.start(SITE + site)
    assert await statuses(edge, 5, "A: x", "B: y") == [200] + [429] * 4
    assert await statuses(edge, 3, "A: x") == [200, 200, 429]


async def test_requests_without_the_key_are_not_counted(edge: Edge) -> None:
    await edge.start(SITE + 'limit = { rate = "1/h", key = "$cookie_who" }\n')
    assert await statuses(edge, 3) == [200] * 3
    assert await statuses(edge, 2, "Cookie: who=me") == [200, 429]
    assert await statuses(edge, 1, "Cookie: who=you") == [200]
    assert await statuses(edge, 2, "Cookie: who=" + "x" * 8000) == [200, 429]


async def test_other_workers_count_too(edge: Edge) -> None:
    await edge.start(SITE + 'limit = "3/h"\n')
    edge.board.cells[H_USED] = 2
    other = Tally(edge.tally.fd, 1)
    assert await statuses(edge, 1) == [200]
    (rate,) = edge.worker.snapshot.router.site(b"a")[1].routes[0].steps[0]._rates  # type: ignore[union-attr]
    key = Tally.key(other.zone(rate._name), b"127.0.0.1")
    reading = other.read(key, rate.interval, 10**18, 2)
    assert reading.total == 1
    now = reading.began
    for _ in range(2):
        other.charge(key, rate.interval, rate.burst, now, 2, other.read(key, rate.interval, now, 2))
    assert await statuses(edge, 1) == [429]
    other.close()


async def test_a_site_and_its_routes_share_a_count_a_route_has_its_own(edge: Edge) -> None:
    site = 'limit = "2/h"\n'
    routes = '[[sites."*".routes]]\npath = "/a"\nrespond = "a"\n[[sites."*".routes]]\npath = "/b"\nrespond = "b"\nlimit = "1/h"\n'
    free = '[[sites."*".routes]]\npath = "/c"\nrespond = "c"\nlimit = []\n'
    await edge.start(SITE + site + routes + free)
    client = await edge.client()
    paths = ["/", "/a", "/", "/a", "/b", "/b", "/c", "/c"]
    assert [(await client.ask(path)).status for path in paths] == [200, 200, 429, 429, 200, 429, 200, 200]


async def test_routes_with_limits_of_their_own_count_apart(edge: Edge) -> None:
    routes = "".join(
        f'[[sites."*".routes]]\n{match}\nrespond = "x"\nlimit = "1/h"\n'
        for match in ('path = "/a"', 'path = "/b"', 'path = "/a"\nmethods = ["POST"]')
    )
    await edge.start(routes)
    client = await edge.client()
    asked = [("GET", "/a"), ("GET", "/b"), ("POST", "/a"), ("GET", "/a"), ("GET", "/b"), ("POST", "/a")]
    assert [(await client.ask(path, method=method)).status for method, path in asked] == [200] * 3 + [429] * 3


async def test_files_from_memory_are_counted_too(edge: Edge) -> None:
    (edge.folder / "a.txt").write_text("a")
    await edge.start(f'[sites."*"]\nfiles = "{edge.folder}"\nlimit = "4/h"\nlimit_connections = 1\n')
    client = await edge.client()
    assert [(await client.ask("/a.txt")).status for _ in range(6)] == [200] * 4 + [429] * 2


async def test_a_count_outlives_a_reload(edge: Edge) -> None:
    text = SITE + 'limit = "2/h"\n'
    await edge.start(text)
    assert await statuses(edge, 1) == [200]
    await edge.serve(configuration(text, {}))
    assert await statuses(edge, 2) == [200, 429]


async def test_what_comes_early_waits_when_asked_to(edge: Edge) -> None:
    await edge.start(SITE + 'limit = { rate = "50/s", burst = 3, delay = true }\n')
    clients = [await edge.client() for _ in range(6)]
    for client in clients:
        client.send(get())
    found = sorted([(await client.answer()).status for client in clients])
    assert found[:4] == [200] * 4
    assert 429 in found


async def test_a_client_that_leaves_while_it_waits(edge: Edge) -> None:
    await edge.start(SITE + 'limit = { rate = "1/h", burst = 3, delay = 1 }\nlimit_connections = 10\n')
    assert await statuses(edge, 2) == [200, 200]
    client = await edge.client()
    client.send(get(method="POST", body=b"x" * 10))
    await edge.until(lambda: busy(edge))
    client.reset()
    await edge.until(lambda: not busy(edge))


async def held(edge: Edge, limits: str) -> tuple[list[Wire], list[asyncio.Future[None]]]:
    """A backend that answers only when the test says so."""
    wires: list[Wire] = []
    answers: list[asyncio.Future[None]] = []

    async def later(request: Request, wire: Wire) -> None:
        wires.append(wire)
        answered = asyncio.get_running_loop().create_future()
        answers.append(answered)
        await answered
        wire.reply(b"x")

    backend = await edge.backend(later)
    await edge.start(one_upstream([backend.address], "", limits))
    return wires, answers


async def test_at_most_so_many_at_a_time(edge: Edge) -> None:
    wires, answers = await held(edge, "limit_connections = 2\n")
    clients = [await edge.client() for _ in range(2)]
    for number, client in enumerate(clients):
        client.send(get())
        await edge.until(lambda number=number: len(wires) == number + 1)  # type: ignore[misc]
    refused = await (await edge.client()).ask()
    assert (refused.status, refused.get("retry-after")) == (429, "1")
    answers[0].set_result(None)
    assert (await clients[0].answer()).status == 200
    clients[0].send(get())
    await edge.until(lambda: len(wires) == 3)
    assert (await (await edge.client()).ask()).status == 429
    for client in clients:
        client.reset()
    await edge.until(lambda: not busy(edge))


@pytest.mark.parametrize("how", ["client leaves", "server breaks", "too large", "no server"])
async def test_every_end_gives_the_place_back(edge: Edge, how: str) -> None:
    async def answer(request: Request, wire: Wire) -> None:
        if how == "server breaks":
            await request.read_body()
            wire.writer.transport.abort()
            return
        await asyncio.sleep(3600)

    backend = await edge.backend(answer)
    limits = 'limit_connections = 1\nbody_limit = "1k"\n'
    await edge.start(one_upstream([backend.address], "hold = 0\nhealth = false\n", limits))
    client = await edge.client()
    if how == "too large":
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + b"800\r\n" + b"x" * 0x800 + b"\r\n")
        assert (await client.answer()).status == 413
    elif how == "client leaves":
        client.send(get())
        await edge.until(lambda: busy(edge))
        client.reset()
    else:
        if how == "no server":
            await backend.stop()
        assert (await client.ask(method="POST", body=b"x")).status in (502, 503)
    await edge.until(lambda: not busy(edge))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (b"10.0.0.1", b"10.0.0.2", False),
        (b"2001:db8:1:2::3", b"2001:db8:1:2:ffff::4", True),
        (b"2001:db8:1:2::3", b"2001:db8:1:3::3", False),
        (b"fe80::1%eth0", b"fe80::2%eth0", True),
        (b"unknown", b"unknown", True),
    ],
)
def test_clients_of_one_ipv6_network_are_one(one: bytes, other: bytes, same: bool) -> None:
    read = client_key("$remote_addr")
    assert (read(SimpleNamespace(client=one)) == read(SimpleNamespace(client=other))) is same  # type: ignore[arg-type]
