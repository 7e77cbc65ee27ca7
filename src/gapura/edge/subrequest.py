"""A request of our own to an upstream on behalf of a client's: asked beside it, its answer collected instead of sent.

It is a sink like the client's connection, so that everything which answers an exchange can answer it: servers are claimed, retried
and held as for any other request. Nothing of it is logged, and its head is a new one (`ask`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from time import monotonic_ns
from typing import Final

from gapura.balance.upstream import Upstream
from gapura.edge.exchange import Exchange
from gapura.edge.forward import Forward
from gapura.edge.policy_key import key_of
from gapura.edge.request import ProxyOptions
from gapura.wire.headers import without
from gapura.wire.request import RequestHead

LARGEST: Final = 1 << 20
"""Bytes of an answer's body that are collected unless the caller says otherwise; a longer answer counts as none."""
NANOSECONDS: Final = 1_000_000_000
_OURS: Final = frozenset((b"x-request-id", b"x-served-by"))


class Collected:
    """What came back. `answered`: a server did; otherwise `status` (502, 503, 504) says why none did and the rest is empty."""

    __slots__ = ("answered", "status", "status_line", "lines", "body")

    def __init__(self, answered: bool, status: int, status_line: bytes = b"", lines: list[bytes] | None = None) -> None:
        self.answered = answered
        self.status = status
        self.status_line = status_line  # "HTTP/1.1 401 Unauthorized"
        self.lines = lines or []  # header lines without those about framing and the connection
        self.body = b""


Done = Callable[[Collected], None]


class Subrequest:
    """The sink of one request of our own. `done` is called exactly once, unless `cancel` comes first; perhaps within `begin`."""

    __slots__ = (
        "client", "peer", "scheme", "forwarded", "now",
        "exchange", "paused", "_done", "_limit", "_timeout", "_timer", "_found", "_parts", "_size",
    )  # fmt: skip

    def __init__(self, exchange: Exchange, head: RequestHead, done: Done, timeout: float, limit: int = LARGEST) -> None:
        """`exchange` is the client's. `timeout`: seconds for the whole; `limit`: bytes of the body to keep, -1: none."""
        sink = exchange.sink
        self.client, self.peer, self.scheme, self.forwarded = sink.client, sink.peer, sink.scheme, sink.forwarded
        self.now = monotonic_ns()
        head.request_id = exchange.request_id
        self.exchange = own = Exchange(exchange.worker, self, exchange.snapshot, head, self.now)
        own.client = exchange.client
        own.host_name, own.site, own.route = exchange.host_name, exchange.site, exchange.route
        self.paused = False
        """The server takes the body slowly: whoever copies one should stop."""
        self._done: Done | None = done
        self._limit = limit
        self._timeout = timeout
        self._timer: asyncio.TimerHandle | None = None
        self._found: Collected | None = None
        self._parts: list[bytes] = []
        self._size = 0

    # -- for the caller -------------------------------------------------------------------------------------------------

    def begin(self, upstream: Upstream, options: ProxyOptions) -> None:
        """Ask."""
        self._timer = self.exchange.worker.loop.call_later(self._timeout, self._late)
        Forward(self.exchange, upstream, options).begin(self.now)

    def body(self, data: bytes) -> None:
        """A piece of the request's body, if `head.length` announced one."""
        if self.exchange.handler is not None:
            self.exchange.handler.body(data)

    def body_end(self) -> None:
        """The body is complete."""
        if self.exchange.handler is not None:
            self.exchange.handler.body_end()

    def cancel(self) -> None:
        """Let go of everything; `done` is not called any more."""
        self._done = None
        self._over()
        self.exchange.cancel()

    def _late(self) -> None:
        self._end(Collected(False, 504))
        self.exchange.cancel()

    def _over(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _end(self, found: Collected) -> None:
        done, self._done = self._done, None
        self._over()
        if done is not None:
            done(found)

    # -- the sink -------------------------------------------------------------------------------------------------------

    def start(self, block: bytes, length: int, bodyless: bool) -> None:
        first, *lines = block.split(b"\r\n")
        self._found = Collected(True, int(first[9:12]), first, without(lines, _OURS))

    def whole(self, block: bytes, body: bytes, length: int, bodyless: bool, now: int) -> None:
        self.exchange.handler = None
        if not self.exchange.answered_at:
            self._end(Collected(False, int(block[9:12])))  # an error page of our own
            return
        self.start(block, length, bodyless)
        if not bodyless:
            self.data(body)
        self.end([])

    def interim(self, block: bytes) -> None:
        """A 1xx answer is of no interest."""

    def data(self, data: bytes) -> None:
        if self._limit < 0 or self._done is None:
            return
        self._size += len(data)
        if self._size > self._limit:
            self._end(Collected(False, 502))
            self.exchange.worker.loop.call_soon(self.exchange.cancel)  # not while its handler is at work
            return
        self._parts.append(data)

    def flush(self) -> None: ...

    def end(self, trailers: list[bytes]) -> None:
        self.exchange.handler = None
        found = self._found
        if found is not None:
            found.body = b"".join(self._parts)
            self._end(found)

    def abort(self) -> None:
        self._end(Collected(False, 502))

    def pause_body(self) -> None:
        self.paused = True

    def resume_body(self) -> None:
        self.paused = False

    def last(self) -> None: ...

    def want_body(self) -> None:
        """Nobody waits for `100 Continue`."""


def ask(exchange: Exchange, method: bytes, target: bytes, leave_out: Iterable[bytes] = ()) -> RequestHead:
    """A head without a body, with the client's header lines but those named (lower case), for the same host."""
    told = exchange.head
    head = RequestHead(method, target, 1)
    head.host = told.host
    head.lines = without(told.lines, frozenset(leave_out))
    head.forwarded = told.forwarded
    head.user_agent, head.referer = told.user_agent, told.referer
    return head


def options(upstream: Upstream, timeout: float, host: str = "") -> ProxyOptions:
    """How a subrequest is sent: as a `proxy` route of this upstream would, but with one timeout (s). `host`: the Host header."""
    limit = int(timeout * NANOSECONDS)
    plan = upstream.plan
    return ProxyOptions(
        connect_ns=min(limit, int(plan["connect_timeout"] * NANOSECONDS)),
        read_ns=limit,
        send_ns=limit,
        keepalive_ns=int(plan["keepalive_timeout"] * NANOSECONDS),
        tunnel_ns=0,
        host_header=host.encode(),
        key=key_of(plan),
        target=None,
        served_by=False,
    )
