"""Conversations over one connection: whole, byte by byte, cut anywhere, and with garbage behind, they are heard the same."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gapura.errors import ClientError, ServerError
from gapura.wire.body import MAX_LINE
from gapura.wire.http1 import BROKEN, DONE, HEAD, MAX_INTERIM, MAX_RESPONSE_HEAD, RequestReader, ResponseReader

from .conversation import Heard, bodies, bytewise, cut, heads, hear_requests, hear_response

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
CHUNKED_POST = b"POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"

REQUESTS: dict[str, tuple[bytes, list[bytes], list[bytes]]] = {
    # name: (bytes, paths, bodies)
    "get": (GET, [b"/"], [b""]),
    "empty line before": (b"\r\n" + GET, [b"/"], [b""]),
    "empty lines between": (GET + b"\r\n" + GET + b"\r\n" + GET + b"\r\n\r\n" + GET, [b"/"] * 4, [b""] * 4),
    "pipelined": (GET * 3, [b"/"] * 3, [b""] * 3),
    "length": (b"POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello" + GET, [b"/p", b"/"], [b"hello", b""]),
    "length 0": (b"POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n" + GET, [b"/p", b"/"], [b"", b""]),
    "body on GET": (b"GET /p HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nGET" + GET, [b"/p", b"/"], [b"GET", b""]),
    "body like a request": (b"PUT /p HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s" % (len(GET), GET), [b"/p"], [GET]),
    "chunked": (CHUNKED_POST + b"5\r\nhello\r\n1;x=y\r\n!\r\n0\r\nA: b\r\n\r\n" + GET, [b"/c", b"/"], [b"hello!", b""]),
    "chunked, empty": (CHUNKED_POST + b"0\r\n\r\n" + GET, [b"/c", b"/"], [b"", b""]),
    "1.0": (b"GET /o HTTP/1.0\r\n\r\n", [b"/o"], [b""]),
    "absolute": (b"GET http://b/x/../y?z HTTP/1.1\r\nHost: a\r\n\r\n", [b"/y"], [b""]),
    "websocket": (b"GET /w HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", [b"/w"], [b""]),
}

OK = b"HTTP/1.1 200 OK\r\n"
RESPONSES: dict[str, tuple[bytes, bytes, list[int], bytes, bool]] = {
    # name: (method, bytes, statuses, body, reusable)
    "length": (b"GET", OK + b"Content-Length: 5\r\n\r\nhello", [200], b"hello", True),
    "length 0": (b"GET", OK + b"Content-Length: 0\r\n\r\n", [200], b"", True),
    "chunked": (b"GET", OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", [200], b"abcde", True),
    "chunked, empty": (b"GET", OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", [200], b"", True),
    "head": (b"HEAD", OK + b"Content-Length: 5\r\n\r\n", [200], b"", True),
    "head of chunked": (b"HEAD", OK + b"Transfer-Encoding: chunked\r\n\r\n", [200], b"", True),
    "204": (b"GET", b"HTTP/1.1 204 No Content\r\n\r\n", [204], b"", True),
    "304": (b"GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n", [304], b"", True),
    "100 and 103 before": (
        b"GET",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n" + OK + b"Content-Length: 1\r\n\r\nx",
        [200],
        b"x",
        True,
    ),
    "close": (b"GET", OK + b"Content-Length: 1\r\nConnection: close\r\n\r\nx", [200], b"x", False),
    "folded": (b"GET", OK + b"A: b\r\n c\r\nContent-Length: 1\r\n\r\nx", [200], b"x", True),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_requests_are_heard(name: str) -> None:
    data, paths, expected = REQUESTS[name]
    calls = hear_requests([data])
    assert [head["path"] for head in heads(calls)] == paths
    assert bodies(calls) == expected
    assert hear_requests(bytewise(data)) == calls


@pytest.mark.parametrize("name", REQUESTS)
@given(places=st.lists(st.integers(0, 400), max_size=10))
@settings(max_examples=25)
def test_requests_are_heard_however_they_are_cut(name: str, places: list[int]) -> None:
    data = REQUESTS[name][0]
    assert hear_requests(cut(data, places)) == hear_requests([data])


@pytest.mark.parametrize(
    "garbage", [b"\0", b"\x16\x03\x01\x02\0", b" x", b"\n", b"\r\r", b"GET /\n", b"\r\n\r\n\r\n", b"nonsense\r\n\r\n"]
)
@pytest.mark.parametrize("name", REQUESTS)
def test_garbage_behind_changes_nothing_before_it(name: str, garbage: bytes) -> None:
    data = REQUESTS[name][0]
    calls = hear_requests([data])
    wanted = [*calls, ("refused", 400)] if garbage != b"\r\r" else calls  # that may yet become a line of its own
    assert hear_requests([data + garbage]) == wanted
    assert hear_requests(bytewise(data + garbage)) == wanted


@pytest.mark.parametrize("name", RESPONSES)
def test_responses_are_heard(name: str) -> None:
    method, data, statuses, body, reusable = RESPONSES[name]
    calls = hear_response([data], method)
    assert [head["status"] for head in heads(calls)] == statuses
    assert bodies(calls) == [body]
    assert calls[-1] == ("reusable", reusable)
    assert hear_response(bytewise(data), method) == calls


@pytest.mark.parametrize("name", RESPONSES)
@given(places=st.lists(st.integers(0, 400), max_size=10))
@settings(max_examples=25)
def test_responses_are_heard_however_they_are_cut(name: str, places: list[int]) -> None:
    method, data = RESPONSES[name][:2]
    assert hear_response(cut(data, places), method) == hear_response([data], method)


@pytest.mark.parametrize("name", RESPONSES)
def test_surplus_bytes_change_nothing_and_end_the_connection(name: str) -> None:
    method, data = RESPONSES[name][:2]
    for behind in (b"\0", b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbad"):
        for pieces in ([data + behind], list(bytewise(data + behind)), [data, behind]):
            assert hear_response(pieces, method) == [*hear_response([data], method)[:-1], ("reusable", False)]


# -- limits ---------------------------------------------------------------------------------------------------------------


def padded(size: int, line: bytes = b"GET / HTTP/1.1\r\nHost: a\r\nA: ") -> bytes:
    """A head of `size` bytes, the empty line that ends it not counted."""
    return line + b"a" * (size - len(line))


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (padded(401) + b"\r\n\r\n", 431),
        (padded(5000), 431),
        (padded(5000) + b"\r\n\r\n", 431),
        (padded(5000, b"GET /"), 414),
        (padded(5000, b"GET /") + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
        (padded(120, b"GET /") + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
        (b"\r\n" * 3 + GET, 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"A: b\r\n" * 10 + b"\r\n", 431),
        (CHUNKED_POST + b"1;" + b"x" * (MAX_LINE + 1), 400),
    ],
)
def test_too_much_is_refused_with_the_same_status_however_it_arrives(data: bytes, status: int) -> None:
    limits = {"max_head": 400, "max_headers": 10, "max_target": 100}
    assert hear_requests([data], **limits)[-1] == ("refused", status)
    assert hear_requests(bytewise(data), **limits)[-1] == ("refused", status)


def test_a_head_may_be_as_long_as_the_limit() -> None:
    data = padded(400) + b"\r\n\r\n"
    calls = hear_requests([data], max_head=400)
    assert [call[0] for call in calls] == ["request", "end"]
    assert hear_requests(bytewise(data), max_head=400) == calls


@pytest.mark.parametrize("data", [b"\x16\x03\x01", b"\0", b"\n", b" ", b"GET / HTTP/1.1\nHost: a\n\n", b"\xe4", b"G\nE"])
def test_what_can_never_become_a_request_is_refused_at_once(data: bytes) -> None:
    assert hear_requests([data]) == [("refused", 400)]
    assert hear_requests(bytewise(data)) == [("refused", 400)]


@pytest.mark.parametrize("tail", [b"zz\r\n", b"5\r\nhelloX", b"5\nhello", b"0\r\nbad trailer\r\n", b"-1\r\n"])
def test_a_broken_chunked_body_ends_the_conversation(tail: bytes) -> None:
    for pieces in ([CHUNKED_POST + tail + GET], bytewise(CHUNKED_POST + tail + GET)):
        calls = hear_requests(pieces)
        assert calls[-1] == ("refused", 400)
        assert [call[0] for call in calls].count("request") == 1


# -- between messages -----------------------------------------------------------------------------------------------------


def test_pipelined_requests_wait_for_their_turn() -> None:
    sink = Heard()
    reader = RequestReader(sink)
    reader.feed(GET + GET[:10])
    assert len(heads(sink.calls)) == 1
    assert (reader.state, bool(reader.buffer), len(reader.buffer)) == (DONE, True, 10)
    reader.next_request()
    assert (reader.state, reader.started) == (HEAD, True)
    reader.feed(GET[10:])
    assert len(heads(sink.calls)) == 2
    reader.next_request()
    assert (reader.started, bool(reader.buffer)) == (False, False)


def test_a_sink_that_refuses_a_body_breaks_the_reader() -> None:
    class Full(Heard):
        def on_body(self, data: bytes) -> None:
            raise ClientError(413, "Too much.")

    reader = RequestReader(Full())
    with pytest.raises(ClientError):
        reader.feed(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc")
    assert reader.state == BROKEN
    reader.feed(b"def")


def test_bytes_behind_an_upgrade_are_handed_over() -> None:
    reader = RequestReader(Heard())
    reader.feed(REQUESTS["websocket"][0] + b"early")
    assert reader.rest() == b"early"
    assert not reader.buffer


# -- the server's side ----------------------------------------------------------------------------------------------------


def test_a_body_until_close_ends_with_the_connection() -> None:
    data = OK + b"\r\nhello"
    assert bodies(hear_response([data], closed=True)) == [b"hello"]
    assert hear_response(bytewise(data), closed=True) == hear_response([data], closed=True)
    assert hear_response([data], closed=True)[-1] == ("reusable", False)
    assert bodies(hear_response([data])) == []


def test_a_reset_is_no_end_of_a_body() -> None:
    sink = Heard()
    reader = ResponseReader(sink)
    reader.expect(b"GET")
    reader.feed(OK + b"\r\nhello")
    with pytest.raises(ServerError):
        reader.closed(cleanly=False)


@pytest.mark.parametrize("data", [b"", b"HTT", OK, OK + b"Content-Length: 5\r\n\r\nhell", b"HTTP/1.1 100 Continue\r\n\r\n"])
def test_an_answer_that_is_cut_short_is_broken(data: bytes) -> None:
    assert hear_response([data] if data else [], closed=True)[-1] == ("broken", 502)


@pytest.mark.parametrize("tail", [b"", b"5\r\nhel", b"5\r\nhello\r\n", b"5\r\nhello\r\n0\r\n", b"5\r\nhello\r\n0\r\nA: b\r\n"])
def test_a_chunked_answer_that_is_cut_short_is_broken(tail: bytes) -> None:
    data = OK + b"Transfer-Encoding: chunked\r\n\r\n" + tail
    assert hear_response([data], closed=True)[-1] == ("broken", 502)


@pytest.mark.parametrize(
    "data",
    [
        b"hello",
        b"\0",
        b"HTTP/2",
        b"ICY 200 OK\r\n",
        b"HTTP/1.1 999 x\r\n\r\n",
        OK + b"A: " + b"a" * MAX_RESPONSE_HEAD + b"\r\n\r\n",
        OK + b"A: " + b"a" * MAX_RESPONSE_HEAD,
        OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 103 Early Hints\r\n\r\n" * (MAX_INTERIM + 1),
    ],
)
def test_nonsense_is_broken(data: bytes) -> None:
    assert hear_response([data])[-1] == ("broken", 502)
    if len(data) < 1000:
        assert hear_response(bytewise(data))[-1] == ("broken", 502)


def test_a_switch_of_protocols_keeps_what_follows() -> None:
    sink = Heard()
    reader = ResponseReader(sink)
    reader.expect(b"GET")
    reader.feed(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n\x81\x05hello")
    assert heads(sink.calls)[0]["status"] == 101
    assert reader.rest() == b"\x81\x05hello"
    assert not reader.reusable


def test_trailers_are_kept_apart() -> None:
    calls = hear_response([OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nA: b\r\nC: d\r\n\r\n"])
    assert calls[-2] == ("end", [b"A: b", b"C: d"])
    assert heads(calls)[0]["lines"] == []


def test_one_answer_after_another() -> None:
    sink = Heard()
    reader = ResponseReader(sink)
    for _ in range(3):
        reader.expect(b"GET")
        assert not reader.answering
        reader.feed(RESPONSES["chunked"][1])
        assert reader.answering
        assert reader.reusable
    assert bodies(sink.calls) == [b"abcde"] * 3
    reader.feed(b"more")
    assert not reader.reusable
