"""One request and its response. An exchange belongs to a stream, not to a connection: HTTP/1 today, other protocols later.

Three seams meet here. The *sink* is the client's side: it takes the response (`start`, `data`, `end`, `abort`) and can be told to
pause the request body. The *handler* is what answers: it gets the body and is paused when the client is slow. *Steps* choose the
handler: each route has a list of them, run in order.
"""

from __future__ import annotations

import re
from time import monotonic_ns
from typing import TYPE_CHECKING, Final, Protocol

from gapura import records
from gapura.edge import error_pages, pages
from gapura.edge.date import date_line
from gapura.edge.router import ANSWERED, MAX_REROUTES, NEXT, REROUTE, NotAllowed, Route, Site, check_reading
from gapura.errors import ClientError
from gapura.wire.request import RequestHead

if TYPE_CHECKING:
    from gapura.balance.server import Server
    from gapura.edge.access_log import AccessLog
    from gapura.edge.limit import Counted
    from gapura.edge.recording import Meter
    from gapura.edge.snapshot import Snapshot
    from gapura.edge.tracing import Trace
    from gapura.edge.worker import Worker

UNKNOWN: Final = -1
"""Length of a body that ends when it ends."""
CLIENT_GONE: Final = 499
"""Status in the access log when the client left before the answer (nginx's number)."""
SLOW: Final = 1_000_000_000
"""ns from a request to the head of its server's answer, from which on it is slow."""

_STATUS_LINES: Final = {status: b"HTTP/1.1 %d %b" % (status, reason.encode()) for status, reason in pages.REASONS.items()}
_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._:=+/-]{1,128}\Z")


class Sink(Protocol):
    """The client's side of an exchange."""

    client: bytes
    peer: str
    scheme: bytes
    forwarded: bytes
    """X-Forwarded-For and X-Forwarded-Proto of whoever is connected, joined by CRLF."""
    now: int
    """CLOCK_MONOTONIC when the client was last heard, in ns."""

    def start(self, block: bytes, length: int, bodyless: bool) -> None:
        """Begin the final answer. `block`: status line and header lines, joined by CRLF, without framing and end.

        `length` in bytes or UNKNOWN; `bodyless`: no body follows whatever `length` announces.
        """

    def interim(self, block: bytes) -> None:
        """Pass a 1xx answer."""

    def whole(self, block: bytes, body: bytes, length: int, bodyless: bool, now: int) -> None:
        """`start`, `data` and `end` at once, for an answer that is all here."""

    def data(self, data: bytes) -> None: ...
    def flush(self) -> None:
        """Send the head now, although no data has come yet."""

    def end(self, trailers: list[bytes]) -> None: ...
    def abort(self) -> None:
        """Break off so that the client can tell."""

    def pause_body(self) -> None: ...
    def resume_body(self) -> None: ...
    def last(self) -> None:
        """Close the connection after this answer."""

    def want_body(self) -> None:
        """The body will be read: answer `Expect: 100-continue` if the client asked."""


class Handler(Protocol):
    """What answers an exchange."""

    def body(self, data: bytes) -> None: ...
    def body_end(self) -> None: ...
    def pause(self) -> None:
        """The client reads slowly: stop producing."""

    def resume(self) -> None: ...
    def cancel(self) -> None:
        """The client is gone or at fault: let go of everything, answer nothing."""


class Exchange:
    """A request head, the way it takes, and what is noted of it for the log. Times are CLOCK_MONOTONIC in ns."""

    __slots__ = (
        "worker", "sink", "snapshot", "head", "client", "host_name", "request_id",
        "site", "route", "groups", "rewritten", "handler", "step", "reroutes", "body_seen",
        "status", "started", "sent", "tries", "server", "server_port", "slot", "counted", "user", "trace",
        "cause", "flags", "note", "trials",
        "started_at", "routed_at", "first_claimed_at", "claimed_at", "connected_at", "answered_at", "ended_at",
    )  # fmt: skip

    sink: Sink
    head: RequestHead
    client: bytes  # the client's address, behind trusted proxies too
    host_name: bytes  # of the Host header, lower case, without port
    status: int
    sent: int  # body bytes passed to the client's connection
    tries: int  # servers claimed
    server: Server | None  # the last one claimed
    server_port: int
    slot: int  # its offset on the board, -1 without one
    cause: int  # why it got no better answer: one of `records.CAUSES`, as far as it is known already
    flags: int  # `records.FLAGS`
    note: str  # a few words more about `cause`
    trials: list[tuple[int, int, int, int]] | None  # attempts that failed (`Recorder.tried`)
    request_id: bytes
    user: bytes  # who has logged in; not set when nobody has
    trace: Trace  # not set without `[tracing]`
    groups: re.Match[bytes] | None  # of the regex that was found last
    rewritten: bytes  # target to forward instead of the one that came; b"": that one
    started_at: int  # first byte of the head
    routed_at: int  # the head is complete
    first_claimed_at: int  # first claim of a server, if there was more than one
    claimed_at: int  # last claim of a server
    connected_at: int  # connection to it opened, if it was not kept
    answered_at: int  # its response head
    ended_at: int

    def __init__(self, worker: Worker, sink: Sink, snapshot: Snapshot, head: RequestHead, started_at: int) -> None:
        self.worker = worker
        self.sink = sink
        self.snapshot = snapshot
        self.head = head
        self.client = sink.client
        given = head.request_id
        self.request_id = given if given and _REQUEST_ID.match(given) else worker.new_request_id()
        self.host_name = b""
        self.site: Site | None = None
        self.route: Route | None = None
        self.groups = None
        self.rewritten = b""
        self.handler: Handler | None = None
        self.step = self.reroutes = self.body_seen = 0
        self.status = self.sent = self.tries = self.server_port = self.cause = self.flags = 0
        self.started = False
        self.server = None
        self.slot = -1
        self.note = ""
        self.trials = None
        self.counted: Counted | None = None
        self.started_at = started_at
        self.routed_at = sink.now
        self.first_claimed_at = self.claimed_at = self.connected_at = self.answered_at = self.ended_at = 0

    def begin(self) -> None:
        """Find the route and run its steps."""
        head = self.head
        try:
            router = self.snapshot.router
            self.host_name, site = router.known.get(head.host or b"") or router.site(head.host)
            if site is None:
                raise ClientError(421, self.say("unknown", name=self.host_name.decode("latin-1") or "–"))
            self.site = site
            if site.gate is not None and site.gate(self) != NEXT:
                return
            if head.path == b"*":
                self.reply(204, [b"Allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"], b"")
                return
            self._match(site)
        except ClientError as error:
            if error.status == 400:
                self.sink.last()
            self.refuse(error.status, error.reason)

    def _match(self, site: Site) -> None:
        """Choose the route and run its steps. Raises ClientError."""
        head = self.head
        try:
            self.route = route = site.only or site.route(head.path, self)
        except NotAllowed as error:
            self.route = error.route
            for step in error.route.dressing:
                step(self)
            self.refuse(405, self.say("method", methods=error.allow.decode()[7:]), lines=[error.allow])
            return
        if route is None:
            raise ClientError(404, self.say("nowhere"))
        if site.guarded:
            check_reading(site, route, head.path, self)
        if head.length > route.body_limit > 0:
            for step in route.dressing:
                step(self)
            raise ClientError(413, self.say("large", limit=route.body_limit))
        self.step = 1
        outcome = route.steps[0](self)
        if outcome in (NEXT, REROUTE):
            self.go_on(outcome)

    def say(self, key: str, **words: object) -> str:
        """A sentence in the language of the client."""
        return pages.sentence(pages.language(self.head), key, **words)

    def go_on(self, outcome: int) -> None:
        """What follows a step; one that paused calls this later. Raises ClientError."""
        while outcome == NEXT and self.route is not None and self.step < len(self.route.steps):
            step = self.route.steps[self.step]
            self.step += 1
            outcome = step(self)
        if outcome == REROUTE and self.site is not None:
            self.reroutes += 1
            if self.reroutes > MAX_REROUTES:
                raise ClientError(500, "The routes of this site send the request in circles.")
            self._match(self.site)

    # -- from the client ------------------------------------------------------------------------------------------------

    def on_body(self, data: bytes) -> None:
        """A piece of the request body. Raises ClientError 413 when it grows too large."""
        self.body_seen += len(data)
        limit = self.route.body_limit if self.route is not None else 0
        if limit and self.body_seen > limit:
            raise ClientError(413, self.say("large", limit=limit))
        if self.handler is not None:
            self.handler.body(data)

    def on_body_end(self) -> None:
        if self.handler is not None:
            self.handler.body_end()

    def on_client_gone(self) -> None:
        """The client's connection is lost."""
        self.cause = records.CLIENT_GONE
        if not self.status:
            self.status = CLIENT_GONE
        self.cancel()
        self.finish(monotonic_ns())

    def cancel(self) -> None:
        """Let the handler go without an answer from it."""
        handler, self.handler = self.handler, None
        if handler is not None:
            handler.cancel()

    # -- to the client --------------------------------------------------------------------------------------------------

    def start(self, status: int, block: bytes, length: int, bodyless: bool) -> None:
        """Begin the final answer."""
        self.status = status
        self.started = True
        self.sink.start(block, length, bodyless)

    def reply(self, status: int, lines: list[bytes], body: bytes) -> int:
        """A whole answer at once."""
        self.handler = None
        self.status = status
        self.started = True
        bodyless = self.head.method == b"HEAD" or status in (204, 304)
        length = UNKNOWN if status in (204, 304) else len(body)  # RFC 9110 §8.6
        self.sink.whole(self.block(status, lines), body, length, bodyless, monotonic_ns())
        return ANSWERED

    def block(self, status: int, lines: list[bytes]) -> bytes:
        """The head of an answer of our own."""
        first = _STATUS_LINES.get(status) or b"HTTP/1.1 %d Status" % status
        return b"\r\n".join((first, date_line(), *lines, b"X-Request-Id: " + self.request_id))

    def refuse(self, status: int, reason: str, retry: bool = False, lines: list[bytes] | None = None) -> int:
        """An error page; ends the exchange. After the answer began it can only be broken off."""
        self.cancel()
        if self.started:
            self.sink.abort()
            return ANSWERED
        retry = retry and self.head.method in (b"GET", b"HEAD")
        found = error_pages.own(self, status)
        if found is None:
            body, more = pages.render(status, self.head, reason, self.request_id.decode("latin-1"), retry)
        else:
            body, more = found
            if retry:
                more.append(b"Retry-After: %d" % pages.RETRY_AFTER)
        return self.reply(status, [*more, *(lines or ())], body)

    def finish(self, now: int) -> None:
        """The exchange is over: note it. Called once, by the sink."""
        self.ended_at = now
        if self.counted is not None:
            self.counted.end()
        route = self.route
        if route is not None:
            log, meter = route.log, route.meter
        else:
            log, meter = self.log, self.meter
        status = self.status
        meter.ended.append((status, now - self.started_at, self.sent, self.body_seen, self.slot))
        recorder = self.worker.recorder
        if recorder.room or self.flags or status >= CLIENT_GONE:
            recorder.note(self, meter)
        if log is not None:
            log.add(self)

    @property
    def log(self) -> AccessLog | None:
        """The log that its line is for: that of its route, of its site, or of the edge."""
        route, site = self.route, self.site
        return route.log if route is not None else self.worker.logs.main if site is None else site.log

    @property
    def meter(self) -> Meter:
        """Where it is counted without a route."""
        site = self.site
        return self.worker.recorder.main if site is None else site.meter
