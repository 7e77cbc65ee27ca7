"""Sends an open file, or parts of it, as fast as the client takes it.

Over a plain connection the kernel moves the bytes (sendfile), into a duplicate of the connection's socket and only while nothing
waits in the transport's own buffer, so that the order holds. Where bytes pass a layer on their way (TLS, a filter) they are read
and handed on in pieces.
"""

from __future__ import annotations

import os
import socket
from time import monotonic_ns
from typing import Final

from gapura.edge.downstream import SENDING, Downstream
from gapura.edge.exchange import Exchange
from gapura.edge.ranges import Range

PIECE: Final = 128 << 10
"""Bytes read from the disk at a time."""
TURN: Final = 2 << 20
"""Bytes of a file that one client gets before the others have their turn (nginx: sendfile_max_chunk)."""
LAYERED: Final = 256 << 10
"""The same through a layer, which may have to work on them."""


class Sending:
    """Handler of an answer whose body is made of `parts`: bytes as they are, and pieces of the file. Closes `fd`."""

    __slots__ = ("exchange", "fd", "_parts", "_sock", "_watched", "_paused", "_queued")

    def __init__(self, exchange: Exchange, fd: int, parts: list[bytes | Range]) -> None:
        self.exchange = exchange
        self.fd = fd
        self._parts = parts[::-1]
        self._sock: socket.socket | None = None
        self._watched = False
        self._paused = False
        self._queued = False
        exchange.handler = self

    def begin(self, status: int, block: bytes, length: int) -> None:
        """Start the answer and send what can be sent at once."""
        exchange = self.exchange
        sink = exchange.sink
        exchange.start(status, block, length, False)
        self._sock = _own_socket(sink) if isinstance(sink, Downstream) else None
        if self._sock is None or not isinstance(sink, Downstream):
            self._pump()
            return
        head, sink.pending = sink.pending, b""
        self._parts.append(head)
        exchange.sent -= len(head)  # the head is no part of the body
        self._write()

    # -- by the kernel --------------------------------------------------------------------------------------------------

    def _write(self) -> None:
        """The socket takes more."""
        sink, sock = self.exchange.sink, self._sock
        if sock is None or not isinstance(sink, Downstream):
            return
        moved = 0
        try:
            while self._parts and moved < TURN and not sink.transport.get_write_buffer_size():
                part = self._parts.pop()
                count = self._send(sock, part, TURN)
                if not count:  # the file is shorter than announced: the client must see it
                    self._break_off()
                    return
                moved += count
                if not isinstance(part, bytes) and count < min(part[1], TURN):
                    break  # the socket is full: another try would only be told so
        except (BlockingIOError, InterruptedError):
            pass
        except OSError:
            self._break_off()
            return
        self.exchange.sent += moved
        if not self._parts:
            self._end()
            return
        _wait(sink, moved > 0)
        if not self._watched:
            self._watched = True
            self.exchange.worker.loop.add_writer(sock.fileno(), self._write)

    def _send(self, sock: socket.socket, part: bytes | Range, most: int) -> int:
        """Send from a part, and put back what is left of it: all of it when the socket is full (BlockingIOError)."""
        left: bytes | Range = part
        try:
            if isinstance(part, bytes):
                count = sock.send(part, socket.MSG_MORE if self._parts else 0)
                left = part[count:]
            else:
                first, length = part
                count = os.sendfile(sock.fileno(), self.fd, first, min(length, most))
                left = (first + count, length - count)
        finally:
            if left[-1:] if isinstance(left, bytes) else left[1]:
                self._parts.append(left)
        return count

    # -- in pieces ------------------------------------------------------------------------------------------------------

    def _pump(self) -> None:
        """Read and hand on until the client is slow or others want a turn."""
        self._queued = False
        moved = 0
        while self._parts and not self._paused:
            if moved >= LAYERED:
                self._queued = True
                self.exchange.worker.busy(self._go_on)
                return
            part = self._parts.pop()
            if isinstance(part, bytes):
                data = part
            else:
                first, length = part
                try:
                    data = os.pread(self.fd, min(PIECE, length), first)
                except OSError:
                    data = b""
                if not data:
                    self._break_off()
                    return
                if len(data) < length:
                    self._parts.append((first + len(data), length - len(data)))
            moved += len(data)
            self.exchange.sent += len(data)
            self.exchange.sink.data(data)
        if not self._parts and self.fd >= 0:
            self._end()

    def _go_on(self) -> None:
        if self._queued and self.fd >= 0:
            self._pump()

    # -- the end --------------------------------------------------------------------------------------------------------

    def _end(self) -> None:
        self.cancel()
        self.exchange.sink.end([])

    def _break_off(self) -> None:
        self.cancel()
        self.exchange.handler = None
        self.exchange.sink.abort()

    # -- a handler ------------------------------------------------------------------------------------------------------

    def body(self, data: bytes) -> None:
        """A body on GET means nothing here (RFC 9110 §9.3.1)."""

    def body_end(self) -> None: ...

    def pause(self) -> None:
        self._paused = True

    def resume(self) -> None:
        self._paused = False
        sink = self.exchange.sink
        if self._sock is not None and isinstance(sink, Downstream):
            _wait(sink, True)
        elif self.fd >= 0 and not self._queued:
            self._pump()

    def cancel(self) -> None:
        """Let go of the file and of the socket's duplicate."""
        sock, self._sock = self._sock, None
        if sock is not None:
            if self._watched:
                # before it is closed: the connection lives on, and the kernel would go on telling of this descriptor
                self.exchange.worker.loop.remove_writer(sock.fileno())
            sock.close()
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def _own_socket(connection: Downstream) -> socket.socket | None:
    """A duplicate of a connection's socket. None where bytes pass a layer (TLS), or when no descriptor is left."""
    if connection.lost or connection.closing or connection.scheme != b"http":
        return None
    sock = connection.transport.get_extra_info("socket")
    if sock is None:
        return None
    try:
        return socket.socket(sock.family, sock.type, sock.proto, os.dup(sock.fileno()))
    except OSError:
        return None


def _wait(connection: Downstream, moved: bool) -> None:
    """The client has `send` seconds to take more, from now if it has `moved`."""
    if moved or connection.phase != SENDING:
        connection.phase = SENDING
        connection.deadline = monotonic_ns() + connection.worker.send_ns
        connection.outstanding = 0
