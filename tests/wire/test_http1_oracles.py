"""Other people's parsers as oracles, on thousands of mutated messages.

Nothing but our own errors may come out; what we accept h11 accepts with the same meaning, or the exception is listed here with its
reason; and what is passed on is strictly valid.
"""

from __future__ import annotations

import re
from typing import Any

import h11
import httptools
import pytest

from gapura.wire.body import chunk, last_chunk
from gapura.wire.headers import find_all
from gapura.wire.request import CHUNKED

from .conversation import Call, agree, bodies, bytewise, heads, hear_requests, hear_response
from .mutants import mutants
from .test_http1 import REQUESTS, RESPONSES

MUTATIONS = 1500
"""Of requests, and as many of responses."""

Message = tuple[bytes, bytes, bytes]
"""Method (or status), target (or nothing), body."""

REQUEST_SEEDS = [
    *(data for data, _, _ in REQUESTS.values()),
    b"POST /up?q=1 HTTP/1.1\r\nHost: a.b:81\r\nContent-Type: a/b\r\nContent-Length: 11\r\nExpect: 100-continue\r\n\r\nhello world",
    b"GET /a%20b/./c HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, x-a\r\nX-A: 1\r\nCookie: a=b; c=d\r\nTE: trailers\r\n\r\n",
]
RESPONSE_SEEDS = [data for method, data, *_ in RESPONSES.values() if method == b"GET"]

LENIENT = (
    # what we accept and h11 does not, and why that is right
    (re.compile(rb"\A(?:\r\n)+"), "empty lines before a request are ignored: RFC 9112 §2.2"),
    (re.compile(rb"(?i)\r\n[0-9a-f]+[ \t]+;"), "white space before a chunk extension is BWS: RFC 9112 §7.1.1"),
    (re.compile(rb"\r\nHost:[ \t]*\r\n"), "an empty Host is refused by the router, which knows what a name is"),
)


def excused(data: bytes) -> bool:
    return any(pattern.search(data) for pattern, _ in LENIENT)


def complete(calls: list[Call]) -> list[Message]:
    """The messages of a conversation that came to their end."""
    ended = [call for call in calls if call[0] == "end"]
    return [
        (head.get("method") or b"%d" % head["status"], head.get("target", b""), body)
        for head, body in zip(heads(calls)[: len(ended)], bodies(calls), strict=True)
    ]


def by_h11_as_server(data: bytes) -> list[Message] | None:
    """The complete requests in `data` as h11 reads them; None when it refuses the first bytes that it cannot read."""
    found: list[Message] = []
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(data)
    head: Any = None
    body = b""
    while True:
        try:
            event = connection.next_event()
        except h11.RemoteProtocolError:
            return found or None
        if isinstance(event, h11.Request):
            head, body = event, b""
        elif isinstance(event, h11.Data):
            body += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage):
            found.append((head.method, head.target, body))
        else:
            if event is not h11.PAUSED or connection.their_state is not h11.DONE:
                return found
            connection.send(h11.Response(status_code=204, headers=[]))
            connection.send(h11.EndOfMessage())
            if connection.our_state is not h11.DONE:
                return found
            connection.start_next_cycle()


def by_h11_as_client(data: bytes, method: bytes = b"GET") -> Message | None:
    """The answer in `data` as h11 reads it."""
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method=method, target="/", headers=[("Host", "a")]))
    connection.send(h11.EndOfMessage())
    connection.receive_data(data)
    status, body = b"", b""
    while True:
        try:
            event = connection.next_event()
        except h11.RemoteProtocolError:
            return None
        if isinstance(event, h11.Response):
            status = b"%d" % event.status_code
        elif isinstance(event, h11.Data):
            body += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage):
            return status, b"", body
        elif not isinstance(event, h11.InformationalResponse):
            return None


class Tool:
    """httptools' callbacks for one request."""

    def __init__(self) -> None:
        self.parser = httptools.HttpRequestParser(self)
        self.target = self.body = b""
        self.messages: list[Message] = []

    def on_message_begin(self) -> None:
        self.target = self.body = b""

    def on_url(self, url: bytes) -> None:
        self.target += url

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.messages.append((self.parser.get_method(), self.target, self.body))


def by_httptools(data: bytes) -> list[Message]:
    tool = Tool()
    try:
        tool.parser.feed_data(data)
    except (httptools.HttpParserError, httptools.HttpParserUpgrade):
        pass
    return tool.messages


def served(messages: list[Message]) -> list[tuple[bytes, bytes]]:
    """Without the targets, which we normalise and they do not."""
    return [(method, body) for method, _, body in messages]


def passed_on(head: dict[str, Any], body: bytes) -> bytes:
    """A request as it would be written anew for a server."""
    lines = [b"%b %b HTTP/1.1" % (head["method"], head["target"]), b"Host: " + (head["host"] or b"none"), *head["lines"]]
    if head["length"] == CHUNKED:
        lines.append(b"Transfer-Encoding: chunked")
        body = (chunk(body) if body else b"") + last_chunk()
    elif head["length_seen"]:
        lines.append(b"Content-Length: %d" % head["length"])
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def test_the_seeds_mean_the_same_to_everybody() -> None:
    for data in REQUEST_SEEDS:
        ours = complete(hear_requests([data]))
        assert ours
        if not excused(data):
            theirs = by_h11_as_server(data)
            assert theirs is not None
            assert served(theirs) == served(ours)[: len(theirs)]
    for data in RESPONSE_SEEDS:
        assert by_h11_as_client(data) == complete(hear_response([data]))[0], data


def test_mutated_requests() -> None:
    accepted = 0
    for data in mutants(REQUEST_SEEDS, MUTATIONS, seed=9112):
        calls = hear_requests([data])
        assert agree(calls, hear_requests(bytewise(data))), data
        ours = complete(calls)
        accepted += len(ours)
        if not ours or excused(data):
            continue
        theirs = by_h11_as_server(data)
        assert theirs is not None, (data, ours)
        both = min(len(ours), len(theirs))
        assert served(theirs)[:both] == served(ours)[:both], data
        tools = by_httptools(data)
        assert served(tools)[: len(ours)] == served(ours)[: len(tools)], data
    assert MUTATIONS / 3 < accepted < MUTATIONS * 2


def test_mutated_requests_are_passed_on_as_valid_ones() -> None:
    checked = 0
    for data in mutants(REQUEST_SEEDS, MUTATIONS, seed=9110):
        calls = hear_requests([data])
        for head, body in zip(heads(calls), bodies(calls), strict=False):
            assert find_all(head["lines"], b"host") == []
            assert find_all(head["lines"], b"content-length") == find_all(head["lines"], b"transfer-encoding") == []
            if not head["host"]:
                continue
            written = passed_on(head, body)
            assert by_h11_as_server(written) == [(head["method"], head["target"], body)], data
            (again,) = heads(hear_requests([written]))
            assert again["path"] == head["path"]
            assert again["lines"] == head["lines"]
            checked += 1
    assert checked > MUTATIONS / 4


def test_mutated_responses() -> None:
    accepted = 0
    for data in mutants(RESPONSE_SEEDS, MUTATIONS, seed=9111):
        calls = hear_response([data])
        assert agree(calls, hear_response(bytewise(data))), data
        ours = complete(calls)
        if not ours or heads(calls)[0]["status"] == 101:
            continue
        accepted += 1
        theirs = by_h11_as_client(data)
        if theirs is None:
            assert theirs_too_strict(data), data
            continue
        assert theirs == ours[0], data
    assert accepted > MUTATIONS / 6


MENDED = (
    # answers that h11 refuses and RFC 9112 lets a proxy mend
    (re.compile(rb"\r\n[^ \t\r:]+[ \t]+:"), "white space before the colon is removed: §5.1"),
    (re.compile(rb"(?i)\r\n[0-9a-f]+[ \t]+;"), "white space before a chunk extension is BWS: §7.1.1"),
)


def theirs_too_strict(data: bytes) -> bool:
    return any(pattern.search(data) for pattern, _ in MENDED)


@pytest.mark.parametrize("data", [b"", b"\r\n", b"\xff" * 100, b"GET " * 100, b"0\r\n\r\n" * 20], ids=repr)
def test_noise_is_refused_or_waited_for(data: bytes) -> None:
    assert complete(hear_requests([data] if data else [])) == []
    assert complete(hear_response([data] if data else [])) == []
