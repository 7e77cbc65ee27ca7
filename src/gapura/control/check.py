"""One health check: connect, GET, read the status line, leave. Nothing in it blocks or raises, whatever the peer sends."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import ssl
from collections.abc import Callable

from gapura import __version__
from gapura.outgoing import why

Address = tuple[str, int] | str
"""Numeric host and port, or the path of a UNIX socket."""
Secure = tuple[ssl.SSLContext, str]
"""TLS to the server, and the name that its certificate must have."""

STATUS_LINE = 1024
"""Longest status line that is read, in bytes."""
COURTESY = 64 << 10
"""So much of the rest of an answer is read and thrown away: closing earlier would reset the connection, and many apps log that."""

_OURS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL})
"""Failures of this machine, which say nothing about the server."""


def request(path: str, host: str) -> bytes:
    """The bytes of a check (RFC 9112 §3). The peer is asked to close, so that no connection is kept at it."""
    agent = f"Gapura/{__version__} (health check)"
    return f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {agent}\r\nAccept: */*\r\nConnection: close\r\n\r\n".encode()


class Check:
    """A check under way. `done(check)` is called once, with `status` and `reason` set, unless it is cancelled.

    `status` is the HTTP status that came within `timeout` seconds, or 0 with `reason` in plain words. `ours` tells that the
    check could not be made for want of descriptors, ports or memory here. `began` is CLOCK_MONOTONIC in ns; `connected`
    means that the peer's kernel has taken the connection and an answer is awaited.
    """

    __slots__ = (
        "began",
        "connected",
        "status",
        "reason",
        "ours",
        "_loop",
        "_sock",
        "_request",
        "_secure",
        "_done",
        "_timer",
        "_answer",
        "_courtesy",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, began: int, done: Callable[[Check], None]) -> None:
        self.began = began
        self.connected = False
        self.status = 0
        self.reason = ""
        self.ours = False
        self._loop = loop
        self._done: Callable[[Check], None] | None = done
        self._sock: socket.socket | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._request = b""
        self._secure: Secure | None = None
        self._answer = bytearray()
        self._courtesy = COURTESY

    def begin(self, address: Address, request: bytes, timeout: float, secure: Secure | None = None) -> None:
        """Start to connect, over TLS with `secure`. The verdict never comes out of this call itself, but later from the loop."""
        self._request = request
        self._secure = secure
        self._timer = self._loop.call_later(timeout, self._late)
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        try:
            self._sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
            failure = self._sock.connect_ex(address)
        except OSError as error:
            failure = error.errno or errno.EIO
        if failure in (0, errno.EINPROGRESS) and self._sock is not None:
            self._loop.add_writer(self._sock, self._writable)
        else:
            self._loop.call_soon(self._failed, failure)

    def cancel(self) -> None:
        """Forget it: `done` is not called any more."""
        self._done = None
        self._close()

    def _writable(self) -> None:
        assert self._sock is not None
        failure = self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if failure:
            self._failed(failure)
            return
        self._loop.remove_writer(self._sock)
        self.connected = True
        if self._secure is None:
            self._ask()
            return
        context, name = self._secure
        try:
            self._sock = context.wrap_socket(self._sock, do_handshake_on_connect=False, server_hostname=name)
        except (OSError, ValueError) as error:
            self._refused(error, name)
        else:
            self._shake()

    def _shake(self) -> None:
        """Go on with the TLS handshake."""
        sock = self._sock
        assert isinstance(sock, ssl.SSLSocket)
        assert self._secure is not None
        try:
            sock.do_handshake()
        except ssl.SSLWantReadError:
            self._loop.remove_writer(sock)
            self._loop.add_reader(sock, self._shake)
        except ssl.SSLWantWriteError:
            self._loop.add_writer(sock, self._shake)
        except (OSError, ValueError) as error:
            self._refused(error, self._secure[1])
        else:
            self._loop.remove_writer(sock)
            self._loop.remove_reader(sock)
            self._ask()

    def _refused(self, error: Exception, name: str) -> None:
        self._close()
        self._verdict(0, why(error, name))

    def refuse(self, error: Exception, name: str) -> None:
        """Instead of `begin`: TLS is not possible at all, for a reason of this side. The verdict comes later from the loop."""
        self._loop.call_soon(self._refused, error, name)

    def _ask(self) -> None:
        assert self._sock is not None
        self._loop.add_reader(self._sock, self._readable)
        try:
            self._sock.send(self._request)  # a fresh connection takes these few hundred bytes whole
        except OSError as error:
            self._failed(error.errno or errno.EIO)

    def _readable(self) -> None:
        assert self._sock is not None
        try:
            data = self._sock.recv(16384)
        except (BlockingIOError, InterruptedError, ssl.SSLWantReadError):
            return
        except OSError as error:
            self._failed(error.errno or errno.EIO)
            return
        if self._done is None:
            self._courtesy -= len(data)
            if not data or self._courtesy <= 0:
                self._close()
            return
        self._answer += data[:STATUS_LINE]
        line, end, _ = self._answer.partition(b"\n")
        if end or not data or len(self._answer) >= STATUS_LINE:
            self._judge(bytes(line), whole=bool(end))
            if not data:
                self._close()

    def _judge(self, line: bytes, whole: bool) -> None:
        version, _, rest = line.partition(b" ")
        digits = rest[:3]
        if whole and version.startswith(b"HTTP/1.") and len(digits) == 3 and digits.isdigit():
            self._verdict(int(digits), "")
        elif not line:
            self._verdict(0, "it closed the connection without an answer")
        else:
            self._verdict(0, "what it answers is not HTTP/1")

    def _failed(self, failure: int) -> None:
        self.ours = failure in _OURS
        self._close()
        self._verdict(0, os.strerror(failure).lower())

    def _late(self) -> None:
        self._close()
        self._verdict(0, "no answer in time" if self.connected else "no connection in time")

    def _verdict(self, status: int, reason: str) -> None:
        done, self._done = self._done, None
        if done is not None:
            self.status, self.reason = status, reason
            done(self)

    def _close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._sock is not None:
            self._loop.remove_reader(self._sock)
            self._loop.remove_writer(self._sock)
            self._sock.close()
            self._sock = None
