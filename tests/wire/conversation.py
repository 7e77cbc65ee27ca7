"""Conversations with the readers: what is fed, and which calls come of it.

A conversation is a list of calls as plain tuples. Neighbouring pieces of a body are joined, because how a body is cut depends
on how the bytes arrive, and nothing else may.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any

from gapura.errors import ClientError, ServerError
from gapura.wire.http1 import BROKEN, DONE, RequestReader, ResponseReader
from gapura.wire.request import RequestHead
from gapura.wire.response import ResponseHead

Call = tuple[Any, ...]


def _shown(head: RequestHead | ResponseHead) -> dict[str, Any]:
    """All that a head says. Compiled classes have no `__slots__`, but attributes all the same."""
    parts = [name for name in dir(head) if not name.startswith("_") and name != "connection"]
    return {name: value for name in parts if not callable(value := getattr(head, name))}


class Heard:
    """A sink that writes down what it is told."""

    def __init__(self) -> None:
        self.calls: list[Call] = []

    def _piece(self, data: bytes) -> None:
        assert data, "an empty piece of a body is no piece"
        if self.calls[-1][0] == "body":
            data = self.calls.pop()[1] + data
        self.calls.append(("body", data))

    def on_request(self, head: RequestHead) -> None:
        self.calls.append(("request", _shown(head)))
        if not head.length:
            self.calls.append(("end",))  # nobody says so: the head has said it

    def on_body(self, data: bytes) -> None:
        self._piece(data)

    def on_body_end(self) -> None:
        self.calls.append(("end",))

    def on_whole(self, head: ResponseHead, body: bytes) -> None:
        self.on_response(head)
        if body:
            self.on_data(body)
        self.on_end([])

    def on_interim(self, head: ResponseHead) -> None:
        self.calls.append(("interim", _shown(head)))

    def on_response(self, head: ResponseHead) -> None:
        self.calls.append(("response", _shown(head)))

    def on_data(self, data: bytes) -> None:
        self._piece(data)

    def on_end(self, trailers: list[bytes]) -> None:
        self.calls.append(("end", trailers))


def hear_requests(pieces: Iterable[bytes], **limits: int) -> list[Call]:
    """The calls that a client's bytes lead to; the last one is ("refused", status) when the reader had enough."""
    sink = Heard()
    reader = RequestReader(sink, **limits)
    try:
        for piece in pieces:
            reader.feed(piece)
            while reader.state == DONE:
                reader.next_request()
    except ClientError as error:
        assert reader.state == BROKEN
        sink.calls.append(("refused", error.status))
        reader.feed(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")  # what is broken stays broken, and takes no more
    return sink.calls


def hear_response(pieces: Iterable[bytes], method: bytes = b"GET", closed: bool = False) -> list[Call]:
    """The calls that a server's bytes lead to; then ("reusable", flag), or ("broken", status) when they make no sense."""
    sink = Heard()
    reader = ResponseReader(sink)
    reader.expect(method)
    try:
        for piece in pieces:
            reader.feed(piece)
        if closed:
            reader.closed()
    except ServerError as error:
        sink.calls.append(("broken", error.status))
        return sink.calls
    sink.calls.append(("reusable", reader.reusable))
    return sink.calls


def bytewise(data: bytes) -> Iterator[bytes]:
    return (data[at : at + 1] for at in range(len(data)))


def cut(data: bytes, places: list[int]) -> Iterator[bytes]:
    """`data` in pieces, cut at these places (those outside are taken modulo its length)."""
    marks = sorted({place % (len(data) + 1) for place in places} | {0, len(data)})
    return (data[start:end] for start, end in pairwise(marks))


def heads(calls: list[Call]) -> list[dict[str, Any]]:
    return [call[1] for call in calls if call[0] in ("request", "response")]


def bodies(calls: list[Call]) -> list[bytes]:
    """The body of each complete message."""
    found: list[bytes] = []
    body = b""
    for call in calls:
        if call[0] == "body":
            body = call[1]
        elif call[0] == "end":
            found.append(body)
            body = b""
    return found


def agree(whole: list[Call], pieces: list[Call]) -> bool:
    """Whether a message that is broken is heard alike in one piece and in many.

    Where a body breaks off, more or less of it may have been heard; and what can never become a message may be refused before it
    is complete, for another of its faults.
    """
    verdict = whole[-1][0] if whole else "waiting"
    if verdict in ("refused", "broken") and pieces[-1][0] != verdict:
        return False
    return heads(whole) == heads(pieces) and bodies(whole) == bodies(pieces)
