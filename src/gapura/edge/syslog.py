"""Access lines for a syslog server: one datagram each (RFC 5426, or a UNIX datagram socket), never waited for.

A server that is slow gets what it takes at once; the rest is tried again a few times a second and dropped when it grows to more
than `MOST` bytes. What is dropped is counted, and told when it is over.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import socket
import time
from collections import deque
from typing import Final

from gapura.config.plan_log import SyslogPlan
from gapura.edge.log_file import BATCH, Told

MOST: Final = 1 << 20
"""Bytes of lines that wait for a slow server."""
RETRY: Final = 0.02
"""Seconds until a server that took no more is tried again."""
LONGEST: Final = 8192
"""Bytes of a datagram at most; RFC 5424 §6.1 has receivers take 2048."""
_SHORTER: Final = 1024
"""Bytes of a datagram where the longer one does not fit (EMSGSIZE)."""
_PATIENCE: Final = 1.0
"""Seconds between two attempts to reach a server that is not there."""

log = logging.getLogger("edge")


class Syslog:
    """Where lines go when a log's path is `syslog:…`."""

    __slots__ = (
        *("path", "lines", "most", "lost", "reason", "retired", "plan", "_told", "_loop"),
        *("_sock", "_waiting", "_size", "_second", "_start", "_retry_at", "_timer", "_address", "_resolving", "_host"),
    )

    def __init__(self, path: str, plan: SyslogPlan, loop: asyncio.AbstractEventLoop | None, told: Told) -> None:
        self.path = path
        self.plan = plan
        self.lines: list[bytes] = []
        self.most = BATCH
        self.lost = 0
        self.reason = ""
        self.retired = False
        self._loop = loop
        self._told = told
        self._sock: socket.socket | None = None
        self._waiting: deque[bytes] = deque()
        self._size = 0
        self._second = -1
        self._start = b""
        self._retry_at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._address: tuple[int, object] | None = None
        self._resolving: asyncio.Task[None] | None = None
        self._host = socket.gethostname().encode("ascii", "replace")[:255] or b"-"

    def _take(self) -> None:
        """Make messages of the lines that have come."""
        second = int(time.time())
        if second != self._second:
            self._second = second
            self._start = self._header(second)
        for line in self.lines:
            message = (self._start + line[:-1])[:LONGEST]
            self._waiting.append(message)
            self._size += len(message)
        self.lines.clear()

    def _header(self, second: int) -> bytes:
        """What stands before a line (RFC 5424 §6, RFC 3164 §4; without a host name on this machine, as syslog(3) does)."""
        plan, pid, now = self.plan, os.getpid(), time.localtime(second)
        if plan["rfc"] == 5424:
            zone = time.strftime("%z", now)
            stamp = f"{time.strftime('%Y-%m-%dT%H:%M:%S', now)}{zone[:3]}:{zone[3:]}"
            return f"<{plan['priority']}>1 {stamp} {self._host.decode()} {plan['tag']} {pid} access - ".encode()
        month = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")[now.tm_mon - 1]
        stamp = f"{month} {now.tm_mday:2} {time.strftime('%H:%M:%S', now)}"
        host = f"{self._host.decode()} " if plan["host"] else ""
        return f"<{plan['priority']}>{stamp} {host}{plan['tag']}[{pid}]: ".encode()

    def flush(self) -> None:
        """Send what has come and what waits, as far as the server takes it."""
        if self.lines:
            self._take()
        if not self._waiting or (self._sock is None and not self._connect()):
            self._drop()
            return
        waiting = self._waiting
        while waiting and self._sock is not None:
            message = waiting[0]
            try:
                self._send(self._sock, message)
            except (BlockingIOError, InterruptedError):
                self.reason = "the server takes no more"
                self._later()
                break
            except OSError as error:
                self._fail(error)
                break
            waiting.popleft()
            self._size -= len(message)
        if self._drop():
            return
        if self.lost and not waiting:
            self._recovered()
        if self.retired and not waiting:
            self._shut()

    def _send(self, sock: socket.socket, message: bytes) -> None:
        try:
            sock.send(message)
        except ConnectionRefusedError:
            if not self.plan["host"]:
                raise
            sock.send(message)  # the refusal was that of an earlier datagram (ICMP)
        except OSError as error:
            if error.errno != errno.EMSGSIZE or len(message) <= _SHORTER:
                raise
            sock.send(message[:_SHORTER])

    def _connect(self) -> bool:
        """Have a socket; False while the server is not there, or its name not resolved."""
        now = time.monotonic()
        if now < self._retry_at:
            return False
        self._retry_at = now + _PATIENCE
        if self.plan["host"] and self._address is None:
            self._resolve()
            if self._address is None:
                return False
        family, address = self._address or (socket.AF_UNIX, self.plan["path"])
        sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            sock.connect(address)  # type: ignore[arg-type] # a path, or host and port
        except OSError as error:
            sock.close()
            self._fail(error)
            return False
        self._sock = sock
        return True

    def _resolve(self) -> None:
        """Find the server's address: at once when it is written as one, else beside everything else."""
        host, port = self.plan["host"], self.plan["port"]
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST)
            self._address = (found[0][0], found[0][4])
        except (OSError, UnicodeError):
            if self._loop is not None and self._resolving is None:
                self._resolving = self._loop.create_task(self._look_up(self._loop, host, port))

    async def _look_up(self, loop: asyncio.AbstractEventLoop, host: str, port: int) -> None:
        try:
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
            self._address = (found[0][0], found[0][4])
            self._retry_at = 0.0
        except (OSError, UnicodeError) as error:
            self.reason = f"{host} cannot be resolved: {error}"
        finally:
            self._resolving = None

    def _later(self) -> None:
        """Try again before the next round."""
        if self._loop is not None and self._timer is None:
            self._timer = self._loop.call_later(RETRY, self._again)

    def _again(self) -> None:
        self._timer = None
        self.flush()

    def _drop(self) -> bool:
        """Forget the oldest lines when there are too many; True when it did."""
        dropped = 0
        while self._size > MOST:
            self._size -= len(self._waiting.popleft())
            dropped += 1
        if dropped:
            first = not self.lost
            self.lost += dropped
            if first:
                self._told(self.path, self.lost, self.reason or "the server is not there")
        return dropped > 0

    def _recovered(self) -> None:
        log.error("%d lines for %s were dropped: %s", self.lost, self.path, self.reason)
        self._told(self.path, self.lost, "")
        self.lost, self.reason = 0, ""

    def _fail(self, error: OSError) -> None:
        self.reason = os.strerror(error.errno or 0)
        self._shut()

    def reopen(self) -> None:
        """Connect anew: the server may have moved."""
        self.flush()
        self._shut()
        self._address = None
        self._retry_at = 0.0

    def retire(self) -> None:
        """No configuration names it any more."""
        self.retired = True
        self.flush()

    def revive(self) -> None:
        """It is named again."""
        self.retired = False

    def close(self) -> None:
        """Send what can be sent, and close."""
        self.flush()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._resolving is not None:
            self._resolving.cancel()
        self._shut()

    def _shut(self) -> None:
        if self._sock is not None:
            self._sock.close()
            self._sock = None
