"""The `proxy` action: one exchange's way to a server and back.

Claim a server, take or open a connection, send, relay the answer. When something fails before the answer began, the request
moves on to the next server if that is safe: nothing was sent, or the method is idempotent and the whole body is still here. When
no server can answer but one may soon, it waits (`hold`). What may have run once and must not run twice is never sent again.
"""

from __future__ import annotations

import logging
from time import monotonic_ns
from typing import TYPE_CHECKING, Final, cast

from gapura import records
from gapura.balance.server import Server
from gapura.balance.upstream import Upstream
from gapura.board import HEALTH, HEALTHY, HIT_AT, PORT, READY_AT
from gapura.edge import pages
from gapura.edge.exchange import SLOW, UNKNOWN, Exchange
from gapura.edge.filter import bottom
from gapura.edge.kept_body import KeptBody
from gapura.edge.pool import ServerConnection
from gapura.edge.request import ProxyOptions, request_bytes, wants_tunnel
from gapura.edge.tunnel import Tunnel
from gapura.errors import ServerError
from gapura.wire.body import chunk, last_chunk
from gapura.wire.request import CHUNKED, IDEMPOTENT
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
STALE, REFUSED, BROKEN, INVALID, LATE, UNTRUSTED = range(6)
"""How an attempt failed: a kept connection had been closed; no connection; closed before it answered; nonsense; too late; not
who it should be, and sent nothing."""

log = logging.getLogger("edge")


class _Trouble:
    """What went wrong so far with an exchange; most have none."""

    __slots__ = ("tried", "failure", "broken", "broken_at", "moved")

    def __init__(self) -> None:
        self.tried: list[Server] = []
        self.failure = STALE
        self.broken = 0
        self.broken_at = 0
        self.moved = False


class Forward:
    """Handler of a proxied exchange and user of a server connection."""

    __slots__ = (
        "exchange", "upstream", "options", "key", "state", "deadline", "held_until",
        "server", "slot", "connection", "reused", "paused", "request_body", "trouble",
    )  # fmt: skip

    def __init__(self, exchange: Exchange, upstream: Upstream, options: ProxyOptions) -> None:
        self.exchange = exchange
        self.upstream = upstream
        self.options = options
        self.key = options.key(exchange) if options.key else b""
        self.state = CLAIMING
        self.deadline = self.held_until = 0
        self.server: Server | None = None
        self.connection: ServerConnection | None = None
        self.paused = False
        self.request_body = KeptBody() if exchange.head.length else None
        self.trouble: _Trouble | None = None
        exchange.handler = self
        exchange.worker.forwards.add(self)

    def begin(self, now: int) -> None:
        """Claim a server and go."""
        trouble = self.trouble
        server = self.upstream.claim(now, self.key, trouble.tried if trouble else None)
        if server is None:
            self._no_server(now)
        else:
            self._attach(server, now)

    # -- to the server --------------------------------------------------------------------------------------------------

    def _attach(self, server: Server, now: int) -> None:
        """A server is claimed: get a connection to it."""
        exchange = self.exchange
        self.server = exchange.server = server
        self.slot = exchange.slot = slot = server.slot
        exchange.tries += 1
        exchange.claimed_at = now
        exchange.server_port = port = server.port or self.upstream.cells[slot + PORT]
        pool = exchange.worker.pool
        trouble = self.trouble
        # what cannot be repeated never goes out on a connection that the server may have closed just now
        repeatable = exchange.head.method in IDEMPOTENT and 0 <= exchange.head.length <= REPLAY
        if repeatable and (trouble is None or trouble.failure != BROKEN):
            connection = pool.take(server, slot, port, self, self.upstream.plan["tls"])
            if connection is not None:
                self.reused = True
                self._send(connection, now)
                return
        self.reused = False
        self.state = CONNECTING
        self.deadline = now + self.options.connect_ns
        self.connection = pool.open(server, slot, port, self, self.upstream.keepalive, self.upstream.plan["tls"])

    def on_connected(self, connection: ServerConnection) -> None:
        trouble = self.trouble
        if trouble and trouble.failure == BROKEN and self.held_until and not self._came_up_since(trouble.broken_at):
            # the only server closed on this request and was there all the time: the request is what it does not like
            self._answered_by_nobody(BROKEN)
            return
        now = self.exchange.connected_at = monotonic_ns()
        self._send(connection, now)

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
        body = self.request_body
        if body is None:
            self.deadline = now + self.options.read_ns
            connection.write(data)
            return
        chunked = exchange.head.length == CHUNKED
        if body.parts:
            data += b"".join(map(chunk, body.parts) if chunked else body.parts)
            if body.size > REPLAY:
                body.forget()
        if body.ended:
            self.deadline = now + self.options.read_ns
            connection.write(data + last_chunk() if chunked else data)
        else:
            self.deadline = 0
            body.stuck = False
            connection.write(data)
            exchange.sink.want_body()
            if not body.stuck:
                exchange.sink.resume_body()

    def body(self, data: bytes) -> None:
        body = cast(KeptBody, self.request_body)
        if body.replayable:
            body.parts.append(data)
            body.size += len(data)
        if self.state < WAITING:
            self.exchange.sink.pause_body()
            return
        if body.size > REPLAY:
            body.forget()
        if self.connection is not None:
            self.connection.write(chunk(data) if self.exchange.head.length == CHUNKED else data)

    def body_end(self) -> None:
        body = cast(KeptBody, self.request_body)
        body.ended = True
        if self.state >= WAITING and self.connection is not None:
            if self.exchange.head.length == CHUNKED:
                self.connection.write(last_chunk())
            if self.state == WAITING:
                self.deadline = monotonic_ns() + self.options.read_ns

    @property
    def _sent_whole(self) -> bool:
        """The whole request has been handed to the connection."""
        return self.request_body is None or self.request_body.ended

    @property
    def _repeatable(self) -> bool:
        """The request may be sent once more although a server may have seen it."""
        body = self.request_body
        return self.exchange.head.method in IDEMPOTENT and (body is None or body.replayable)

    def on_server_slow(self) -> None:
        if self.request_body is not None:
            self.request_body.stuck = True
        self.exchange.sink.pause_body()
        self.deadline = monotonic_ns() + self.options.send_ns

    def on_server_ready(self) -> None:
        if self.request_body is not None:
            self.request_body.stuck = False
        self.deadline = monotonic_ns() + self.options.read_ns if self._sent_whole else 0
        self.exchange.sink.resume_body()

    # -- from the server ------------------------------------------------------------------------------------------------

    def on_interim(self, head: ResponseHead) -> None:
        if head.status == EARLY_HINTS:
            self.exchange.sink.interim(head.block)

    def on_whole(self, head: ResponseHead, body: bytes) -> None:
        exchange = self.exchange
        now = monotonic_ns()
        status = head.status
        connection = cast(ServerConnection, self.connection)
        block = self._answered(head, connection, now)
        exchange.status = status
        exchange.started = True
        self._finished(connection, now)
        if body:
            exchange.sink.whole(block, body, head.length, False, now)
        else:
            bodyless = status in (204, 304) or exchange.head.method == b"HEAD"
            exchange.sink.whole(block, body, head.declared if bodyless else head.length, bodyless, now)

    def on_response(self, head: ResponseHead) -> None:
        exchange = self.exchange
        now = monotonic_ns()
        if head.status == SWITCHING_PROTOCOLS and not wants_tunnel(exchange.head):
            raise ServerError(502, "the server switched protocols without being asked")
        block = self._answered(head, cast(ServerConnection, self.connection), now)
        self.state = RELAYING
        if head.status == SWITCHING_PROTOCOLS:
            self._tunnel(head, block)
            return
        self.deadline = now + self.options.read_ns
        if head.length < 0 and head.trailer and exchange.head.wants_trailers:
            block += b"\r\n" + head.trailer
        exchange.start(head.status, block, max(head.length, UNKNOWN), False)

    def _answered(self, head: ResponseHead, connection: ServerConnection, now: int) -> bytes:
        """A response head arrived: count it; the head for the client, with what Gapura adds."""
        exchange = self.exchange
        server = cast(Server, self.server)
        exchange.answered_at = now
        latency = now - exchange.claimed_at
        if latency > SLOW:
            exchange.flags |= records.SLOW
        self.upstream.answered(server, self.slot, connection.opened_at, now, latency, head.status)
        if self.options.served_by:
            return b"".join((head.block, b"\r\nX-Served-By: ", server.id_bytes, b"\r\nX-Request-Id: ", exchange.request_id))
        return b"".join((head.block, b"\r\nX-Request-Id: ", exchange.request_id))

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
        self._finished(cast(ServerConnection, self.connection), monotonic_ns())
        exchange = self.exchange
        exchange.sink.end(trailers if trailers and exchange.head.wants_trailers else [])

    def _finished(self, connection: ServerConnection, now: int) -> None:
        """The response is complete: give the claim and the connection back before the client's next request looks for one."""
        self._let_go()
        if self.paused and connection.transport is not None and not connection.lost:
            connection.transport.resume_reading()
        body = self.request_body
        if body is None or body.ended:
            self.exchange.worker.pool.give_back(connection, now + self.options.keepalive_ns)
        else:
            connection.close()  # it answered without having read the request

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

    def _tunnel(self, head: ResponseHead, block: bytes) -> None:
        exchange = self.exchange
        worker = exchange.worker
        connection = cast(ServerConnection, self.connection)
        downstream = cast("Downstream", exchange.sink)
        upgrade = head.upgrade or b"websocket"
        exchange.status = SWITCHING_PROTOCOLS
        exchange.started = True
        exchange.flags |= records.TUNNEL
        client, early = downstream.become_tunnel(b"%b\r\nConnection: Upgrade\r\nUpgrade: %b\r\n\r\n" % (block, upgrade))
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
        exchange.finish(monotonic_ns())
        exchange.worker.forget(bottom(exchange.sink))

    # -- failures -------------------------------------------------------------------------------------------------------

    def on_refused(self, reason: str, untrusted: bool = False) -> None:
        if untrusted:
            self._failed(UNTRUSTED, reason, records.UNTRUSTED)
        else:
            refused = "refused" in reason or "Errno 111" in reason
            self._failed(REFUSED, f"no connection: {reason}", records.REFUSED if refused else records.UNREACHABLE)

    def on_broken(self, error: ServerError, answering: bool) -> None:
        if answering:
            self._failed(INVALID, error.reason, records.INVALID)
        else:
            stale = self.reused
            self._failed(STALE if stale else BROKEN, error.reason, records.STALE if stale else records.CLOSED)

    def expire(self, now: int) -> None:
        """The deadline has passed (called by the worker's sweep)."""
        self.deadline = 0
        if self.state == CONNECTING:
            self._failed(REFUSED, "no connection within the connect timeout", records.CONNECT_TIMEOUT)
        elif self.state in (WAITING, RELAYING):
            self._failed(LATE, "no answer within the read timeout", records.TIMEOUT)

    def _failed(self, failure: int, reason: str, cause: int) -> None:
        """An attempt failed: answer, or go on with another server, or wait. `cause`: as in `records`."""
        exchange = self.exchange
        server = cast(Server, self.server)
        connection = cast(ServerConnection, self.connection)
        opened_at, slot = connection.opened_at, self.slot
        connection.close()
        started = self.state == RELAYING
        self._let_go()
        now = monotonic_ns()
        exchange.worker.recorder.tried(exchange, slot, cause, reason, now)
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
        if failure not in (REFUSED, UNTRUSTED) and not self._repeatable:
            self._answered_by_nobody(failure)
            return
        trouble = self.trouble
        if trouble is None:
            trouble = self.trouble = _Trouble()
        trouble.failure = failure
        if failure == BROKEN:
            trouble.broken += 1
            trouble.broken_at = now
        if failure == STALE:
            exchange.tries -= 1  # the server never saw it (nginx grants a try more)
        else:
            trouble.tried.append(server)
        self.state = CLAIMING
        exchange.worker.forwards.add(self)
        limit = self.upstream.plan["tries"]
        if (limit and exchange.tries >= limit) or trouble.broken > MAX_BROKEN:
            self._answered_by_nobody(failure)
            return
        self.begin(now)

    def _no_server(self, now: int) -> None:
        """Nobody is left for this request: wait if one may return, else answer."""
        exchange = self.exchange
        trouble = self.trouble
        failure = trouble.failure if trouble else STALE
        if failure in (INVALID, LATE, UNTRUSTED) or (failure == BROKEN and not self.upstream.hold_ns):
            self._answered_by_nobody(failure)
            return
        again = failure in (REFUSED, BROKEN) or self.held_until > 0
        if not self.held_until:
            self.held_until = now + self.upstream.hold_ns
        if now >= self.held_until or not (again or self.upstream.may_return(now)):
            self._give_up(now)
            return
        if trouble:
            trouble.tried.clear()
        self.state = HELD
        exchange.flags |= records.HELD
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
        self.exchange.cause = records.QUEUE_FULL if reason == "queue" else records.NO_SERVER
        self.exchange.note = reason
        self.exchange.refuse(503, text, retry=True)

    def _explain(self, failure: int) -> str:
        words = {REFUSED: "refused", BROKEN: "broken", INVALID: "invalid", LATE: "late", UNTRUSTED: "untrusted"}
        return pages.sentence(pages.language(self.exchange.head), words.get(failure, "broken"))

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
        if server is None or self.state != WAITING or self.exchange.worker.board.cells[self.slot + HEALTH] == HEALTHY:
            return
        trouble = self.trouble or _Trouble()
        if trouble.moved or not self._repeatable:
            return
        other = self.upstream.claim(now, self.key, [*trouble.tried, server])
        if other is None:
            return
        connection = cast(ServerConnection, self.connection)
        self._let_go()
        connection.close()
        trouble.tried.append(server)
        self.exchange.worker.recorder.tried(self.exchange, self.slot, records.UNHEALTHY, "it failed its health checks", now)
        trouble.moved = True
        self.trouble = trouble
        self.exchange.worker.forwards.add(self)
        self._attach(other, now)
