"""The way to a server and back: when a request is tried again, when it must not be, and what the client is told."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

from gapura.board import HEALTHY, UNHEALTHY

from .backend import Answer, Request, Wire, ordinary, saying, silent
from .client import get
from .edge import Edge, one_upstream

NO_HOLD = 'hold = 0\nfail_timeout = "10s"'


async def hangs_up(request: Request, wire: Wire) -> None:
    """Reads the request and closes without a word."""
    await request.read_body()
    wire.close()


async def two(edge: Edge, first: Answer, upstream: str = NO_HOLD, **more: str) -> None:
    """Two servers: the first one picked behaves badly, the second well. (The first pick falls on the first server.)"""
    bad = await edge.backend(first)
    good = await edge.backend()
    await edge.start(one_upstream([bad.address, good.address], upstream), **more)


# -- trying again ---------------------------------------------------------------------------------------------------------

FAILURES = {
    "closes": hangs_up,
    "garbage": saying(b"nonsense\r\n\r\n"),
    "half a head": saying(b"HTTP/1.1 200 OK\r\nA: ", close=True),
    "bad length": saying(b"HTTP/1.1 200 OK\r\nContent-Length: 5, 6\r\n\r\n"),
    "unasked switch": saying(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"),
    "never answers": silent,
}


@pytest.mark.parametrize("name", FAILURES)
@pytest.mark.parametrize("method", ["GET", "PUT"])
async def test_what_may_be_repeated_goes_to_the_next_server(edge: Edge, name: str, method: str) -> None:
    await two(edge, FAILURES[name], NO_HOLD + '\nread_timeout = "100ms"', log="$status $tries $server")
    client = await edge.client()
    answer = await client.ask(method=method, body=b"abc" if method == "PUT" else b"")
    bad, good = edge.backends
    assert (answer.status, answer.body, len(bad.requests), len(good.requests)) == (200, b"hello", 1, 1)
    assert answer.get("x-served-by") == good.address
    assert good.requests[0].body == (b"abc" if method == "PUT" else b"")
    assert edge.lines() == [f"200 2 {good.address}"]
    assert (await client.ask()).status == 200
    assert len(bad.requests) == 1  # it is benched


@pytest.mark.parametrize("name", FAILURES)
@pytest.mark.parametrize("method", ["POST", "PATCH", "LOCK"])
async def test_what_must_not_run_twice_is_never_sent_again(edge: Edge, name: str, method: str) -> None:
    await two(edge, FAILURES[name], NO_HOLD + '\nread_timeout = "100ms"')
    client = await edge.client()
    answer = await client.ask(method=method, body=b"abc")
    bad, good = edge.backends
    assert answer.status == (504 if name == "never answers" else 502)
    assert (len(bad.requests), len(good.requests)) == (1, 0)
    assert (await client.ask()).status == 200  # the client's connection is none the worse


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_refused_connection_has_seen_nothing(edge: Edge, method: str) -> None:
    await two(edge, ordinary)
    bad, good = edge.backends
    await bad.stop()
    client = await edge.client()
    assert (await client.ask(method=method, body=b"abc")).get("x-served-by") == good.address


async def test_a_body_is_sent_again_up_to_64_kilobytes(edge: Edge) -> None:
    await two(edge, hangs_up)
    bad, good = edge.backends
    client = await edge.client()
    body = b"x" * (64 << 10)
    assert (await client.ask(method="PUT", body=body)).status == 200
    assert (bad.requests[0].body, good.requests[0].body) == (body, body)


async def test_a_longer_body_is_not_kept(edge: Edge) -> None:
    await two(edge, hangs_up)
    bad, good = edge.backends
    client = await edge.client()
    assert (await client.ask(method="PUT", body=b"x" * (65 << 10))).status == 502
    assert (len(bad.requests), len(good.requests)) == (1, 0)


@pytest.mark.parametrize("tries", [1, 2])
async def test_tries_are_limited(edge: Edge, tries: int) -> None:
    bad = [await edge.backend(hangs_up) for _ in range(3)]
    await edge.start(one_upstream([backend.address for backend in bad], f"hold = 0\ntries = {tries}"))
    client = await edge.client()
    assert (await client.ask()).status == 502
    assert sum(len(backend.requests) for backend in bad) == tries


async def test_a_failure_within_the_answer_is_shown_by_breaking_off(edge: Edge) -> None:
    await edge.proxy(saying(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", close=True))
    client = await edge.client()
    answer = await client.ask()
    assert (answer.status, answer.body, answer.whole) == (200, b"abc", False)


@pytest.mark.parametrize("tail", [b"3\r\nabc\r\n", b"3\r\nabc\r\nzz\r\n"])
async def test_a_broken_chunked_answer_has_no_last_chunk(edge: Edge, tail: bytes) -> None:
    await edge.proxy(saying(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + tail, close=True))
    answer = await (await edge.client()).ask()
    assert (answer.status, answer.whole) == (200, False)
    old = await edge.client()
    old.send(get(version="1.0"))
    with pytest.raises(ConnectionResetError):  # an end of the connection would be the end of the body
        await old.reader.read(-1)


async def test_a_reset_is_not_the_end_of_a_body_that_ends_with_the_connection(edge: Edge) -> None:
    read = asyncio.Event()

    async def answer(request: Request, wire: Wire) -> None:
        wire.say(b"HTTP/1.1 200 OK\r\n\r\nabc")
        await read.wait()
        wire.reset()

    await edge.proxy(answer)
    client = await edge.client()
    client.send(get())
    await client.head()
    assert await client.chunk() == b"abc"
    read.set()
    assert await client.end() == b""


async def test_a_server_that_falls_silent_within_the_answer(edge: Edge) -> None:
    async def answer(request: Request, wire: Wire) -> None:
        wire.say(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
        await wire.over.wait()

    await edge.proxy(answer, 'read_timeout = "50ms"')
    answer_ = await (await edge.client()).ask()
    assert (answer_.body, answer_.whole) == (b"abc", False)


# -- kept connections -----------------------------------------------------------------------------------------------------


async def test_a_connection_that_the_server_closed_meanwhile_is_no_failure(edge: Edge) -> None:
    """A stale one costs nothing: neither a try nor the server's good name."""

    async def once(request: Request, wire: Wire) -> None:
        if wire.number == 0 and request.target == "/2":
            wire.close()
            return
        wire.reply(b"ok")

    backend = await edge.proxy(once, "tries = 1\nhold = 0")
    client = await edge.client()
    assert (await client.ask("/1")).status == 200
    assert (await client.ask("/2")).status == 200
    assert [request.wire.number for request in backend.requests] == [0, 0, 1]


async def test_a_post_never_goes_out_on_a_kept_connection(edge: Edge) -> None:
    backend = await edge.proxy()
    client = await edge.client()
    await client.ask()
    await client.ask(method="POST", body=b"a")
    await client.ask()
    assert [request.wire.number for request in backend.requests][:2] == [0, 1]


@pytest.mark.parametrize("line", ["Content-Length: 65537", "Transfer-Encoding: chunked"])
async def test_a_body_that_cannot_be_kept_never_goes_out_on_a_kept_connection(edge: Edge, line: str) -> None:
    backend = await edge.proxy()
    client = await edge.client()
    await client.ask()
    client.send(get("/", line, method="PUT"))
    client.send(b"x" * 65537 if "Length" in line else b"1\r\nx\r\n0\r\n\r\n")
    assert (await client.answer()).status == 200
    assert [request.wire.number for request in backend.requests] == [0, 1]


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx",
        b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbad",
        b"HTTP/1.1 204 No Content\r\n\r\nbad",
    ],
)
async def test_a_doubtful_connection_is_not_used_again(edge: Edge, said: bytes) -> None:
    backend = await edge.proxy(saying(said))
    client = await edge.client()
    for _ in range(3):
        assert (await client.ask()).body in (b"x", b"")
    assert [request.wire.number for request in backend.requests] == [0, 1, 2]


async def test_keepalive_0_keeps_none(edge: Edge) -> None:
    backend = await edge.proxy(ordinary, "keepalive = 0")
    client = await edge.client()
    for _ in range(2):
        await client.ask()
    assert len(backend.wires) == 2


async def test_an_idle_connection_is_closed_after_its_time(edge: Edge) -> None:
    backend = await edge.proxy(ordinary, 'keepalive_timeout = "50ms"')
    await (await edge.client()).ask()
    await edge.until(lambda: backend.open == 0)


# -- a client that leaves -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("phase", ["held", "connecting", "body", "waiting", "relaying"])
async def test_a_client_that_leaves_takes_everything_with_it(edge: Edge, phase: str) -> None:
    async def answer(request: Request, wire: Wire) -> None:
        if phase == "relaying":
            wire.say(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
        await wire.reader.read(-1)

    backend = await edge.backend(answer)
    await edge.start(one_upstream([backend.address], "hold = 30"), log="$status")
    if phase == "held":
        await backend.stop()
    client = await edge.client()
    client.send(get("/", "Content-Length: 5", method="PUT") + b"ab" if phase == "body" else get())
    if phase == "held":
        await edge.until(lambda: edge.worker.hold.count)
    elif phase == "relaying":
        await client.head()
    elif phase == "connecting":
        await edge.until(lambda: edge.worker.forwards)
    else:
        await edge.until(lambda: backend.requests)
    client.reset()
    await edge.forgotten()
    assert edge.lines() == ["200" if phase == "relaying" else "499"]
    await edge.until(lambda: backend.open == 0)


async def test_an_endless_answer_ends_when_the_client_closes(edge: Edge) -> None:
    async def answer(request: Request, wire: Wire) -> None:
        wire.say(b"HTTP/1.1 200 OK\r\n\r\nabc")
        await wire.reader.read(-1)

    backend = await edge.proxy(answer)
    client = await edge.client()
    client.send(get())
    await client.head()
    client.close()
    await edge.forgotten()
    await edge.until(lambda: backend.open == 0)


# -- rescue and the row of a server that closes on a request --------------------------------------------------------------


async def test_a_get_that_waits_on_a_hung_server_is_moved_once(edge: Edge) -> None:
    await two(edge, silent, log="$tries")
    hung, good = edge.backends
    client = await edge.client()
    client.send(get())
    await edge.until(lambda: hung.requests)
    edge.health(hung.address, UNHEALTHY)
    assert (await client.answer()).get("x-served-by") == good.address
    assert edge.lines() == ["2"]


async def test_a_moved_request_is_not_moved_again(edge: Edge) -> None:
    hung = [await edge.backend(silent) for _ in range(3)]
    await edge.start(one_upstream([backend.address for backend in hung], NO_HOLD))

    def asked(times: int) -> bool:
        return sum(len(backend.requests) for backend in hung) == times

    client = await edge.client()
    client.send(get())
    for seen in (1, 2):
        await edge.until(partial(asked, seen))
        for backend in hung:
            if backend.requests:
                edge.health(backend.address, UNHEALTHY)
    await asyncio.sleep(0.1)
    assert asked(2)


async def test_a_post_that_waits_on_a_hung_server_stays(edge: Edge) -> None:
    await two(edge, silent)
    hung, good = edge.backends
    client = await edge.client()
    client.send(get(method="POST", body=b"x"))
    await edge.until(lambda: hung.requests)
    edge.health(hung.address, UNHEALTHY)
    await asyncio.sleep(0.1)
    assert good.requests == []
    edge.health(hung.address, HEALTHY)


async def test_a_request_that_a_server_hangs_up_on_is_given_up(edge: Edge) -> None:
    """With hold there would be time to ask again and again; but it is the request that the server does not like."""
    backend = await edge.proxy(hangs_up, "hold = 3")
    answer = await (await edge.client()).ask()
    assert answer.status == 502
    assert len(backend.requests) <= 2


# -- early data, events ---------------------------------------------------------------------------------------------------


async def test_events_pass_at_once(edge: Edge) -> None:
    tick = asyncio.Event()

    async def events(request: Request, wire: Wire) -> None:
        wire.say(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        for number in range(3):
            await tick.wait()
            tick.clear()
            wire.say(b"9\r\ndata: %d\n\n\r\n" % number)
        wire.say(b"0\r\n\r\n")

    await edge.proxy(events)
    client = await edge.client()
    client.send(get())
    assert (await client.head()).get("content-type") == "text/event-stream"
    for number in range(3):
        tick.set()
        assert await client.chunk() == b"data: %d\n\n" % number
    assert await client.reader.readexactly(5) == b"0\r\n\r\n"


async def test_early_hints_pass_and_other_interim_answers_do_not(edge: Edge) -> None:
    hints = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\nConnection: x\r\nX: y\r\n\r\n"
    await edge.proxy(saying(hints + b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"))
    client = await edge.client()
    client.send(get())
    hint = await client.head()
    assert (hint.status, hint.lines) == (103, [("link", "a")])
    assert (await client.answer()).status == 200
    assert (await client.ask(version="1.0")).status == 200


# -- what the server gets -------------------------------------------------------------------------------------------------


async def test_what_the_server_gets(edge: Edge) -> None:
    backend = await edge.proxy()
    client = await edge.client()
    lines = (
        "Accept: x",
        "Connection: x-a, keep-alive",
        "X-A: 1",
        "Keep-Alive: 5",
        "Upgrade: h2c",
        "HTTP2-Settings: A",
        "Proxy: p",
        "X_B: c",
    )
    answer = await client.ask("/a/%2e%2e/b%2Fc?q=%zz", *lines)
    (request,) = backend.requests
    assert request.target == "/b%2Fc?q=%zz"
    assert [name for name, _ in request.lines] == [
        "host", "accept", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-request-id",
    ]  # fmt: skip
    assert (request.get("host"), request.get("x-forwarded-for"), request.get("x-forwarded-proto")) == (
        "a.example",
        "127.0.0.1",
        "http",
    )
    assert request.get("x-request-id") == answer.get("x-request-id")
    assert answer.get("x-served-by") == backend.address


async def test_a_request_id_is_kept_when_it_is_one(edge: Edge) -> None:
    backend = await edge.proxy()
    client = await edge.client()
    assert (await client.ask("/", "X-Request-Id: abc-1")).get("x-request-id") == "abc-1"
    made = (await client.ask("/", 'X-Request-Id: a"b')).get("x-request-id")
    assert made is not None
    assert len(made) == 24
    assert [request.get("x-request-id") for request in backend.requests] == ["abc-1", made]


async def test_served_by_can_be_turned_off(edge: Edge) -> None:
    await edge.proxy(served_by=False)
    assert (await (await edge.client()).ask()).get("x-served-by") is None


async def test_a_unix_socket_behind(edge: Edge) -> None:
    path = str(edge.folder / "s")
    backend = await edge.backend(path=path)
    await edge.start(one_upstream([f"unix:{path}"]))
    client = await edge.client()
    assert (await client.ask()).get("x-served-by") == f"unix:{path}"
    client.send(b"GET / HTTP/1.0\r\n\r\n")
    assert (await client.answer()).status == 200
    assert [request.get("host") for request in backend.requests] == ["a.example", "localhost"]
