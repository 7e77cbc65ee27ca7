"""A readiness check: one HTTP request without blocking, for a selector loop."""

from __future__ import annotations

import os
import re
import selectors
import socket
from typing import Final

PATIENCE: Final = 1.0
"""Seconds that a server has to answer."""
_HEAD: Final = 16 << 10
"""Bytes of interim answers read before giving up."""
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-9][0-9]{2})(?: [^\r\n]*)?\r?\n")
_PREFIX: Final = b"HTTP/1."

Result = int | str | None


class Probe:
    """Asks `http://host:port/path` once per `begin`. `host` is a numeric address. Nothing in it blocks or raises.

    failure = probe.begin(now)          # str: failed at once
    selector.register(probe, probe.wants)
    result = probe.advance(now)         # when ready, and when probe.deadline is over; then modify by probe.wants
    probe.close()                       # unregister first
    """

    __slots__ = ("host", "port", "deadline", "wants", "_request", "_sock", "_unsent", "_answer", "_connected")

    def __init__(self, host: str, port: int, path: str, host_header: str) -> None:
        self.host = host
        self.port = port
        self.deadline = 0.0
        """Seconds of CLOCK_MONOTONIC after which `advance` answers with a failure: one second after `begin`."""
        self.wants = selectors.EVENT_WRITE
        """What to watch for: selectors.EVENT_READ or EVENT_WRITE."""
        lines = (f"GET {path} HTTP/1.1", f"Host: {host_header}", "User-Agent: gapura", "Accept: */*", "Connection: close", "", "")
        self._request = "\r\n".join(lines).encode("utf-8", "replace")
        self._sock: socket.socket | None = None
        self._unsent = b""
        self._answer = b""
        self._connected = False

    def begin(self, now: float) -> str | None:
        """Start a check, ending one under way. A failure at once, else None."""
        self.close()
        self.deadline = now + PATIENCE
        self.wants = selectors.EVENT_WRITE
        self._unsent, self._answer, self._connected = self._request, b"", False
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        try:
            socket.inet_pton(family, self.host)  # a name would be resolved, and that blocks
            self._sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
            self._sock.connect((self.host, self.port))
        except BlockingIOError:
            return None
        except (OSError, OverflowError, ValueError) as error:
            self.close()
            return _reason(error)
        return None

    def fileno(self) -> int:
        """What to watch; -1 when no check is under way."""
        return self._sock.fileno() if self._sock else -1

    def advance(self, now: float) -> Result:
        """Go on. None: not yet; an int: the HTTP status answered; a str: why it failed, in plain words."""
        if self._sock is None:
            return "no check is under way"
        try:
            result = self._send(self._sock) if self._unsent else None
            if result is None and not self._unsent:
                result = self._receive(self._sock)
        except (BlockingIOError, InterruptedError):
            result = None
        except OSError as error:
            result = _reason(error)
        if result is None and now >= self.deadline:
            return "no connection within 1 s" if not self._connected else "no answer within 1 s"
        return result

    def close(self) -> None:
        """End the check under way, if any."""
        if self._sock is not None:
            self._sock.close()
            self._sock = None

    def _send(self, sock: socket.socket) -> Result:
        # While connecting this is EAGAIN, after a failed attempt its cause.
        self._unsent = self._unsent[sock.send(self._unsent) :]
        self._connected = True
        if not self._unsent:
            self.wants = selectors.EVENT_READ
        return None

    def _receive(self, sock: socket.socket) -> Result:
        data = sock.recv(_HEAD)
        self._answer += data
        while match := _STATUS_LINE.match(self._answer):
            status = int(match[1])
            if status >= 200 or status == 101:
                return status
            end = self._answer.find(b"\r\n\r\n")  # an interim answer (RFC 9110 §15.2)
            if end < 0:
                break
            self._answer = self._answer[end + 4 :]
        start = self._answer[: len(_PREFIX)]
        if not _PREFIX.startswith(start) or (b"\n" in self._answer and not _STATUS_LINE.match(self._answer)):
            return "the answer is not HTTP"
        if not data:
            return "the connection was closed without an answer" if not self._answer else "the answer broke off"
        return "the answer is not HTTP" if len(self._answer) >= _HEAD else None


def _reason(error: Exception) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno).lower()
    return str(error)
