"""A tunnel after `101 Switching Protocols` (RFC 9110 §7.8): bytes both ways, each side paused when the other is slow.

It knows no HTTP and holds no configuration, so it outlives reloads.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic_ns


class _End(asyncio.Protocol):
    """One side of a tunnel."""

    __slots__ = ("tunnel", "transport", "peer")

    def __init__(self, tunnel: Tunnel, transport: asyncio.Transport, peer: asyncio.Transport) -> None:
        self.tunnel = tunnel
        self.transport = transport
        self.peer = peer

    def data_received(self, data: bytes) -> None:
        self.tunnel.active = True
        self.peer.write(data)

    def eof_received(self) -> bool:
        self.tunnel.ends += 1
        if self.tunnel.ends < 2 and self.peer.can_write_eof() and not self.peer.is_closing():
            self.peer.write_eof()
            return True
        return False

    def pause_writing(self) -> None:
        if not self.peer.is_closing():
            self.peer.pause_reading()

    def resume_writing(self) -> None:
        if not self.peer.is_closing():
            self.peer.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self.tunnel.end()


class Tunnel:
    """Two joined connections. `done(tunnel)` is called once when it is over."""

    __slots__ = ("client", "server", "active", "deadline", "timeout_ns", "ends", "over", "_done")

    def __init__(
        self, client: asyncio.Transport, server: asyncio.Transport, timeout_ns: int, done: Callable[[Tunnel], None]
    ) -> None:
        self.client = client
        self.server = server
        self.active = False
        self.timeout_ns = timeout_ns
        self.deadline = monotonic_ns() + timeout_ns
        self.ends = 0
        self.over = False
        self._done = done
        client.set_protocol(_End(self, client, server))
        server.set_protocol(_End(self, server, client))

    def expire(self, now: int) -> None:
        """End it when no byte has passed for the tunnel timeout (called by the worker's sweep when `deadline` is over)."""
        if self.active:
            self.active = False
            self.deadline = now + self.timeout_ns
        else:
            self.end()

    def end(self) -> None:
        if not self.over:
            self.over = True
            self.client.close()
            self.server.close()
            self._done(self)
