"""The step of a `proxy` route, made for what its upstream asks for: nothing more for a plain one."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from gapura.balance.upstream import QueuedUpstream, Upstream
from gapura.edge.cookie import Cookie, SetCookie
from gapura.edge.exchange import Exchange
from gapura.edge.forward import HELD, Forward
from gapura.edge.request import ProxyOptions
from gapura.edge.router import PAUSED, Step
from gapura.records import HELD as HELD_FLAG


def proxy(upstream: Upstream, options: ProxyOptions) -> Step:
    """The step of a `proxy` route."""
    step: Step = partial(_proxy, upstream, options)
    if isinstance(upstream, QueuedUpstream):
        step = partial(_queued, upstream, options)
    sticky = upstream.plan["sticky"]
    if sticky is None:
        return step
    cookie = Cookie(sticky["cookie"])
    return partial(_sticky, cookie, _renewed(upstream, cookie), step)


def _proxy(upstream: Upstream, options: ProxyOptions, exchange: Exchange) -> int:
    Forward(exchange, upstream, options).begin(exchange.sink.now)
    return PAUSED


class QueuedForward(Forward):
    """A request that takes its place in a queue when all servers are full (nginx: queue). Servers that are away it waits for as
    any other request does."""

    __slots__ = ()

    def begin_in_turn(self, now: int) -> None:
        """Go, but not before those who wait already, even if a server is free in this very moment."""
        upstream = self.upstream
        if self._length() and upstream.reason(now) in ("full", "up"):
            self._wait(now)
        else:
            self.begin(now)

    def _no_server(self, now: int) -> None:
        if self.held_until or self.trouble is not None or self.upstream.reason(now) != "full":
            super()._no_server(now)
        else:
            self._wait(now)

    def _wait(self, now: int) -> None:
        upstream = self.upstream
        room = upstream.queue or 0
        if self._length() >= room and upstream.reason(now) == "up":  # those are waiting for a server that has just come back
            self.begin(now)
            return
        self.held_until = now + upstream.queue_ns
        self.state = HELD
        self.exchange.flags |= HELD_FLAG
        if self._length() >= room or not self.exchange.worker.hold.add(self):
            self._unavailable("queue" if room else "full", now)

    def _length(self) -> int:
        return self.exchange.worker.hold.length(self.upstream.name)


def _queued(upstream: QueuedUpstream, options: ProxyOptions, exchange: Exchange) -> int:
    upstream.freed = exchange.worker.hold.freed
    QueuedForward(exchange, upstream, options).begin_in_turn(exchange.sink.now)
    return PAUSED


def _sticky(cookie: Cookie, value: Callable[[Exchange], bytes], step: Step, exchange: Exchange) -> int:
    SetCookie(exchange, cookie, value)
    return step(exchange)


def _renewed(upstream: Upstream, cookie: Cookie) -> Callable[[Exchange], bytes]:
    """The name of the server that has answered, unless the visitor's cookie says it already. Our own error pages set none."""
    names = upstream.cookies or {}

    def value(exchange: Exchange) -> bytes:
        server = exchange.server
        if server is None or not exchange.answered_at:
            return b""
        name = names.get(server.id, b"")
        return name if cookie.read(exchange) != name else b""

    return value
