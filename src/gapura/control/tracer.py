"""Tells a collector of traces (OTLP over HTTP) of the requests that workers have sampled.

A thread of its own reads them from the records, makes spans and sends them. The ring in the records is its queue: it is bounded,
nobody waits for it, and what is overwritten before it was read is counted. So a collector that is slow or away costs traces and
nothing else. OpenTelemetry is imported by that thread alone: who does not trace has none of it in memory.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from gapura.config.plan import Plan
from gapura.config.plan_tracing import TracingPlan
from gapura.control.names import Names
from gapura.records import TRACED, Record, Records

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter

    from gapura.control.spans import Spans

EVERY: Final = 0.5
"""Seconds between two looks at the records."""
BATCH: Final = 256
"""Requests that are sent at once."""
PATIENCE: Final = 5.0
"""Seconds that the collector has to take a batch."""
LAST: Final = 1.0
"""Seconds that it has when control ends."""
TELL: Final = 60.0
"""Seconds between two lines of the log about a collector that does not take them."""
OVERWRITTEN, TOO_MANY, REFUSED = "overwritten", "too_many", "collector"
"""Why a request was not told: the collector was too slow; `most` was reached; the collector did not take it."""

log = logging.getLogger(__name__)


class Tracer:
    """`apply` with each plan, `close` at the end. `sent` and `lost` (by reason) count requests, since control began."""

    def __init__(self, records: Records, names: Callable[[], Names]) -> None:
        self.sent = 0
        self.lost = dict.fromkeys((OVERWRITTEN, TOO_MANY, REFUSED), 0)
        self._records = records
        self._names = names
        self._plan: TracingPlan | None = None
        self._running: _Sending | None = None

    def apply(self, plan: Plan) -> None:
        """Trace as this plan says from now on."""
        wanted = plan["edge"].get("tracing")
        if wanted == self._plan:
            return
        self._plan = wanted
        before = self._running
        self.close(0.0)
        if wanted is not None:
            self._running = _Sending(self, wanted, self._records, self._names, before)

    def close(self, patience: float = LAST) -> None:
        """Stop; what is in the records already is sent, as far as that is possible within `patience` (s)."""
        running, self._running = self._running, None
        if running is not None:
            running.stop(patience)


class _Sending:
    """The thread."""

    def __init__(
        self, tracer: Tracer, plan: TracingPlan, records: Records, names: Callable[[], Names], before: _Sending | None
    ) -> None:
        """`before` sends as the configuration said until now: this one goes on where that one ends."""
        self._before = before
        self._tracer = tracer
        self._plan = plan
        self._records = records
        self._names = names
        self._seen = {column: count for (column, ring), count in records.written().items() if ring == TRACED}
        self._allowed = float(plan["most"])
        self._told_at = float("-inf")
        self._stop = threading.Event()
        self._exporter: SpanExporter | None = None
        self._spans: Spans
        self._thread = threading.Thread(target=self._run, name="traces", daemon=True)
        self._thread.start()

    def stop(self, patience: float) -> None:
        self._stop.set()
        self._thread.join(patience)
        if self._thread.is_alive() and self._exporter is not None:
            self._exporter.shutdown()  # it would try again for a minute

    def _run(self) -> None:
        try:
            self._open()
            before, self._before = self._before, None
            if before is not None:
                before._thread.join()
                self._seen = before._seen
            while not self._stop.wait(EVERY):
                self._turn()
            self._turn()
        except Exception:
            log.exception("traces are not sent any more")

    def _open(self) -> None:
        from opentelemetry.exporter.otlp.proto.http import Compression
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        from gapura.control.spans import Spans

        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)  # it would tell of every batch; we tell once a minute
        headers = dict(self._plan["headers"])
        self._exporter = OTLPSpanExporter(
            endpoint=self._plan["endpoint"], headers=headers, timeout=PATIENCE, compression=Compression.Gzip
        )
        self._spans = Spans(self._plan["service"], socket.gethostname())

    def _turn(self) -> None:
        """Send what has come since the last one."""
        most = float(self._plan["most"])
        self._allowed = min(most, self._allowed + most * EVERY)
        found: list[Record] = []
        for (column, ring), count in self._records.written().items():
            new = count - self._seen.get(column, 0)
            if ring != TRACED or new <= 0:
                continue
            records = self._records.read(column, TRACED, count - new)
            self._seen[column] = count = max(count, records[-1].number if records else 0)
            self._tracer.lost[OVERWRITTEN] += max(0, new - len(records))
            found += records
        take = min(len(found), int(self._allowed))
        self._allowed -= take
        self._tracer.lost[TOO_MANY] += len(found) - take
        for start in range(0, take, BATCH):
            self._send(found[start : min(start + BATCH, take)])

    def _send(self, records: list[Record]) -> None:
        from opentelemetry.sdk.trace.export import SpanExportResult

        assert self._exporter is not None
        names, wall = self._names(), time.time_ns() - time.monotonic_ns()
        spans = [span for record in records for span in self._spans.of(record, names, wall)]
        if self._exporter.export(spans) is SpanExportResult.SUCCESS:
            self._tracer.sent += len(records)
            return
        self._tracer.lost[REFUSED] += len(records)
        if time.monotonic() - self._told_at > TELL:
            self._told_at = time.monotonic()
            log.warning("the collector of traces at %s takes none: %d requests are not told", self._plan["endpoint"], len(records))
