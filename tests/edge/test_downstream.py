"""The client's side: one request after another, in order, within limits, and never more in memory than the peer takes."""

from __future__ import annotations

import asyncio
import time

import pytest

from gapura.edge import downstream

from .backend import Request, Wire, saying
from .client import get
from .edge import Edge

RESPOND = '[sites."*"]\nrespond = "hi"\n'


# -- keep-alive and pipelining --------------------------------------------------------------------------------------------


async def test_a_connection_carries_many_requests(edge: Edge) -> None:
    backend = await edge.proxy()
    client = await edge.client()
    for number in range(5):
        answer = await client.ask(f"/{number}")
        assert (answer.status, answer.body, answer.get("connection")) == (200, b"hello", None)
    assert [request.target for request in backend.requests] == ["/0", "/1", "/2", "/3", "/4"]
    assert len(backend.wires) == 1


async def test_pipelined_answers_keep_their_order(edge: Edge) -> None:
    first_may_go = asyncio.Event()

    async def answer(request: Request, wire: Wire) -> None:
        if request.target == "/slow":
            await first_may_go.wait()
        wire.reply(request.target.encode())

    backend = await edge.proxy(answer)
    client = await edge.client()
    client.send(get("/slow") + get("/a") + get("/b", method="HEAD") + get("/c"))
    await edge.until(lambda: backend.requests)
    assert len(backend.requests) == 1
    first_may_go.set()
    assert [(await client.answer(method)).body for method in ("GET", "GET", "HEAD", "GET")] == [b"/slow", b"/a", b"", b"/c"]


async def test_hundreds_of_pipelined_requests_do_not_recurse(edge: Edge) -> None:
    await edge.start(RESPOND, limits={"head": "1k"})
    client = await edge.client()
    client.send(get("/") * 3000)
    for _ in range(3000):
        assert (await client.answer()).body == b"hi"


@pytest.mark.parametrize(
    ("version", "line", "announced", "stays"),
    [
        ("1.1", "A: b", None, True),
        ("1.1", "Connection: close", "close", False),
        ("1.0", "A: b", "close", False),
        ("1.0", "Connection: keep-alive", "keep-alive", True),
    ],
)
async def test_persistence(edge: Edge, version: str, line: str, announced: str | None, stays: bool) -> None:
    await edge.proxy()
    client = await edge.client()
    answer = await client.ask("/", line, version=version)
    assert (answer.body, answer.get("connection")) == (b"hello", announced)
    assert (await client.ask()).status == 200 if stays else await client.end() == b""


# -- framing towards the client -------------------------------------------------------------------------------------------

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: T\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nT: v\r\n\r\n"
UNTIL_CLOSE = b"HTTP/1.0 200 OK\r\n\r\nabcde"


@pytest.mark.parametrize("said", [CHUNKED, UNTIL_CLOSE])
async def test_a_body_without_length_is_chunked_for_1_1_and_ends_with_the_connection_for_1_0(edge: Edge, said: bytes) -> None:
    await edge.proxy(saying(said, close=said == UNTIL_CLOSE))
    client = await edge.client()
    answer = await client.ask()
    assert (answer.get("transfer-encoding"), answer.body, answer.trailers, answer.get("trailer")) == (
        "chunked",
        b"abcde",
        b"",
        None,
    )
    assert (await client.ask()).body == b"abcde"
    old = await edge.client()
    answer = await old.ask(version="1.0")
    assert (answer.get("transfer-encoding"), answer.get("connection"), answer.body) == (None, "close", b"abcde")


async def test_trailers_go_to_who_asked_for_them(edge: Edge) -> None:
    backend = await edge.proxy(saying(CHUNKED))
    client = await edge.client()
    answer = await client.ask("/", "TE: trailers", "Connection: TE")
    assert (answer.body, answer.trailers, answer.get("trailer")) == (b"abcde", b"T: v\r\n", "T")
    assert (backend.requests[0].get("te"), backend.requests[0].get("connection")) == ("trailers", "TE")


@pytest.mark.parametrize(
    ("said", "method", "length"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "HEAD", "5"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "HEAD", None),
        (b"HTTP/1.1 200 OK\r\n\r\n", "HEAD", None),
        (b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", "GET", None),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", "GET", "5"),
        (b"HTTP/1.1 304 Not Modified\r\n\r\n", "GET", None),
    ],
)
async def test_answers_without_a_body(edge: Edge, said: bytes, method: str, length: str | None) -> None:
    backend = await edge.proxy(saying(said))
    client = await edge.client()
    for version in ("1.1", "1.1", "1.0"):
        answer = await client.ask(method=method, version=version)
        assert answer.get("content-length") == length
        assert answer.get("transfer-encoding") is None
    assert len(backend.wires) == 1


@pytest.mark.parametrize("status", [204, 304])
async def test_our_own_answers_without_a_body_announce_none(edge: Edge, status: int) -> None:
    """RFC 9110 §8.6: no Content-Length in 204, and in 304 only the one of the 200."""
    await edge.start(f'[sites."*"]\nrespond = {{ status = {status}, body = "x" }}\n')
    client = await edge.client()
    for _ in range(2):
        answer = await client.ask()
        assert (answer.status, answer.get("content-length")) == (status, None)


async def test_options_for_the_whole_server(edge: Edge) -> None:
    await edge.start(RESPOND)
    client = await edge.client()
    answer = await client.ask("*", method="OPTIONS")
    assert (answer.status, answer.get("content-length")) == (204, None)
    assert "GET" in (answer.get("allow") or "")
    assert (await client.ask()).body == b"hi"


# -- request bodies -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 70_000, 3_000_000])
async def test_bodies_arrive_whole_however_they_are_framed(edge: Edge, size: int) -> None:
    backend = await edge.proxy(limits={"body": 0})
    client = await edge.client()
    body = b"x" * size
    assert (await client.ask(method="POST", body=body)).status == 200
    client.send(get("/", "Transfer-Encoding: chunked", method="POST"))
    for at in range(0, size, 50_000):
        piece = body[at : at + 50_000]
        client.send(b"%x;e=f\r\n%b\r\n" % (len(piece), piece))
    client.send(b"0\r\nT: v\r\n\r\n")
    assert (await client.answer()).status == 200
    first, second = backend.requests
    assert (first.body, first.get("content-length")) == (body, str(size))
    assert (second.body, second.get("transfer-encoding"), second.trailers) == (body, "chunked", [])


async def test_the_client_is_told_to_go_on_when_the_body_will_be_read(edge: Edge) -> None:
    backend = await edge.proxy()
    client = await edge.client()
    client.send(get("/", "Expect: 100-continue", "Content-Length: 3", method="POST"))
    assert (await client.head()).status == 100
    client.send(b"abc")
    assert (await client.answer()).status == 200
    assert backend.requests[0].body == b"abc"
    assert (await client.ask()).status == 200


async def test_the_client_is_not_told_to_go_on_when_it_is_refused(edge: Edge) -> None:
    await edge.start(RESPOND)
    client = await edge.client()
    client.send(get("/", "Expect: 100-continue", "Content-Length: 3", method="POST"))
    answer = await client.answer()
    assert (answer.status, answer.get("connection")) == (200, "close")  # or the body would be read as a request
    client.eof()
    assert await client.end() == b""


async def test_a_short_body_that_nobody_wants_is_read_and_the_connection_stays(edge: Edge) -> None:
    await edge.start(RESPOND)
    client = await edge.client()
    client.send(get("/", "Content-Length: 10", method="POST") + b"01234")
    assert (await client.answer()).get("connection") is None
    client.send(b"56789" + get())
    assert (await client.answer()).body == b"hi"


async def test_a_long_body_that_nobody_wants_ends_the_connection(edge: Edge) -> None:
    await edge.start(RESPOND, limits={"body": 0})
    client = await edge.client()
    client.send(get("/", "Transfer-Encoding: chunked", method="POST") + b"3\r\nabc\r\n")
    answer = await client.answer()
    assert (answer.body, answer.get("connection")) == (b"hi", "close")
    client.send(b"0\r\n\r\n" + get())
    assert await client.end() == b""


async def test_an_early_answer_reaches_a_client_that_still_sends(edge: Edge) -> None:
    async def early(request: Request, wire: Wire) -> None:
        wire.reply(b"no", "403 Forbidden")
        await wire.reader.read(-1)
        left.set()

    left = asyncio.Event()
    await edge.proxy(early, limits={"body": 0})
    client = await edge.client()
    client.send(get("/", "Content-Length: 100000000", method="POST") + b"x" * 100_000)
    answer = await client.answer()
    assert (answer.status, answer.body) == (403, b"no")
    await left.wait()  # nobody reads the rest of it
    await edge.at_rest()


# -- what is refused ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (get("/" + "a" * 300), 414),
        (b"GET /" + b"a" * 3000, 414),
        (get("/", "A: " + "a" * 2000), 431),
        (get("/", *["A: b"] * 20), 431),
        (get("/", "Content-Length: 100000", method="POST"), 413),
        (get("/", "Content-Length: 99999999999999999999", method="POST"), 413),
        (get("/", "Transfer-Encoding: chunked", method="POST") + b"b\r\n01234567890\r\n", 413),
        (get("/", "Transfer-Encoding: chunked", method="POST") + b"zz\r\n", 400),
        (get("/", "Expect: x"), 417),
        (get("/", method="TRACE"), 405),
        (get("/", version="2.0"), 505),
        (get("/", "Transfer-Encoding: gzip", method="POST"), 501),
        (get("/", host="a b"), 400),
        (b"\x16\x03\x01\0\0", 400),
        (b"nonsense\r\n\r\n", 400),
    ],
)
async def test_a_refusal_is_one_answer_and_the_end(edge: Edge, request_bytes: bytes, status: int) -> None:
    backend = await edge.proxy(limits={"target": 200, "head": "1k", "headers": 10, "body": 10})
    client = await edge.client()
    client.send(request_bytes)
    answer = await client.answer()
    assert (answer.status, answer.get("connection")) == (status, "close")
    client.send(get())
    client.eof()
    assert await client.end() == b""
    await edge.forgotten()
    assert [request.method for request in backend.requests] in ([], ["POST"])


async def test_a_client_that_speaks_after_good_requests_gets_their_answers_first(edge: Edge) -> None:
    await edge.proxy()
    client = await edge.client()
    client.send(get("/1") + get("/2") + b"garbage\r\n\r\n" + get("/3"))
    assert [(await client.answer()).status for _ in range(3)] == [200, 200, 400]
    client.eof()
    assert await client.end() == b""


# -- clocks ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("timeouts", "said", "status"),
    [
        ({"head": "50ms"}, b"", None),
        ({"head": "50ms"}, b"GET / HTTP/1.1\r\nHo", 408),
        ({"body": "50ms"}, get("/", "Content-Length: 5", method="POST") + b"ab", 408),
        ({"body": "50ms"}, get("/", "Transfer-Encoding: chunked", method="POST") + b"5\r\nab", 408),
    ],
)
async def test_slow_clients_are_sent_away(edge: Edge, timeouts: dict[str, str], said: bytes, status: int | None) -> None:
    await edge.proxy(timeouts=timeouts)
    client = await edge.client()
    client.send(said)
    if status:
        answer = await client.answer()
        assert (answer.status, answer.get("connection")) == (status, "close")
        client.eof()
    assert await client.end() == b""
    await edge.forgotten()


async def test_an_idle_connection_is_closed_without_a_word(edge: Edge) -> None:
    await edge.start(RESPOND, timeouts={"idle": "50ms"})
    client = await edge.client()
    assert (await client.ask()).body == b"hi"
    assert await client.end() == b""


async def test_an_empty_line_is_no_request(edge: Edge) -> None:
    """RFC 9112 §2.2: it is ignored; a 408 for it would be taken for the answer to the next request."""
    await edge.start(RESPOND, timeouts={"head": "50ms"})
    client = await edge.client()
    client.send(get() + b"\r\n")
    assert (await client.answer()).body == b"hi"
    assert await client.end() == b""


async def test_a_second_head_has_its_own_time(edge: Edge) -> None:
    await edge.start(RESPOND, timeouts={"head": "50ms"})
    client = await edge.client()
    client.send(get() + b"GET /slow")
    assert (await client.answer()).body == b"hi"
    assert (await client.answer()).status == 408


async def test_a_body_below_the_minimum_rate_is_refused(edge: Edge) -> None:
    await edge.proxy(timeouts={"body": "100ms"})
    client = await edge.client()
    client.send(get("/", "Content-Length: 100000", method="POST"))
    answer = asyncio.ensure_future(client.answer())
    while not answer.done():
        client.send(b"x")
        await asyncio.sleep(0.02)
    assert answer.result().status == 408


# -- a client that reads slowly -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [300_000, 5_000_000])
@pytest.mark.parametrize("last", ["A: b", "Connection: close"])
async def test_a_client_that_takes_nothing_is_given_up(edge: Edge, size: int, last: str) -> None:
    """The answer may be complete on our side; as long as it is not taken it costs memory."""
    await edge.proxy(
        saying(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (size, b"x" * size)),
        timeouts={"send": "100ms", "idle": "100ms"},
    )
    client = await edge.client(limit=1 << 10)
    client.writer.transport.pause_reading()  # type: ignore[attr-defined]
    for _ in range(20):  # more than the kernel takes
        client.send(get("/", last))
    await edge.forgotten()


@pytest.mark.parametrize("last", ["A: b", "Connection: close"])
async def test_a_client_that_leaves_a_little_is_given_up_too(edge: Edge, last: str) -> None:
    """Too little waits for the server's side to be paused, and more than the kernel takes."""
    await edge.start(RESPOND.replace("hi", "x" * 10_000), timeouts={"send": "100ms", "idle": "100ms"})
    client = await edge.client(limit=1 << 10)
    client.writer.transport.pause_reading()  # type: ignore[attr-defined]
    await edge.until(lambda: edge.worker.connections)
    (connection,) = edge.worker.connections
    while not connection.transport.get_write_buffer_size():
        asked = connection.requests
        client.send(get())
        await edge.until(lambda: connection.requests > asked)  # noqa: B023
    client.send(get("/", last))
    await edge.forgotten()


@pytest.mark.parametrize("behind", [b"", b"more"])
async def test_the_last_answer_is_not_cut_short_while_it_is_taken(
    edge: Edge, behind: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lingering ends when nothing more comes, but not before all has left."""
    monkeypatch.setattr(downstream, "LINGER", 50_000_000)
    await edge.proxy(saying(b"HTTP/1.1 200 OK\r\nContent-Length: 20000000\r\n\r\n" + b"x" * 20_000_000), timeouts={"send": "100ms"})
    client = await edge.client(limit=1 << 12)
    client.send(get("/", "Connection: close") + behind)
    await client.head()
    for _ in range(100):
        assert len(await client.reader.readexactly(200_000)) == 200_000
        await asyncio.sleep(0.005)


async def test_pipelined_requests_of_a_client_that_reads_nothing_stay_bounded(edge: Edge) -> None:
    await edge.start(f'[sites."*"]\nrespond = "{"x" * 60_000}"\n')
    client = await edge.client(limit=1 << 10)
    client.writer.transport.pause_reading()  # type: ignore[attr-defined]
    requests = get("/", "A: " + "a" * 4000) * 100
    for _ in range(50):
        client.send(requests)
    connection = None
    most = 0
    for _ in range(100):
        await asyncio.sleep(0.002)
        for connection in edge.worker.connections:
            most = max(most, len(connection.reader.buffer))
    assert connection is not None
    assert connection.write_paused
    assert most < 1 << 20
    client.writer.transport.resume_reading()  # type: ignore[attr-defined]
    for _ in range(5000):
        assert len((await client.answer()).body) == 60_000


async def test_a_slow_reader_holds_the_server_back_and_gets_everything(edge: Edge) -> None:
    sent = 0

    async def endless(request: Request, wire: Wire) -> None:
        nonlocal sent
        wire.say(b"HTTP/1.1 200 OK\r\nContent-Length: 30000000\r\n\r\n")
        for _ in range(300):
            wire.say(b"x" * 100_000)
            sent += 100_000
            await wire.writer.drain()

    await edge.proxy(endless)
    client = await edge.client(limit=1 << 12)
    client.send(get())
    assert (await client.head()).status == 200
    before = -1
    while before != sent:  # until it stands still
        before = sent
        await asyncio.sleep(0.05)
    assert sent < 25_000_000
    (connection,) = edge.worker.connections
    assert connection.transport.get_write_buffer_size() < 1 << 20
    assert len(await client.reader.readexactly(30_000_000)) == 30_000_000
    await edge.at_rest()


async def test_a_slow_server_holds_the_client_back(edge: Edge) -> None:
    go_on = asyncio.Event()

    async def slow(request: Request, wire: Wire) -> None:
        await go_on.wait()
        await request.read_body()
        wire.reply(b"%d" % len(request.body))

    await edge.proxy(slow, limits={"body": 0})
    client = await edge.client()
    body = b"x" * 30_000_000
    client.send(get("/", method="POST", body=body))

    def behind() -> int:
        """Bytes that wait here for the server."""
        found = [
            one.connection.transport for one in edge.worker.forwards if one.connection is not None and one.connection.transport
        ]
        return found[0].get_write_buffer_size() if found else 0

    await edge.until(lambda: behind() and not next(iter(edge.worker.connections)).transport.is_reading())
    assert client.writer.transport.get_write_buffer_size() > 10_000_000
    assert behind() < 1 << 20
    go_on.set()
    assert (await client.answer()).body == b"30000000"


# -- leaving --------------------------------------------------------------------------------------------------------------


async def test_a_half_closed_client_gets_its_answer(edge: Edge) -> None:
    go_on = asyncio.Event()

    async def answer(request: Request, wire: Wire) -> None:
        await go_on.wait()
        wire.reply(b"late")

    backend = await edge.proxy(answer)
    client = await edge.client()
    client.send(get())
    client.eof()
    await edge.until(lambda: backend.requests)
    await asyncio.sleep(0.02)
    go_on.set()
    answer_ = await client.answer()
    assert (answer_.body, answer_.get("connection")) == (b"late", "close")
    assert await client.end() == b""


async def test_pipelined_requests_of_a_half_closed_client_get_their_answers(edge: Edge) -> None:
    async def answer(request: Request, wire: Wire) -> None:
        wire.reply(request.target.encode())

    await edge.proxy(answer)
    client = await edge.client()
    client.send(get("/one") + get("/two") + get("/three") + b"GET /never HTTP/1.1\r\nHost: a.exa")
    client.eof()
    assert [(await client.answer()).body for _ in range(3)] == [b"/one", b"/two", b"/three"]
    assert await client.end() == b""


async def test_a_client_that_half_closes_within_a_body_is_told(edge: Edge) -> None:
    await edge.proxy()
    client = await edge.client()
    client.send(get("/", "Content-Length: 5", method="POST") + b"ab")
    client.eof()
    assert (await client.answer()).status == 400
    await edge.forgotten()


async def test_a_client_that_half_closes_within_a_head_is_forgotten(edge: Edge) -> None:
    await edge.proxy()
    client = await edge.client()
    client.send(b"GET / HT")
    client.eof()
    assert await client.end() == b""
    await edge.forgotten()


# -- limits of connections ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limits", [{"connections": 2}, {"connections_per_client": 2}])
async def test_too_many_connections(edge: Edge, limits: dict[str, int]) -> None:
    await edge.start(RESPOND, limits=limits)
    first, second = await edge.client(), await edge.client()
    assert (await first.ask()).status == (await second.ask()).status == 200
    third = await edge.client()
    answer = await third.answer()
    assert (answer.status, answer.get("connection")) == (503, "close")
    assert await third.end() == b""
    assert (await first.ask()).status == 200
    first.close()
    await edge.until(lambda: len(edge.worker.connections) == 1)
    assert (await (await edge.client()).ask()).status == 200


async def test_times_are_noted(edge: Edge) -> None:
    async def answer(request: Request, wire: Wire) -> None:
        await asyncio.sleep(0.05)
        wire.reply(b"x")

    await edge.proxy(answer, log="$request_time $upstream_time $body_bytes_sent")
    client = await edge.client()
    began = time.monotonic()
    await client.ask()
    took = time.monotonic() - began
    ((whole, upstream, sent),) = [line.split() for line in edge.lines()]
    assert 0.045 <= float(upstream) <= float(whole) + 0.001 <= took + 0.002
    assert sent == "1"
