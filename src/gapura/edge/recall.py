"""Answers that are sent again without reading the request again: the same bytes, asked a moment ago, got this answer.

One read that is exactly one request without a body is looked up whole. What is remembered was made the ordinary way less than a
second ago, from a file in memory, by a route with no other step, and says nothing that differs between two requests but Date,
X-Request-Id and the log's line. So nobody can tell, but by the time it takes. Every second, after
every change of the configuration, and for everything else, the ordinary way is taken.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from gapura.edge.certificates import policy_of
from gapura.edge.file_memory import FRESH

if TYPE_CHECKING:
    from gapura.edge.access_log import AccessLog
    from gapura.edge.downstream import Downstream
    from gapura.edge.exchange import Exchange
    from gapura.edge.router import Site

MOST: Final = 2048
"""Answers remembered for one scheme. Bodies are those of the file memory, or no longer kept than a second."""
IDLE: Final = 0
"""Phase of a connection between two requests, as in `edge/downstream.py`."""
LONGEST: Final = 4096
"""Bytes of the longest request that is remembered."""


class Recalled:
    """An answer: all but the request id, and what its log line needs. `until`: CLOCK_MONOTONIC in ns."""

    __slots__ = ("until", "before", "after", "body", "log", "middle", "server_name", "meter", "entry", "told")

    def __init__(
        self,
        until: int,
        before: bytes,
        after: bytes,
        body: bytes,
        log: AccessLog | None,
        middle: bytes,
        server_name: bytes,
        exchange: Exchange,
    ) -> None:
        self.until = until
        self.before = before
        self.after = after
        self.body = body
        self.log = log
        self.middle = middle
        self.server_name = server_name  # that TLS was begun with: another one may not get this answer
        route, head = exchange.route, exchange.head
        self.meter = exchange.meter if route is None else route.meter
        self.entry = (exchange.status, 0, len(body), 0, -1)
        """What is counted each time."""
        mask = self.meter.mask
        self.told = (head.method, mask(head.target) if mask is not None else head.target, exchange.host_name)
        """Method, masked target and host, for records."""


def repeat(connection: Downstream, answer: Recalled, now: int) -> None:
    """Answer a request that is alone in its connection as it was answered before."""
    worker = connection.worker
    connection.requests += 1
    connection.phase = IDLE
    connection.since = now
    connection.deadline = now + worker.idle_ns
    request_id = worker.new_request_id()
    answer.meter.ended.append(answer.entry)
    if worker.recorder.room:
        worker.recorder.note_again(connection, answer, request_id, now)
    if answer.log is not None:
        answer.log.add_again(connection.client, answer.middle, request_id, now, now)
    # last, because it may pause writing
    connection.transport.write(b"".join((answer.before, request_id, answer.after, answer.body)))


class Recall:
    """The memory of a worker, by scheme, because an answer may depend on it. Closed while the worker drains.

    `heard` are hashes of requests that came once: most that differ in a cookie never come again, and cost no more than this.
    """

    __slots__ = ("answers", "closed", "heard")

    def __init__(self) -> None:
        self.answers: dict[bytes, dict[bytes, Recalled]] = {}
        self.closed = False
        self.heard: set[int] = set()

    def of(self, scheme: bytes) -> dict[bytes, Recalled]:
        """The answers for connections of a scheme, by the bytes of the request. Emptied in place, so it may be held."""
        return self.answers.setdefault(scheme, {})

    def clear(self) -> None:
        """Forget everything: the configuration has changed."""
        for answers in self.answers.values():
            answers.clear()

    def close(self) -> None:
        """Remember nothing any more: answers say something else from now on."""
        self.closed = True
        self.clear()

    def sweep(self, now: int) -> None:
        """Let go of what has become too old."""
        for answers in self.answers.values():
            for raw in [raw for raw, answer in answers.items() if answer.until <= now]:
                del answers[raw]

    def learn(
        self, connection: Downstream, raw: bytes, exchange: Exchange, seen: int, block: bytes, length: int, body: bytes
    ) -> None:
        """Remember the answer of an exchange that has ended, if its request came before, and if all others would get it too.

        `raw` is all that was read with it; `seen`: when its file was looked at. The answer is `block`, in which the request id
        stands, the `length` (UNKNOWN: none is told), and `body`.
        """
        mark = hash(raw)
        if mark not in self.heard:
            if len(self.heard) >= 2 * MOST:
                self.heard.clear()
            self.heard.add(mark)
            return
        route = exchange.route
        if self.closed or len(raw) > LONGEST or route is None or not repeatable(exchange):
            return
        log = route.log
        if log is not None and not log.short:
            return
        before, found, rest = block.rpartition(exchange.request_id)
        if not found:
            return
        now = exchange.ended_at
        # the Date is part of what is remembered, so it ends with the second
        until = min(seen + FRESH, now + 1_000_000_000 - time.time_ns() % 1_000_000_000)
        answers = self.of(connection.scheme)
        if len(answers) >= MOST:
            answers.clear()
        after = b"%b\r\nContent-Length: %d\r\n\r\n" % (rest, length) if length >= 0 else rest + b"\r\n\r\n"
        middle = log.middle(exchange) if log is not None else b""
        tls = connection.tls
        answers[raw] = Recalled(until, before, after, body, log, middle, b"" if tls is None else tls.server_name, exchange)


def repeatable(exchange: Exchange) -> bool:
    """Whether nothing but the bytes of the request, the configuration and the file decided about the answer."""
    head, route, site = exchange.head, exchange.route, exchange.site
    return (
        route is not None
        and site is not None
        and _steady(site, exchange.sink.scheme)
        and len(route.steps) == 1
        and route.plan["traffic"] is None
        and not exchange.reroutes
        and head.minor == 1
        and head.keep_alive
        and not head.length_seen
        and not head.request_id
        and not exchange.worker.trust.networks
    )


def _steady(site: Site, scheme: bytes) -> bool:
    """Whether a site chooses a route by the request alone: not by who asks, by a certificate, or by the time."""
    tls = site.plan["tls"]
    return (
        not site.plan["closed"]
        and (tls is None or (scheme == b"https" and not policy_of(tls)))
        and not any(route.plan["match"] and route.plan["match"]["client"] for route in site.routes)
    )
