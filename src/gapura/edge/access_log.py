"""The access log: which exchanges get a line, what it looks like (`edge/log_format.py`) and where it goes."""

from __future__ import annotations

from random import random
from typing import TYPE_CHECKING, Protocol

from gapura.config.plan_log import AccessLogPlan
from gapura.edge.log_format import Combined, Format, compile_format

if TYPE_CHECKING:
    from gapura.edge.exchange import Exchange


class Output(Protocol):
    """Where lines go: a file (`edge/log_file.py`) or a syslog server (`edge/syslog.py`)."""

    lost: int
    lines: list[bytes]
    """Lines with their ends, to be appended to by whoever has one: a call for each would cost more than the line's place."""
    most: int
    """Number of lines with which `flush` is called at once, else every half second."""

    def flush(self) -> None: ...
    def reopen(self) -> None: ...
    def retire(self) -> None: ...
    def revive(self) -> None: ...
    def close(self) -> None: ...


class AccessLog:
    """Lines of one format, for one output.

    For a request that is answered from memory without an exchange (`edge/recall.py`) there is a short way: where `short` is true,
    keep `middle(exchange)` with the remembered answer, and `add_again` it each time. Where it is false, every exchange must be
    made and added.
    """

    __slots__ = (
        *("output", "short", "middle", "_lines", "_most", "_again", "_format"),
        *("_plain", "_statuses", "_rate", "_errors", "_slow"),
    )

    def __init__(self, plan: AccessLogPlan, output: Output, named: bool = False) -> None:
        """`named`: somebody may have logged in."""
        self.output = output
        self._lines = output.lines
        self._most = output.most
        combined = Combined(plan) if plan["format"] == "combined" else None
        plain = combined if not named and not plan["anonymize"] else None
        self._format: Format = plain.line if plain else compile_format(plan)
        only, sample = plan["only"], plan["sample"]
        self._statuses = frozenset(status for low, high in only for status in range(low, high + 1))
        self._rate = sample["rate"] if sample else 1.0
        self._errors = sample["errors"] if sample else False
        self._slow = int((sample["slow"] if sample else 0.0) * 1e9)
        self._plain = not only and sample is None
        self.short = combined is not None and self._plain and not named
        self.middle = combined.middle if combined else self._format
        self._again = combined.again if combined else None

    def add(self, exchange: Exchange) -> None:
        """Log an exchange that has ended."""
        if self._plain or self._wanted(exchange):
            lines = self._lines
            lines.append(self._format(exchange))
            if len(lines) >= self._most:
                self.output.flush()

    def add_again(self, client: bytes, middle: bytes, request_id: bytes, started_at: int, ended_at: int) -> None:
        """Log the repetition of an exchange. `middle` is what `middle` gave for it; times are CLOCK_MONOTONIC in ns."""
        if self._again is not None:
            lines = self._lines
            lines.append(self._again(client, middle, request_id, started_at, ended_at))
            if len(lines) >= self._most:
                self.output.flush()

    def _wanted(self, exchange: Exchange) -> bool:
        """Whether it gets a line: its status is among `only`, and it is part of the sample, failed or slow."""
        status = exchange.status
        if self._statuses and status not in self._statuses:
            return False
        if self._rate >= 1.0 or random() < self._rate:
            return True
        return (self._errors and status >= 500) or 0 < self._slow <= exchange.ended_at - exchange.started_at

    @property
    def lost(self) -> int:
        """Lines that could not be written and have not been told of yet."""
        return self.output.lost

    def flush(self) -> None:
        """Write what has been collected."""
        self.output.flush()
