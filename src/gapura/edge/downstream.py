"""A client's HTTP/1 connection: requests in, answers out in the same order, never more in memory than the peer takes."""

from __future__ import annotations

import asyncio
import socket
import struct
from time import monotonic_ns
from typing import TYPE_CHECKING, Final, cast

from gapura.edge import pages
from gapura.edge.deadlines import expire_sending, trickles
from gapura.edge.exchange import Exchange
from gapura.edge.recall import repeat
from gapura.errors import ClientError
from gapura.records import BROKEN_OFF
from gapura.wire.body import chunk, last_chunk
from gapura.wire.http1 import BODY, BROKEN, DONE, HEAD, RequestReader
from gapura.wire.request import RequestHead

if TYPE_CHECKING:
    from gapura.edge.encrypted import Encrypted
    from gapura.edge.recall import Recalled
    from gapura.edge.worker import Worker

HIGH_WATER: Final = 64 << 10
"""Bytes waiting for a slow client before the server's side is paused."""
DISCARD: Final = 64 << 10
"""Bytes of an unwanted request body that are read to keep the connection; a longer one closes it."""
LINGER: Final = 2_000_000_000
"""After an answer that closes the connection while the client still sends: read on for so long (ns), or the answer could be lost to
a reset."""
AT_ONCE: Final = 32
"""Pipelined requests that are answered one after the other before others have their turn."""

IDLE, READING, RECEIVING, WORKING, SENDING, LINGERING, FRESH = range(7)
"""What the connection's deadline is about: next request, head, body, nothing, a slow reader, closing, the first request."""
BETWEEN: Final = frozenset((IDLE, FRESH))


class Downstream:
    """One client connection. It is the sink of one exchange after another.

    It has the methods of `asyncio.Protocol` without inheriting from it, so that it can be compiled (tools/compile).
    """

    __slots__ = (
        "worker", "transport", "client", "peer", "scheme", "tls", "forwarded", "reader",
        "exchange", "phase", "deadline", "requests", "accepted_at", "now", "since", "outstanding",
        "pending", "chunked", "bodyless", "open_ended", "closing", "keep_alive", "discarded", "advancing",
        "body_paused", "breathing", "write_paused", "half_closed", "continue_due", "lost",
        "recall", "raw",
    )  # fmt: skip

    scheme: bytes

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.scheme = b"http"
        self.tls: Encrypted | None = None
        self.exchange: Exchange | None = None
        self.requests = 0
        self.pending = b""
        self.chunked = self.bodyless = self.open_ended = self.closing = False
        self.keep_alive = True
        self.discarded = 0
        self.advancing = False
        self.body_paused = self.breathing = False
        self.write_paused = False
        self.half_closed = self.continue_due = self.lost = False
        self.outstanding = 0
        self.recall: dict[bytes, Recalled] | None = None
        self.raw = b""  # what was read last, while it may be exactly one request

    # -- asyncio --------------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        worker = self.worker
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(HIGH_WATER)
        peer = transport.get_extra_info("peername")
        self.peer: str = peer[0].removeprefix("::ffff:") if peer else "unknown"  # it has left already (RFC 7239 §6.2)
        self.client = self.peer.encode()
        self.forwarded = b"X-Forwarded-For: %b\r\nX-Forwarded-Proto: %b" % (self.client, self.scheme)
        limits = worker.limits
        self.reader = RequestReader(self, limits["head"], limits["headers"], limits["target"])
        self.accepted_at = self.now = self.since = monotonic_ns()
        self.phase = FRESH
        self.deadline = self.since + worker.head_ns
        if worker.snapshot.sends_files and not (self.tls and self.tls.subject):
            self.recall = worker.recall.of(self.scheme)
        if not worker.admit(self):
            self._refuse_connection()

    def data_received(self, data: bytes) -> None:
        reader = self.reader
        phase = self.phase
        self.now = now = monotonic_ns()
        if phase in BETWEEN:
            if self.recall is not None:
                answer = self.recall.get(data)
                if answer is not None and now < answer.until and (self.tls is None or self.tls.server_name == answer.server_name):
                    repeat(self, answer, now)
                    return
                self.raw = data
            self.since = now
            if phase == IDLE:
                self.deadline = now + self.worker.head_ns
            self.phase = READING
        elif phase == READING:
            self.raw = b""
        elif phase == RECEIVING:
            self.deadline = now + self.worker.body_ns
        elif phase == LINGERING:
            return
        try:
            reader.feed(data)
        except ClientError as error:
            self._client_error(error)
        if self.exchange is None and reader.state != HEAD and not self.advancing:
            self._advance()
        if reader.state == DONE and len(reader.buffer) > HIGH_WATER:
            self._pause_reading()  # pipelined requests wait in the kernel, not here
        elif reader.state == BODY and reader.behind:
            self._breathe()

    def _breathe(self) -> None:
        """There is more to do than one connection may do at once: read nothing, and go on after the others."""
        if not self.breathing and not self.lost and not self.transport.is_closing():
            self.breathing = True
            self.transport.pause_reading()
            self.worker.busy(self._go_on)

    def _go_on(self) -> None:
        self.breathing = False
        if self.reader.behind and not self.lost:
            self.data_received(b"")
        elif self.exchange is None and not self.advancing and not self.lost:
            self._advance()
        self._read_on()

    def _read_on(self) -> None:
        if not (self.breathing or self.body_paused or self.lost or self.transport.is_closing()):
            self.transport.resume_reading()

    def eof_received(self) -> bool:
        """The client has sent all it will. A whole request still gets its answer."""
        self.half_closed = True
        exchange = self.exchange
        if exchange is None:
            return False
        if self.reader.state == BODY:
            self._client_error(ClientError(400, "The request body ended too early."))
            return True
        if not self.reader.buffer:
            self.keep_alive = False
        return not (exchange.started and self.chunked)  # an open-ended answer to somebody who left would never end

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        self.worker.forget(self)
        exchange, self.exchange = self.exchange, None
        if exchange is not None:
            exchange.on_client_gone()

    def pause_writing(self) -> None:
        self.write_paused = True
        self.phase = SENDING
        self.deadline = monotonic_ns() + self.worker.send_ns
        self.outstanding = 0
        exchange = self.exchange
        if exchange is not None and exchange.handler is not None:
            exchange.handler.pause()

    def resume_writing(self) -> None:
        self.write_paused = False
        exchange = self.exchange
        if self.phase == SENDING:
            self.phase = WORKING if exchange is not None else IDLE
            self.deadline = 0 if exchange is not None else monotonic_ns() + self.worker.idle_ns
        if exchange is not None:
            if exchange.handler is not None:
                exchange.handler.resume()
        elif not self.advancing:
            self._advance()

    # -- the reader's sink ----------------------------------------------------------------------------------------------

    def on_request(self, head: RequestHead) -> None:
        worker = self.worker
        self.requests += 1
        self.keep_alive = head.keep_alive and not worker.draining
        self.exchange = exchange = Exchange(worker, self, worker.snapshot, head, self.since)
        if head.length:
            self.discarded = 0
            self.phase = RECEIVING
            self.since = self.now
            self.deadline = self.now + worker.body_ns
            self.continue_due = head.expect_continue
        else:
            self.phase = WORKING
            self.deadline = 0
        if worker.trust.networks:
            exchange.client = worker.trust.client(head, self.peer)
        exchange.begin()

    def on_body(self, data: bytes) -> None:
        exchange = self.exchange
        if exchange is not None:
            exchange.on_body(data)
            return
        self.discarded += len(data)
        if self.discarded > DISCARD:
            self._linger()

    def on_body_end(self) -> None:
        if self.phase == RECEIVING:
            self.phase = WORKING
            self.deadline = 0
        if self.exchange is not None:
            self.exchange.on_body_end()

    def _client_error(self, error: ClientError) -> None:
        """The request is at fault: answer once if that is still possible, then close."""
        self.keep_alive = False
        exchange = self.exchange
        if exchange is None:
            if self.lost or self.closing:
                return
            head = RequestHead(b"-", b"-", 1)
            self.requests += 1
            self.exchange = exchange = Exchange(self.worker, self, self.worker.snapshot, head, self.since)
        exchange.refuse(error.status, error.reason)

    # -- the exchange's sink --------------------------------------------------------------------------------------------

    def start(self, block: bytes, length: int, bodyless: bool) -> None:
        self.pending = b"%b%b\r\n" % (block, self._framing(length, bodyless))

    def _framing(self, length: int, bodyless: bool) -> bytes:
        """The header lines by which this client finds the end of the answer (RFC 9112 §6, §9.3), each after a CRLF."""
        exchange = cast(Exchange, self.exchange)
        head = exchange.head
        if head.length:
            self._unread_body(exchange)
        self.bodyless = bodyless
        self.chunked = self.open_ended = False
        framing = b"\r\n"
        if length >= 0:
            framing = b"\r\nContent-Length: %d\r\n" % length
        elif not bodyless:
            if head.minor:
                framing = b"\r\nTransfer-Encoding: chunked\r\n"
                self.chunked = True
            else:
                self.open_ended = True
                self.keep_alive = False
        if not self.keep_alive:
            return framing + b"Connection: close\r\n"
        return framing if head.minor else framing + b"Connection: keep-alive\r\n"

    def _unread_body(self, exchange: Exchange) -> None:
        """Keep the connection only when what follows of an unread body is sure to come and to be short."""
        state = self.reader.state
        short = 0 < exchange.head.length <= DISCARD and not self.continue_due
        if state == BROKEN or (state != DONE and exchange.handler is None and not short):
            self.keep_alive = False

    def whole(self, block: bytes, body: bytes, length: int, bodyless: bool, now: int) -> None:
        framing = self._framing(length, bodyless)
        if bodyless:
            body = b""
        cast(Exchange, self.exchange).sent = len(body)
        if not self.lost:
            self.transport.write(b"".join((block, framing, b"\r\n", body)))
        self._ended(now)

    def interim(self, block: bytes) -> None:
        if self.exchange is not None and self.exchange.head.minor and not self.lost:
            self.transport.write(block + b"\r\n\r\n")

    def data(self, data: bytes) -> None:
        if self.lost or self.bodyless:
            return
        if self.chunked:
            data = chunk(data)
        if self.pending:
            data = self.pending + data
            self.pending = b""
        self.transport.write(data)

    def flush(self) -> None:
        if self.pending and not self.lost:
            self.transport.write(self.pending)
            self.pending = b""

    def end(self, trailers: list[bytes]) -> None:
        if not self.lost:
            tail = self.pending
            self.pending = b""
            if self.chunked:
                tail += last_chunk(trailers)
            if tail:
                self.transport.write(tail)
        self._ended(monotonic_ns())

    def _ended(self, now: int) -> None:
        """The answer is written: on to the next request, or close."""
        exchange = cast(Exchange, self.exchange)
        self.exchange = None
        exchange.handler = None
        exchange.finish(now)
        if self.lost:
            return
        state = self.reader.state
        if not self.keep_alive or state == BROKEN or (self.half_closed and not self.reader.buffer):
            self._linger()
            return
        if state == BODY:
            self.phase = RECEIVING
            self.deadline = now + self.worker.body_ns
        elif not self.write_paused:
            self.phase = IDLE
            self.deadline = now + self.worker.idle_ns
        if self.body_paused and len(self.reader.buffer) <= HIGH_WATER:
            self.resume_body()
        if not self.advancing:
            if state == DONE and not self.reader.buffer and not self.write_paused:
                self.reader.state = HEAD  # the usual case of `_advance`: nothing waits
            else:
                self._advance()

    def abort(self) -> None:
        """Break off: the client sees a short body or a reset, never an answer that looks whole."""
        exchange, self.exchange = self.exchange, None
        if not self.lost:
            if self.open_ended:
                self._reset()
            else:
                self.flush()
                self._close()
            self.closing = True
        if exchange is not None:
            exchange.flags |= BROKEN_OFF
            exchange.finish(monotonic_ns())

    def pause_body(self) -> None:
        if not self.body_paused:
            self._pause_reading()
            self.deadline = 0

    def _pause_reading(self) -> None:
        if not self.body_paused and not self.lost and not self.closing:
            self.body_paused = True
            self.transport.pause_reading()

    def resume_body(self) -> None:
        if self.body_paused and not self.lost:
            self.body_paused = False
            self._read_on()
            if self.phase == RECEIVING:
                self.deadline = monotonic_ns() + self.worker.body_ns

    def last(self) -> None:
        self.keep_alive = False

    def want_body(self) -> None:
        if self.continue_due:
            self.continue_due = False
            if self.reader.state == BODY and not self.lost:
                self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def become_tunnel(self, head: bytes) -> tuple[asyncio.Transport, bytes]:
        """Answer 101 and hand the connection over, with the bytes that came too early. It stays counted until the tunnel ends."""
        self.phase = WORKING
        self.deadline = 0
        self.transport.write(head)
        if self.body_paused:
            self.transport.resume_reading()
        return self.transport, self.reader.rest()

    # -- between requests -----------------------------------------------------------------------------------------------

    def _advance(self) -> None:
        """Go on with pipelined requests, one after the other and without recursion."""
        self.advancing = True
        try:
            reader = self.reader
            before = self.requests
            while self.exchange is None and reader.state == DONE and not self.closing and not self.write_paused:
                if reader.buffer:
                    self.raw = b""
                    if self.requests - before >= AT_ONCE:
                        self._breathe()
                        break
                    self.now = self.since = monotonic_ns()
                    reader.next_request()
                    if self.exchange is None and reader.state == HEAD:
                        self.phase = READING
                        self.deadline = self.since + self.worker.head_ns
                else:
                    reader.next_request()
            if self.half_closed and self.exchange is None and reader.state == HEAD:
                self._linger()  # what is left is no whole request, and never will be
            if self.exchange is None and self.body_paused and not self.closing and not self.write_paused:
                self.resume_body()
        except ClientError as error:
            self._client_error(error)
        finally:
            self.advancing = False

    def _linger(self) -> None:
        """Close after an answer. When the client may still be sending, half-close and read on for a moment (RFC 9112 §9.6)."""
        if self.lost or self.closing:
            return
        if self.half_closed or (self.reader.state == DONE and not self.reader.buffer):
            self._close()
            return
        self.closing = True
        self.phase = LINGERING
        self.deadline = monotonic_ns() + LINGER
        self.outstanding = 0
        if self.transport.can_write_eof():
            self.transport.write_eof()
        if self.body_paused:
            self.body_paused = False
            self.transport.resume_reading()

    def _close(self) -> None:
        """Close as soon as all is sent. A client that does not take it is given up like any other."""
        self.closing = True
        self.phase = LINGERING
        self.deadline = monotonic_ns() + self.worker.send_ns
        self.outstanding = 0
        self.transport.close()

    def _reset(self) -> None:
        sock = self.transport.get_extra_info("socket")
        if sock is not None and sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    def _refuse_connection(self) -> None:
        body, lines = pages.render(503, None, "Too many connections are open. Try again in a moment.")
        head = b"\r\n".join([b"HTTP/1.1 503 Service Unavailable", *lines, b"Content-Length: %d" % len(body), b"Connection: close"])
        self.transport.write(head + b"\r\n\r\n" + body)
        self._close()

    # -- deadlines ------------------------------------------------------------------------------------------------------

    def expire(self, now: int) -> None:
        """The deadline has passed (called by the worker's sweep)."""
        phase = self.phase
        if phase == SENDING or (phase == LINGERING and self.transport.get_write_buffer_size()):
            expire_sending(self, now)
        elif phase == LINGERING:
            self.transport.abort()
        elif phase in (IDLE, FRESH):
            self._close()
        elif phase == READING:
            if not self.reader.started:  # an empty line at most: an answer to it would be taken for the next one
                self._close()
            else:
                self._client_error(ClientError(408, "The request head did not arrive in time."))
        elif phase == RECEIVING:
            if self.exchange is None:
                self._linger()
            else:
                self._client_error(ClientError(408, "The request body did not arrive in time."))

    def too_slow(self, now: int) -> bool:
        """A request body that trickles in below the minimum rate."""
        return self.phase == RECEIVING and trickles(self, now)

    def drain(self) -> None:
        """The worker ends: announce it with the next answer."""
        if self.exchange is not None and not self.exchange.started:
            self.keep_alive = False
