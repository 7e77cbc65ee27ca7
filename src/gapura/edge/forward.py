"""The `proxy` action: one exchange's way to a server and back.

Claim a server, take or open a connection, send, relay the answer. When something fails before the answer began, the request
moves on to the next server if that is safe: nothing was sent, or the method is idempotent and the whole body is still here. When
no server can answer but one may soon, it waits (`hold`). What may have run once and must not run twice is never sent again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from time import monotonic_ns
from typing import TYPE_CHECKING, Final, cast

from gapura.balance.server import Server
from gapura.balance.upstream import Upstream
from gapura.board import HEALTH, HEALTHY, HIT_AT, READY_AT
from gapura.edge import pages
from gapura.edge.exchange import UNKNOWN, Exchange
from gapura.edge.pool import ServerConnection
from gapura.edge.tunnel import Tunnel
from gapura.errors import ServerError
from gapura.wire.body import chunk, last_chunk
from gapura.wire.request import CHUNKED, IDEMPOTENT, RequestHead
from gapura.wire.response import ResponseHead

if TYPE_CHECKING:
    import asyncio

    from gapura.edge.downstream import Downstream

REPLAY: Final = 64 << 10
"""A request body up to this size is kept until the answer begins, so that it can be sent once more."""
MAX_BROKEN: Final = 2
"""Servers that may break off on one request before it is given up: it may be the request that kills them."""
SWITCHING_PROTOCOLS: Final = 101
EARLY_HINTS: Final = 103

CLAIMING, HELD, CONNECTING, WAITING, RELAYING, OVER = range(6)
STALE, REFUSED, BROKEN, INVALID, LATE = range(5)
"""How an attempt failed: a kept connection had been closed; no connection; closed before it answered; nonsense; too late."""

log = logging.getLogger("edge")


class ProxyOptions:
    """What a route adds to its upstream: computed once per snapshot."""

    __slots__ = (
        "connect_ns",
        "read_ns",
        "send_ns",
        "keepalive_ns",
        "host_header",
        "key",
        "target",
        "served_by",
        "tunnel_ns",
        "upstream_name",
    )

    def __init__(
        self,
        connect_ns: int,
        read_ns: int,
        send_ns: int,
        keepalive_ns: int,
        tunnel_ns: int,
        host_header: bytes,
        key: Callable[[Exchange], bytes] | None,
        target: Callable[[Exchange], bytes] | None,
        served_by: bool,
        upstream_name: bytes,
    ) -> None:
        self.upstream_name = upstream_name
        self.connect_ns = connect_ns
        self.read_ns = read_ns
        self.send_ns = send_ns
        self.keepalive_ns = keepalive_ns
        self.tunnel_ns = tunnel_ns
        self.host_header = host_header
        self.key = key
        self.target = target
        self.served_by = served_by


class Forward:
    """Handler of a proxied exchange and user of a server connection."""

    __slots__ = (
        "exchange", "upstream", "options", "key", "state", "deadline", "held_until", "moved", "tried",
        "server", "slot", "connection", "reused", "body_parts", "body_size", "body_ended", "replayable",
        "failure", "broken", "broken_at", "paused",
    )  # fmt: skip

    def __init__(self, exchange: Exchange, upstream: Upstream, options: ProxyOptions) -> None:
        self.exchange = exchange
        self.upstream = upstream
        self.options = options
        self.key = options.key(exchange) if options.key else b""
        self.state = CLAIMING
        self.deadline = 0
        self.held_until = 0
        self.moved = False
        self.tried: list[Server] = []
        self.server: Server | None = None
        self.slot = 0
        self.connection: ServerConnection | None = None
        self.reused = False
        self.body_parts: list[bytes] = []
        self.body_size = 0
        self.body_ended = not exchange.has_body
        self.replayable = True
        self.failure = -1
        self.broken = 0
        self.broken_at = 0
        self.paused = False
        exchange.handler = self
        exchange.upstream_name = options.upstream_name
        exchange.worker.forwards.add(self)

    def begin(self) -> None:
        """Claim a server and go."""
        now = monotonic_ns()
        server = self.upstream.claim(now, self.key, self.tried)
        if server is None:
            self._no_server(now)
        else:
            self._attach(server, now)

    # -- to the server --------------------------------------------------------------------------------------------------

    def _attach(self, server: Server, now: int) -> None:
        """A server is claimed: get a connection to it."""
        exchange = self.exchange
        self.server = server
        self.slot = slot = server.slot
        exchange.tries += 1
        exchange.claimed_at = now
        exchange.server_id = server.id_bytes
        port = server.port_now()
        pool = exchange.worker.pool
        # what must not be repeated never goes out on a connection that the server may have closed just now
        kept = exchange.head.method in IDEMPOTENT and self.failure != BROKEN
        connection = pool.take(server, slot, port, self) if kept else None
        if connection is not None:
            self.reused = True
            self._send(connection, now)
            return
        self.reused = False
        self.state = CONNECTING
        self.deadline = now + self.options.connect_ns
        self.connection = pool.open(server, slot, port, self, self.upstream.keepalive)

    def on_connected(self, connection: ServerConnection) -> None:
        if self.failure == BROKEN and self.held_until and not self._came_up_since(self.broken_at):
            # the only server closed on this request and was there all the time: the request is what it does not like
            self._answered_by_nobody(BROKEN)
            return
        self._send(connection, monotonic_ns())

    def _came_up_since(self, moment: int) -> bool:
        cells = self.exchange.worker.board.cells
        return bool(max(cells[self.slot + READY_AT], cells[self.slot + HIT_AT]) > moment)

    def _answered_by_nobody(self, failure: int) -> None:
        self.exchange.refuse(504 if failure == LATE else 502, self._explain(failure))

    def _send(self, connection: ServerConnection, now: int) -> None:
        exchange = self.exchange
        self.connection = connection
        self.state = WAITING
        connection.reader.expect(exchange.head.method)
        data = request_bytes(exchange, self.options, cast(Server, self.server))
        if self.body_parts:
            data += b"".join(map(chunk, self.body_parts) if exchange.head.length == CHUNKED else self.body_parts)
            if self.body_size > REPLAY:
                self._forget_body()
        if self.body_ended:
            if exchange.head.length == CHUNKED:
                data += last_chunk()
            self.deadline = now + self.options.read_ns
            connection.write(data)
        else:
            self.deadline = 0
            connection.write(data)
            exchange.sink.want_body()
            exchange.sink.resume_body()

    def body(self, data: bytes) -> None:
        if self.replayable:
            self.body_parts.append(data)
            self.body_size += len(data)
        if self.state < WAITING:
            self.exchange.sink.pause_body()
            return
        if self.body_size > REPLAY:
            self._forget_body()
        if self.connection is not None:
            self.connection.write(chunk(data) if self.exchange.head.length == CHUNKED else data)

    def _forget_body(self) -> None:
        self.replayable = False
        self.body_parts.clear()
        self.body_size = 0

    def body_end(self) -> None:
        if self.body_ended:
            return
        self.body_ended = True
        if self.state >= WAITING and self.connection is not None:
            if self.exchange.head.length == CHUNKED:
                self.connection.write(last_chunk())
            if self.state == WAITING:
                self.deadline = monotonic_ns() + self.options.read_ns

    def on_server_slow(self) -> None:
        self.exchange.sink.pause_body()
        self.deadline = monotonic_ns() + self.options.send_ns

    def on_server_ready(self) -> None:
        self.deadline = monotonic_ns() + self.options.read_ns if self.body_ended else 0
        self.exchange.sink.resume_body()

    # -- from the server ------------------------------------------------------------------------------------------------

    def on_interim(self, head: ResponseHead) -> None:
        if head.status == EARLY_HINTS:
            self.exchange.sink.interim(head.status_line, head.lines)

    def on_response(self, head: ResponseHead) -> None:
        exchange = self.exchange
        connection = cast(ServerConnection, self.connection)
        now = monotonic_ns()
        exchange.answered_at = now
        status = head.status
        if status == SWITCHING_PROTOCOLS and not wants_tunnel(exchange.head):
            raise ServerError(502, "the server switched protocols without being asked")
        self.upstream.answered(cast(Server, self.server), self.slot, connection.opened_at, now, now - exchange.claimed_at)
        self.state = RELAYING
        lines = head.lines
        if self.options.served_by:
            lines.append(b"X-Served-By: " + exchange.server_id)
        lines.append(b"X-Request-Id: " + exchange.request_id)
        if status == SWITCHING_PROTOCOLS:
            self._tunnel(head, lines)
            return
        self.deadline = now + self.options.read_ns
        bodyless = not head.length and (exchange.head.method == b"HEAD" or status in (204, 304))
        if bodyless:
            length = head.declared
        elif head.length >= 0:
            length = head.length
        else:
            length = UNKNOWN
            if head.trailer and exchange.head.wants_trailers:
                lines.append(head.trailer)
        exchange.start(status, head.status_line, lines, length, bodyless)

    def on_data(self, data: bytes) -> None:
        exchange = self.exchange
        exchange.sent += len(data)
        exchange.sink.data(data)

    def on_data_done(self) -> None:
        if self.state == RELAYING:
            self.exchange.sink.flush()
            if self.deadline:
                self.deadline = monotonic_ns() + self.options.read_ns

    def on_end(self, trailers: list[bytes]) -> None:
        exchange = self.exchange
        connection = cast(ServerConnection, self.connection)
        self._let_go()
        if self.paused and connection.transport is not None and not connection.lost:
            connection.transport.resume_reading()
        if self.body_ended:
            exchange.worker.pool.give_back(connection, self.options.keepalive_ns)
        else:
            connection.close()  # it answered without having read the request
        self.body_parts.clear()
        exchange.sink.end(trailers if trailers and exchange.head.wants_trailers else [])

    def pause(self) -> None:
        """The client is slow: the server waits, and is not blamed for it."""
        connection = self.connection
        if connection is not None and connection.transport is not None and not connection.lost and self.state == RELAYING:
            connection.transport.pause_reading()
            self.paused = True
            self.deadline = 0

    def resume(self) -> None:
        connection = self.connection
        if connection is not None and connection.transport is not None and not connection.lost and self.state == RELAYING:
            connection.transport.resume_reading()
            self.paused = False
            self.deadline = monotonic_ns() + self.options.read_ns

    def _tunnel(self, head: ResponseHead, lines: list[bytes]) -> None:
        exchange = self.exchange
        worker = exchange.worker
        connection = cast(ServerConnection, self.connection)
        downstream = cast("Downstream", exchange.sink)
        lines += [b"Connection: Upgrade", b"Upgrade: " + (head.upgrade or b"websocket")]
        client, early = downstream.become_tunnel(b"HTTP/1.1 %b\r\n%b\r\n\r\n" % (head.status_line, b"\r\n".join(lines)))
        exchange.status = SWITCHING_PROTOCOLS
        exchange.started = True
        connection.user = None
        server = cast("asyncio.Transport", connection.transport)
        first = connection.reader.rest()
        worker.forwards.discard(self)
        tunnel = Tunnel(client, server, self.options.tunnel_ns, self._tunnel_over)
        worker.tunnels.add(tunnel)
        if first:
            client.write(first)
        if early:
            server.write(early)

    def _tunnel_over(self, tunnel: Tunnel) -> None:
        exchange = self.exchange
        exchange.worker.tunnels.discard(tunnel)
        exchange.handler = None
        self._let_go()
        exchange.finish()
        exchange.worker.forget(cast("Downstream", exchange.sink))

    # -- failures -------------------------------------------------------------------------------------------------------

    def on_refused(self, reason: str) -> None:
        self._failed(REFUSED, f"no connection: {reason}", 503)

    def on_broken(self, error: ServerError, answering: bool) -> None:
        if answering:
            self._failed(INVALID, error.reason, error.status)
        else:
            self._failed(STALE if self.reused else BROKEN, error.reason, error.status)

    def expire(self, now: int) -> None:
        """The deadline has passed (called by the worker's sweep)."""
        self.deadline = 0
        if self.state == CONNECTING:
            self._failed(REFUSED, "no connection within the connect timeout", 504)
        elif self.state in (WAITING, RELAYING):
            self._failed(LATE, "no answer within the read timeout", 504)

    def _failed(self, failure: int, reason: str, status: int) -> None:
        """An attempt failed: answer, or go on with another server, or wait."""
        exchange = self.exchange
        server = cast(Server, self.server)
        connection = cast(ServerConnection, self.connection)
        opened_at, slot = connection.opened_at, self.slot
        connection.close()
        started = self.state == RELAYING
        self._let_go()
        now = monotonic_ns()
        if failure != STALE:
            self.upstream.failed(server, slot, opened_at, now, failure == REFUSED)
            log.warning(
                "%s: %s %s: server %s: %s", exchange.request_id.decode(), exchange.head.method.decode(),
                exchange.head.target.decode()[:200], server.id, reason,
            )  # fmt: skip
        if started:
            exchange.handler = None
            exchange.sink.abort()
            return
        if failure != REFUSED and not (exchange.head.method in IDEMPOTENT and self.replayable):
            exchange.refuse(status, self._explain(failure))
            return
        self.failure = failure
        if failure == BROKEN:
            self.broken += 1
            self.broken_at = now
        if failure != STALE:
            self.tried.append(server)
        self.state = CLAIMING
        exchange.worker.forwards.add(self)
        limit = self.upstream.plan["tries"]
        if (limit and exchange.tries >= limit) or self.broken > MAX_BROKEN:
            exchange.refuse(status, self._explain(failure))
            return
        self.begin()

    def _no_server(self, now: int) -> None:
        """Nobody is left for this request: wait if one may return, else answer."""
        exchange = self.exchange
        failure = self.failure
        if failure in (INVALID, LATE) or (failure == BROKEN and not self.upstream.hold_ns):
            self._answered_by_nobody(failure)
            return
        again = failure in (REFUSED, BROKEN) or self.held_until > 0
        if not self.held_until:
            self.held_until = now + self.upstream.hold_ns
        if now >= self.held_until or not (again or self.upstream.may_return(now)):
            self._give_up(now)
            return
        self.tried.clear()
        self.state = HELD
        self.deadline = 0
        if not exchange.worker.hold.add(self, again):
            self._unavailable("queue", now)

    def on_server(self, server: Server) -> None:
        """The hold queue found a server."""
        self._attach(server, monotonic_ns())

    def on_hold_over(self) -> None:
        self._give_up(monotonic_ns())

    def _give_up(self, now: int) -> None:
        reason = self.upstream.reason(now)
        self._unavailable(reason if reason not in ("", "up") else "refused", now)

    def _unavailable(self, reason: str, now: int) -> None:
        """The 503 page: what, since when, tries again by itself."""
        lang = pages.language(self.exchange.head)
        text = pages.sentence(lang, reason)
        if reason != "queue" and (since := self.upstream.since(now)):
            text += " " + pages.sentence(lang, "since", max(1, since // 1_000_000_000))
        self.state = OVER
        self.exchange.refuse(503, text, retry=True)

    def _explain(self, failure: int) -> str:
        lang = pages.language(self.exchange.head)
        return pages.sentence(lang, {REFUSED: "refused", BROKEN: "broken", INVALID: "invalid", LATE: "late"}.get(failure, "broken"))

    # -- letting go -----------------------------------------------------------------------------------------------------

    def _let_go(self) -> None:
        """Give the claim back and leave the connection."""
        connection, self.connection = self.connection, None
        if connection is not None:
            connection.user = None
        if self.server is not None:
            self.upstream.release(self.server, self.slot)
            self.server = None
        self.state = OVER
        self.deadline = 0
        self.exchange.worker.forwards.discard(self)

    def cancel(self) -> None:
        if self.state == HELD:
            self.exchange.worker.hold.remove(self)
        connection = self.connection
        self._let_go()
        if connection is not None:
            connection.close()

    def rescue(self, now: int) -> None:
        """The server was found to be hung while this request waits on it: move it to another one, once."""
        server = self.server
        if server is None or self.state != WAITING or self.moved or not self.replayable:
            return
        if self.exchange.head.method not in IDEMPOTENT:
            return
        if self.exchange.worker.board.cells[self.slot + HEALTH] == HEALTHY:
            return
        other = self.upstream.claim(now, self.key, [*self.tried, server])
        if other is None:
            return
        connection = cast(ServerConnection, self.connection)
        self._let_go()
        connection.close()
        self.tried.append(server)
        self.moved = True
        self.exchange.worker.forwards.add(self)
        self._attach(other, now)


def wants_tunnel(head: RequestHead) -> bool:
    """Only WebSocket may switch protocols: `h2c` and others are never forwarded."""
    return head.upgrade.lower() == b"websocket" and head.method == b"GET" and head.minor == 1 and not head.length


def request_bytes(exchange: Exchange, options: ProxyOptions, server: Server) -> bytes:
    """The request head as the server gets it."""
    head = exchange.head
    target = options.target(exchange) if options.target else head.target
    host = options.host_header or head.host or server.address.encode()
    lines = [b"%b %b HTTP/1.1\r\nHost: %b" % (head.method, target, host), *head.lines]
    if head.length == CHUNKED:
        lines.append(b"Transfer-Encoding: chunked")
    elif head.length_seen:
        lines.append(b"Content-Length: %d" % head.length)
    if head.upgrade and wants_tunnel(head):
        lines.append(b"Connection: Upgrade\r\nUpgrade: websocket")
    elif head.wants_trailers:
        lines.append(b"Connection: TE\r\nTE: trailers")
    forwarded = exchange.worker.trust.lines(exchange)
    lines.append(b"%b\r\nX-Request-Id: %b\r\n\r\n" % (forwarded, exchange.request_id))
    return b"\r\n".join(lines)
