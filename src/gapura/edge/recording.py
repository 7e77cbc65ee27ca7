"""What is written down of every request for metrics, dashboard, `gapura explain ID` and `gapura why`, so that it costs little.

At the end of an exchange its figures are appended to a list, nothing more; at the next beat they are added up and written to the
shared memory (`metrics`). A request becomes a record (`records`) at once, but only some in each beat do, as long as all is well
with them. Those that somebody may ask about always do, unless there are so many that the ring could not keep them anyway.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from itertools import compress
from time import monotonic_ns
from typing import TYPE_CHECKING, Final
from weakref import ref

from gapura import metrics as m
from gapura import records as r
from gapura.balance.upstream import Answers
from gapura.board import BYTES, COLUMNS, FIXED, ID, LATENCY, Board
from gapura.config.plan_log import SECRETS
from gapura.edge.exchange import SLOW, Exchange
from gapura.edge.filter import bottom
from gapura.edge.mask import Mask, anonymous, masking
from gapura.metrics import BOUNDS_NS, CLASSES, Metrics
from gapura.records import CLIENT_GONE, FAILED, RECENT, TRACED, Record, Records, Trial

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gapura.config.plan import Plan
    from gapura.config.plan_log import AccessLogPlan
    from gapura.edge.downstream import Downstream
    from gapura.edge.encrypted import Encrypted
    from gapura.edge.recall import Recalled
    from gapura.edge.router import Router
    from gapura.edge.snapshot import Snapshot

ROOM: Final = 20
"""Requests of one beat that become records although nothing is wrong with them."""
BUSY, FEW = 100, 4
"""After a beat with more requests than `BUSY` only `FEW` do: a sample is enough then, and a record costs half a request."""
FAILURES: Final = 200
"""Requests of one beat that become records because something is: five beats of more would fill the ring."""
Ended = tuple[int, int, int, int, int]
"""Status, duration (ns), bytes sent, bytes received, offset of the server's slot on the board (-1: none)."""

_REASONS: Final = {
    400: r.BAD_REQUEST,
    401: r.DENIED,
    403: r.DENIED,
    408: r.SLOW_REQUEST,
    413: r.TOO_LARGE,
    414: r.BAD_REQUEST,
    421: r.NO_SITE,
    429: r.RATE_LIMIT,
    431: r.BAD_REQUEST,
}
"""What a status means that is our own, where nobody says more."""
MANY: Final = 40
"""Times from which on they are sorted to be counted."""
READING, WORKING, WAITING = (1, 2), (3, 4, 5), (0, 6)
"""Phases of a connection (`edge/downstream.py`): a request arrives (its body: 2), is answered, none is there."""


class Meter:
    """Where the requests of a route are counted, or those of a site that no route took, and how they are told."""

    __slots__ = ("row", "ended", "mask", "anonymize")

    def __init__(self, row: int, ended: list[Ended], mask: Mask | None, anonymize: bool) -> None:
        self.row = row
        self.ended = ended  # of all meters of this row, over reloads too
        self.mask = mask
        self.anonymize = anonymize


class Recorder:
    """The records and metrics of one worker."""

    __slots__ = (
        *("room", "answers", "main", "accepted", "refused", "_failures", "_ended", "_broken", "_masks"),
        *("_snapshots", "_board", "_records", "_metrics", "_column"),
    )

    _board: Board
    _records: Records
    _metrics: Metrics

    def __init__(self) -> None:
        self.room = 0
        """Records of ordinary requests that are still to be had in this beat."""
        self.answers: Answers = defaultdict(list)
        self._ended: dict[int, list[Ended]] = {0: []}
        self.main = Meter(0, self._ended[0], None, False)
        """Of requests that belong to no site."""
        self.accepted = self.refused = 0
        self._failures = 0
        self._broken: list[int] = []  # rows, one for each answer that was broken off
        self._masks: dict[tuple[str, ...], Mask | None] = {}
        self._snapshots: list[ref[Snapshot]] = []
        self._column = -1

    def open(self, board: Board, records: Records, metrics: Metrics, column: int) -> None:
        """Begin to write, to this column."""
        self._board, self._records, self._metrics, self._column = board, records, metrics, column
        metrics.cells[metrics.worker_at(column) + m.USED] = 1

    def take_up(self, plan: Plan, router: Router) -> None:
        """Give every site and route of a new generation its meter."""
        edge = plan["edge"]["access_log"]
        self.main = self._meter(0, edge)
        for site in router.sites:
            log = site.plan["access_log"] or edge
            site.meter = self._meter(site.plan.get("row", 0), log)
            for route in site.routes:
                route.meter = self._meter(route.plan.get("row", 0), route.plan["access_log"] or log)

    def keep(self, snapshot: Snapshot) -> None:
        """A snapshot is served: look how long it is in use."""
        self._snapshots.append(ref(snapshot))

    def _meter(self, row: int, log: AccessLogPlan) -> Meter:
        names = SECRETS if log["mask"] is None else tuple(log["mask"])
        if names not in self._masks:
            self._masks[names] = masking(names) if names else None
        return Meter(row, self._ended.setdefault(row, []), self._masks[names], log["anonymize"])

    # -- records ----------------------------------------------------------------------------------------------------------

    def note(self, exchange: Exchange, meter: Meter) -> None:
        """Write the record of an exchange that has ended, if it is one to be written."""
        cause, flags = _cause(exchange), exchange.flags
        answered = exchange.answered_at
        if answered - exchange.routed_at > SLOW:
            flags |= r.SLOW
        if flags & r.BROKEN_OFF:
            self._broken.append(meter.row)
        status = exchange.status
        if status >= 500 or flags & (r.BROKEN_OFF | r.SLOW) or exchange.tries > 1 or (status == 499 and cause == CLIENT_GONE):
            if self._failures:
                self._failures -= 1
                self._records.write(FAILED, self._record(exchange, meter, cause, flags))
        elif self.room:
            self.room -= 1
            self._records.write(RECENT, self._record(exchange, meter, cause, flags))

    def _record(self, exchange: Exchange, meter: Meter, cause: int, flags: int) -> Record:
        head, started, claimed = exchange.head, exchange.started_at, exchange.claimed_at
        accepted, tls, more = _connection(bottom(exchange.sink), started)
        connected = exchange.connected_at
        server, slot = self._server(exchange.slot)
        if claimed and connected < claimed:
            connected = 0
            if exchange.answered_at:
                more |= r.REUSED
        trials = exchange.trials
        first = exchange.first_claimed_at or claimed
        target = head.target if head.target is head.path or meter.mask is None else meter.mask(head.target)
        client = anonymous(exchange.client) if meter.anonymize else exchange.client
        return Record(
            exchange.request_id.decode("latin-1"), started, exchange.ended_at - started, meter.row, exchange.status, cause,
            flags | more, exchange.tries, server, slot, head.method.decode("latin-1"), target.decode("latin-1"),
            exchange.host_name.decode("latin-1"), client.decode("latin-1"), exchange.note, exchange.sent, exchange.body_seen,
            accepted, tls, exchange.routed_at - started, first - started if first else None,
            claimed - started if claimed else None, connected - started if connected else None,
            exchange.answered_at - started if exchange.answered_at else None,
            tuple([Trial(trial[0], trial[1], trial[2], trial[3] - started) for trial in trials]) if trials else (),
            *_trace(exchange),
        )  # fmt: skip

    def trace(self, exchange: Exchange) -> None:
        """Write the record of an exchange that has ended and whose trace is told to a collector (`edge/tracing.py`)."""
        route = exchange.route
        meter = route.meter if route is not None else exchange.meter
        self._records.write(TRACED, self._record(exchange, meter, _cause(exchange), exchange.flags))

    def note_again(self, connection: Downstream, answer: Recalled, request_id: bytes, now: int) -> None:
        """Write the record of an answer that was given from `recall`; only called while there is `room`."""
        self.room -= 1
        accepted, tls, flags = _connection(connection, now)
        meter = answer.meter
        client = anonymous(connection.client) if meter.anonymize else connection.client
        method, target, host = answer.told
        status, _, sent, _, _ = answer.entry
        record = Record(
            request_id.decode("latin-1"), now, monotonic_ns() - now, meter.row, status, r.NO_CAUSE, flags | r.RECALLED,
            method=method.decode("latin-1"), path=target.decode("latin-1"), host=host.decode("latin-1"),
            client=client.decode("latin-1"), sent=sent, accepted=accepted, tls=tls, routed=0,
        )  # fmt: skip
        self._records.write(RECENT, record)

    def tried(self, exchange: Exchange, slot: int, cause: int, note: str, now: int) -> None:
        """An attempt of an exchange failed. `slot`: offset on the board; `cause`: see `records`; `now`: CLOCK_MONOTONIC, ns."""
        server, number = self._server(slot)
        exchange.flags |= r.AGAIN
        if exchange.trials is None:
            exchange.trials = []
            exchange.first_claimed_at = exchange.claimed_at
        exchange.trials.append((server, number, cause, now))
        exchange.cause = cause
        exchange.note = note

    def _server(self, slot: int) -> tuple[int, int]:
        """The lower half of the id, and the number, of the slot at this offset."""
        if slot < 0:
            return 0, r.NO_SLOT
        return self._board.cells[slot + ID] & 0xFFFFFFFF, Board.number(slot)

    # -- metrics ----------------------------------------------------------------------------------------------------------

    def beat(self) -> None:
        """Write down what has been counted, and make room for new records."""
        self._failures = FAILURES
        cells, column = self._metrics.cells, self._column
        requests = 0
        for row, ended in self._ended.items():
            if ended:
                requests += self._add_row(self._metrics.row_at(column, row), ended)
        for slot, answers in self.answers.items():
            if answers:
                self._add_server(slot, answers)
        self.room = ROOM if requests <= BUSY else FEW
        if self._broken:
            for row, count in Counter(self._broken).items():
                cells[self._metrics.row_at(column, row) + m.BROKEN] += count
            self._broken.clear()
        at = self._metrics.worker_at(column)
        if requests:
            cells[at + m.REQUESTS] += requests
        if self.accepted:
            cells[at + m.ACCEPTED] += self.accepted
            cells[at + m.HANDLED] += self.accepted - self.refused
            self.accepted = self.refused = 0

    def _add_row(self, at: int, ended: list[Ended]) -> int:
        cells = self._metrics.cells
        statuses, durations, sent, received, slots = zip(*ended, strict=True)
        ended.clear()
        for status, count in _counts(statuses):
            cells[at + m.status_cell(status)] += count
        self._add_times(at + m.DURATION, at + m.DURATION_SUM, durations)
        cells[at + m.SENT] += sum(sent)
        if uploaded := sum(received):
            cells[at + m.RECEIVED] += uploaded
        for slot in set(slots):
            if slot >= 0:
                self._add_bytes(slot, sum(compress(sent, map(slot.__eq__, slots))))
        return len(statuses)

    def _add_bytes(self, slot: int, size: int) -> None:
        """What clients got from a server."""
        self._metrics.cells[self._metrics.slot_at(self._column, Board.number(slot)) + m.SERVER_SENT] += size
        self._board.cells[Board.column(slot, BYTES, self._column)] += size

    def _add_server(self, slot: int, answers: list[tuple[int, int]]) -> None:
        statuses, latencies = zip(*answers, strict=True)
        answers.clear()
        at = slot + FIXED + LATENCY * COLUMNS + self._column
        average, count = self._board.cells[at], len(latencies)
        mean = sum(latencies) / count
        self._board.cells[at] = int(average + (mean - average) * (1.0 - 0.95**count)) if average else int(mean)
        cells, at = self._metrics.cells, self._metrics.slot_at(self._column, Board.number(slot))
        for status, count in _counts(statuses):
            cells[at + m.CLASS + min(max(status // 100, 1), len(CLASSES)) - 1] += count
        self._add_times(at + m.ANSWER, at + m.ANSWER_SUM, latencies)

    def _add_times(self, buckets: int, total: int, times: tuple[int, ...]) -> None:
        """Add to a histogram, whose cells begin at `buckets`, and to its sum."""
        cells = self._metrics.cells
        cells[total] += sum(times)
        if len(times) < MANY:
            for time in times:
                cells[buckets + bisect_left(BOUNDS_NS, time)] += 1
            return
        ordered = sorted(times)
        below, bucket = 0, bisect_left(BOUNDS_NS, ordered[0])
        while below < len(ordered):  # where the bounds lie in the times is looked for, not each time among the bounds
            upto = bisect_right(ordered, BOUNDS_NS[bucket], below) if bucket < len(BOUNDS_NS) else len(ordered)
            if upto > below:
                cells[buckets + bucket] += upto - below
            below, bucket = upto, bucket + 1

    def look(self, connections: Iterable[Downstream | Encrypted]) -> None:
        """Write down how it is now: what the connections do, which generations are still in use."""
        phases = Counter([connection.phase for connection in connections])
        cells, at = self._metrics.cells, self._metrics.worker_at(self._column)
        cells[at + m.READING] = sum(phases[phase] for phase in READING)
        cells[at + m.WRITING] = sum(phases[phase] for phase in WORKING)
        cells[at + m.WAITING] = sum(phases[phase] for phase in WAITING)
        living = [(snapshot, one) for snapshot in self._snapshots if (one := snapshot()) is not None]
        self._snapshots = [snapshot for snapshot, _ in living]
        if living:
            cells[at + m.OLDEST] = min(one.generation for _, one in living)


def _counts(statuses: tuple[int, ...]) -> Iterable[tuple[int, int]]:
    """Each status and how many there are of it; mostly all are the same."""
    first = statuses[0]
    return ((first, len(statuses)),) if statuses.count(first) == len(statuses) else Counter(statuses).items()


def _cause(exchange: Exchange) -> int:
    """Why it has no better answer; NO_CAUSE when it has the one it should have."""
    status, cause = exchange.status, exchange.cause
    if exchange.answered_at and not exchange.flags & r.BROKEN_OFF:
        return r.SERVER if status >= 500 else r.NO_CAUSE
    route = exchange.route
    if cause or status < 400:
        return cause
    site = exchange.site
    if site is not None and route is None:
        if site.plan["closed"] and status == 503:
            return r.MAINTENANCE
        if status == 404:
            return r.NO_ROUTE
    if route is not None and route.plan["action"] in ("respond", "files", "redirect") and status not in (401, 403, 413, 408, 429):
        return r.OWN
    return _REASONS.get(status) or (r.ERROR if status >= 500 else r.NO_CAUSE)


def _connection(connection: Downstream, started: int) -> tuple[int | None, int | None, int]:
    """When a request's connection was accepted and encrypted, as far as that was for this request; and flags."""
    tls = connection.tls
    flags = 0 if tls is None else r.TLS
    if connection.requests > 1:
        return None, None, flags | r.KEPT
    if tls is None:
        return connection.accepted_at - started, None, flags
    return tls.accepted_at - started, connection.accepted_at - started, flags


def _trace(exchange: Exchange) -> tuple[str, str, int]:
    """Trace, parent and span, if the exchange is traced."""
    trace = getattr(exchange, "trace", None)
    return ("", "", 0) if trace is None else (trace.id.decode(), trace.parent.decode(), trace.span)
