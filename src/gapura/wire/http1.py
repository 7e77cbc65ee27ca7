"""HTTP/1 connections as conversations: feed bytes, get calls. No socket, no loop, no clock.

A reader handles one message at a time. The request reader stops behind each request until `next_request` is called, so that
pipelined requests wait in its buffer and answers keep their order.
"""

from __future__ import annotations

from typing import Final, NoReturn, Protocol

from gapura.errors import ClientError, ServerError
from gapura.wire.body import ChunkedDecoder, FramingError
from gapura.wire.request import CHUNKED, RequestHead, parse_request
from gapura.wire.response import UNTIL_CLOSE, ResponseHead, parse_response

HEAD, BODY, DONE, BROKEN = range(4)
_CR: Final = 13
_EMPTY_LINES: Final = 4
"""Bytes of empty lines that are ignored before a request line (RFC 9112 §2.2)."""
MAX_INTERIM: Final = 16
"""1xx answers before the final one."""
MAX_RESPONSE_HEAD: Final = 64 << 10


class RequestSink(Protocol):
    """Who is told about requests. `on_body_end` follows only where the head announced a body."""

    def on_request(self, head: RequestHead) -> None: ...
    def on_body(self, data: bytes) -> None: ...
    def on_body_end(self) -> None: ...


class ResponseSink(Protocol):
    """Who is told about responses."""

    def on_interim(self, head: ResponseHead) -> None: ...
    def on_response(self, head: ResponseHead) -> None: ...
    def on_whole(self, head: ResponseHead, body: bytes) -> None:
        """`on_response`, `on_data` and `on_end` at once: all of a response came in one piece."""

    def on_data(self, data: bytes) -> None: ...
    def on_end(self, trailers: list[bytes]) -> None: ...


class RequestReader:
    """Reads requests from one client connection.

    `state` is HEAD between requests and within a head, BODY within a body, DONE when a whole request was read and the next one
    waits for `next_request`, BROKEN after an error. `buffer` holds a partial head, or what arrived behind a whole request.
    """

    __slots__ = ("sink", "state", "max_head", "max_headers", "max_target", "buffer", "_searched", "_skipped", "_left", "_chunks")

    def __init__(self, sink: RequestSink, max_head: int = 32768, max_headers: int = 100, max_target: int = 8192) -> None:
        self.sink = sink
        self.state = HEAD
        self.max_head = max_head
        self.max_headers = max_headers
        self.max_target = max_target
        self.buffer = b""
        self._searched = 0
        self._skipped = 0
        self._left = 0
        self._chunks: ChunkedDecoder | None = None

    @property
    def behind(self) -> bool:
        """True when a part of a body waits here that is decoded by the next `feed`, be it one of b""."""
        return self.state == BODY and self._chunks is not None and bool(self._chunks.rest)

    @property
    def started(self) -> bool:
        """True when part of a head has arrived."""
        return bool(self.buffer) and self.state == HEAD

    def rest(self) -> bytes:
        """Bytes that followed a request which became a tunnel."""
        data, self.buffer = self.buffer, b""
        return data

    def feed(self, data: bytes) -> None:
        """Take what arrived. Raises ClientError; the reader is then BROKEN for good."""
        try:
            if self.state == BODY:
                self._body(data)
            elif self.state == HEAD:
                self._head(self.buffer + data if self.buffer else data)
            elif self.state == DONE:
                self.buffer += data
        except ClientError:
            self.state = BROKEN
            raise

    def next_request(self) -> None:
        """Go on behind a finished request. Raises ClientError like `feed`."""
        self.state = HEAD
        if self.buffer:
            data, self.buffer = self.buffer, b""
            self.feed(data)

    def _head(self, data: bytes) -> None:
        if data[0] == _CR:
            data = self._skip_empty_lines(data)
        end = data.find(b"\r\n\r\n", self._searched)
        if end < 0:
            self._incomplete(data)
            return
        self._searched = 0
        self._skipped = 0
        if end > self.max_head:
            self._too_long(data)
        head = parse_request(data[:end], self.max_headers, self.max_target)
        rest = data[end + 4 :]
        length = head.length
        if not length:
            self.state = DONE
            self.buffer = rest
            self.sink.on_request(head)
            return
        self.buffer = b""
        self.state = BODY
        self._left = length
        self._chunks = ChunkedDecoder() if length == CHUNKED else None
        self.sink.on_request(head)
        if rest and self.state == BODY:
            self._body(rest)

    def _skip_empty_lines(self, data: bytes) -> bytes:
        while data[:2] == b"\r\n":
            data = data[2:]
            self._skipped += 2
            if self._skipped > _EMPTY_LINES:
                raise ClientError(400, "Too many empty lines before the request.")
        return data

    def _incomplete(self, data: bytes) -> None:
        """Keep a partial head, refuse at once what can never become a valid one."""
        if len(data) > self.max_head + 3:  # all but the last byte of the empty line may be here already
            self._too_long(data)
        if data and (data[0] < 0x21 or data[0] > 0x7E) and data[:1] != b"\r":
            raise ClientError(400, "This is not an HTTP request.")
        newline = data.find(b"\n", max(0, self._searched - 1))
        if newline == 0 or (newline > 0 and data[newline - 1] != 0x0D):
            raise ClientError(400, "A line of the request does not end with CRLF.")
        self._searched = max(0, len(data) - 3)
        self.buffer = data

    def _too_long(self, data: bytes) -> NoReturn:
        line_end = data.find(b"\r\n")
        if line_end < 0 or line_end > self.max_target + 64:
            raise ClientError(414, f"The request line is longer than {self.max_target} bytes.")
        raise ClientError(431, f"The request head is longer than {self.max_head} bytes.")

    def _body(self, data: bytes) -> None:
        chunks = self._chunks
        if chunks is None:
            size = len(data)
            if size <= self._left:
                self._left -= size
                self.sink.on_body(data)
            else:
                body, rest = data[: self._left], data[self._left :]
                self._left = 0
                self.buffer = rest
                self.sink.on_body(body)
            if not self._left:
                self._finish()
            return
        try:
            body = chunks.feed(data)
        except FramingError as error:
            raise ClientError(400, f"The chunked body is broken: {error}.") from None
        if body:
            self.sink.on_body(body)
        if chunks.done and self.state == BODY:
            self.buffer = chunks.rest
            self._finish()

    def _finish(self) -> None:
        if self.state == BODY:
            self.state = DONE
            self.sink.on_body_end()


class ResponseReader:
    """Reads the response to one request after another from a server connection.

    `expect(method)` before each request. `reusable` turns true when the response is complete, nothing followed it and neither side
    asked to close: the connection can carry another request.
    """

    __slots__ = ("sink", "state", "head", "_method", "_buffer", "_left", "_chunks", "_interim", "reusable")

    def __init__(self, sink: ResponseSink) -> None:
        self.sink = sink
        self.state = DONE
        self.head: ResponseHead | None = None
        self._method = b""
        self._buffer = b""
        self._left = 0
        self._chunks: ChunkedDecoder | None = None
        self._interim = 0
        self.reusable = False

    def expect(self, method: bytes) -> None:
        """A request with this method is being sent."""
        self._method = method
        self.state = HEAD
        self.reusable = False
        if self._chunks is not None or self._interim:
            self._chunks = None
            self._interim = 0

    @property
    def behind(self) -> bool:
        """True when a part of a body waits here that is decoded by the next `feed`, be it one of b""."""
        return self.state == BODY and self._chunks is not None and bool(self._chunks.rest)

    @property
    def answering(self) -> bool:
        """Part of the response has arrived."""
        return self.state != HEAD or bool(self._buffer) or self._interim > 0

    def feed(self, data: bytes) -> None:
        """Take what arrived. Raises ServerError."""
        if self.state == BODY:
            self._body(data)
        elif self.state == HEAD:
            self._head(self._buffer + data if self._buffer else data)
        else:
            self.reusable = False  # bytes that nobody asked for: the connection is never used again

    def rest(self) -> bytes:
        """Bytes that followed a 101 head: the first ones of the tunnel."""
        data, self._buffer = self._buffer, b""
        return data

    def closed(self, cleanly: bool = True) -> None:
        """The server closed the connection, or broke it off. Raises ServerError when that cuts a response short."""
        if cleanly and self.state == BODY and self._left == UNTIL_CLOSE and self._chunks is None:
            self._end([])
        elif self.state == BODY:
            raise ServerError(502, "the server closed the connection within the body")
        elif self.state == HEAD:
            raise ServerError(502, "the server closed the connection before it answered")

    def _head(self, data: bytes) -> None:
        end = data.find(b"\r\n\r\n")
        if end < 0:
            if len(data) > MAX_RESPONSE_HEAD:
                raise ServerError(502, "the answer's head is too long")
            if not b"HTTP/1."[: len(data)] == data[:7]:
                raise ServerError(502, "the answer is not HTTP")
            self._buffer = data
            return
        if end > MAX_RESPONSE_HEAD:
            raise ServerError(502, "the answer's head is too long")
        head = parse_response(data[:end], self._method)
        rest = data[end + 4 :]
        self._buffer = b""
        if head.status < 200:
            self._interim_head(head, rest)
            return
        self.head = head
        length = head.length
        if 0 <= length <= len(rest):
            self.state = DONE
            if length == len(rest):
                self.reusable = head.reusable
            else:
                rest = rest[:length]
            self.sink.on_whole(head, rest)
            return
        self.state = BODY
        self._left = length
        if length == CHUNKED:
            self._chunks = ChunkedDecoder()
        self.sink.on_response(head)
        if rest and self.state == BODY:
            self._body(rest)

    def _interim_head(self, head: ResponseHead, rest: bytes) -> None:
        if head.status == 101:
            self.state = DONE
            self._buffer = rest
            self.sink.on_response(head)
            return
        self._interim += 1
        if self._interim > MAX_INTERIM:
            raise ServerError(502, "the server sent too many interim answers")
        self.sink.on_interim(head)
        if rest:
            self._head(rest)

    def _body(self, data: bytes) -> None:
        chunks = self._chunks
        if chunks is not None:
            try:
                body = chunks.feed(data)
            except FramingError as error:
                raise ServerError(502, f"the answer's chunked body is broken: {error}") from None
            if chunks.done:
                if body:
                    self.sink.on_data(body)
                self._end(chunks.trailers, surplus=bool(chunks.rest))
            elif body:
                self.sink.on_data(body)
            return
        if self._left == UNTIL_CLOSE:
            self.sink.on_data(data)
            return
        size = len(data)
        if size < self._left:
            self._left -= size
            self.sink.on_data(data)
            return
        surplus = size > self._left
        if surplus:
            data = data[: self._left]
        self._left = 0
        self.sink.on_data(data)
        self._end([], surplus)

    def _end(self, trailers: list[bytes], surplus: bool = False) -> None:
        if self.state == BODY:
            self.state = DONE
            self.reusable = self.head is not None and self.head.reusable and not surplus
            self.sink.on_end(trailers)
