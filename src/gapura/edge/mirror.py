"""Copies of requests to another upstream (nginx: mirror). The visitor's own request neither waits for them nor fails with them."""

from __future__ import annotations

import logging
from time import monotonic_ns
from typing import Final

from gapura.balance.upstream import Upstream
from gapura.config.plan_traffic import MirrorPlan
from gapura.edge.exchange import Exchange, Handler
from gapura.edge.limit import counted
from gapura.edge.request import ProxyOptions, wants_tunnel
from gapura.edge.router import Step
from gapura.edge.subrequest import Collected, Subrequest, ask, options
from gapura.wire.request import RequestHead

log = logging.getLogger("edge")

NOTHING_KEPT: Final = -1
"""Of an answer's body."""
TELL: Final = 60_000_000_000
"""ns between two lines of the log about requests that were not copied."""


class Mirror:
    """Where copies go. Whatever stands in the way of one means that there is none: too many, no server, too long a body."""

    __slots__ = ("upstream", "body", "_options", "_timeout", "_share", "_due", "_at_once", "_under_way", "_missed", "_told_at")

    def __init__(self, plan: MirrorPlan, upstream: Upstream) -> None:
        # a copy waits for no server, or those that are refused would be asked for again and again
        self.upstream = Upstream({**upstream.plan, "hold": 0.0, "queue": None}, upstream.board, upstream.column)
        self.body = plan["body"]
        self._options: ProxyOptions = options(upstream, plan["timeout"])
        self._timeout = plan["timeout"]
        self._share = plan["share"]
        self._due = 0.0
        self._at_once = plan["at_once"]
        self._under_way = 0
        self._missed = self._told_at = 0

    def copy(self, exchange: Exchange) -> Copy | None:
        """The copy of a request, if it is one of those that are copied."""
        self._due += self._share
        if self._due < 1 - 1e-9:
            return None
        self._due -= 1
        now = monotonic_ns()
        if exchange.head.length > self.body or self._under_way >= self._at_once or self.upstream.reason(now) != "up":
            self.missed(now)
            return None
        self._under_way += 1
        return Copy(self, exchange)

    def missed(self, now: int) -> None:
        """A request was not copied. Told once a minute."""
        self._missed += 1
        if now - self._told_at > TELL:
            log.warning("%d requests were not copied to %s: %s", self._missed, self.upstream.name, self._why(now))
            self._missed, self._told_at = 0, now

    def _why(self, now: int) -> str:
        reason = self.upstream.reason(now)
        if reason != "up":
            return f"its servers are {reason}"
        return f"{self._at_once} copies are under way" if self._under_way >= self._at_once else "their bodies are too long"

    def over(self) -> None:
        """A copy has come to its end."""
        self._under_way -= 1

    def send(self, exchange: Exchange, head: RequestHead, body: bytes) -> None:
        """Send a copy; its answer is thrown away."""

        def done(found: Collected) -> None:
            self.over()

        request = Subrequest(exchange, head, done, self._timeout, NOTHING_KEPT)
        request.begin(self.upstream, self._options)
        if head.length:
            request.body(body)
            request.body_end()


class Copy:
    """A request that is to be sent once all of it is here."""

    __slots__ = ("_mirror", "_exchange", "_head", "_parts", "_size", "_over")

    def __init__(self, mirror: Mirror, exchange: Exchange) -> None:
        self._mirror = mirror
        self._exchange = exchange
        self._head = ask(exchange, exchange.head.method, exchange.rewritten or exchange.head.target)
        self._parts: list[bytes] = []
        self._size = 0
        self._over = False

    def body(self, data: bytes) -> None:
        if self._over:
            return
        self._size += len(data)
        if self._size > self._mirror.body:
            self._mirror.missed(monotonic_ns())
            self.drop()
        else:
            self._parts.append(data)

    def drop(self) -> None:
        """There will be no copy."""
        if not self._over:
            self._over = True
            self._parts.clear()
            self._mirror.over()

    def send(self) -> None:
        """The request is complete."""
        if self._over:
            return
        self._over = True
        body = b"".join(self._parts)
        self._parts.clear()
        self._head.length = len(body)
        self._head.length_seen = bool(body) or bool(self._exchange.head.length_seen)
        self._mirror.send(self._exchange, self._head, body)


class Tee:
    """Stands before the handler that answers, and gives the copies what comes of the body."""

    __slots__ = ("_handler", "_copies")

    def __init__(self, handler: Handler, copies: list[Copy]) -> None:
        self._handler = handler
        self._copies = copies

    def body(self, data: bytes) -> None:
        for one in self._copies:
            one.body(data)
        self._handler.body(data)

    def body_end(self) -> None:
        self._handler.body_end()
        for one in self._copies:
            one.send()

    def pause(self) -> None:
        self._handler.pause()

    def resume(self) -> None:
        self._handler.resume()

    def cancel(self) -> None:
        """Let go before the body was here: what has not been sent is not sent any more."""
        for one in self._copies:
            one.drop()
        self._handler.cancel()


def mirrored(step: Step, mirrors: list[Mirror]) -> Step:
    """An action that is done first, and then copied."""

    def both(exchange: Exchange) -> int:
        head = exchange.head
        if wants_tunnel(head):
            return step(exchange)
        copies = [one for mirror in mirrors if (one := mirror.copy(exchange)) is not None]
        if copies and head.length:
            counted(exchange).back += [one.drop for one in copies]  # it may be answered before its body is here
        try:
            return step(exchange)
        finally:
            handler = exchange.handler
            if copies and head.length and handler is not None:
                exchange.handler = Tee(handler, copies)
            else:
                for one in copies:
                    if head.length:  # answered without its body, which nobody will read
                        one.drop()
                    else:
                        one.send()

    return both
