"""What happened between two looks at the metrics: by route, site and server, as the difference of their counters.

Only what has changed is read: a look at a thousand idle routes costs one slice for each worker.
"""

from __future__ import annotations

import time
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable
from itertools import accumulate
from operator import add, sub

from gapura import board as layout
from gapura import metrics as m
from gapura.board import Board
from gapura.control.history import Figures, Moment
from gapura.control.names import NOWHERE, Names
from gapura.metrics import Metrics

_ERRORS = [m.STATUS + place for place, status in enumerate(m.COUNTED) if status >= 500]
_CLASS_500 = m.CLASS + m.CLASSES.index(500)
_NOTHING = Figures(0, 0, 0, 0.0, 0.0, 0.0)

Cells = list[int]


class _Rows:
    """Rows of one kind in one column, and what they held at the last look. Their first cell grows with every request."""

    __slots__ = ("_length", "_sums", "_before")

    def __init__(self, length: int) -> None:
        self._length = length
        self._sums: Cells = []
        self._before: dict[int, array[int]] = {}

    def changes(self, cells: memoryview, start: int, count: int) -> dict[int, Cells]:
        """By number, how much each cell has grown. A row that shrank was given to somebody else, and began from 0."""
        length = self._length
        sums = cells[start : start + count * length : length].tolist()
        if sums == self._sums:
            return {}
        old = [*self._sums, *(0,) * (count - len(self._sums))]
        found = {}
        for number in [number for number, (now, before) in enumerate(zip(sums, old, strict=False)) if now != before]:
            at = start + number * length
            row = array("Q", cells[at : at + length])
            before = self._before.get(number)
            self._before[number] = row
            found[number] = list(row) if before is None or row[0] < before[0] else list(map(sub, row, before))
        self._sums = sums
        return found


class Meter:
    """`take` tells what happened since the one before. What was counted before the first does not count."""

    def __init__(self, metrics: Metrics, board: Board, clock: Callable[[], float] = time.monotonic) -> None:
        self._metrics = metrics
        self._board = board
        self._clock = clock
        self._rows: dict[int, _Rows] = {}
        self._slots: dict[int, _Rows] = {}
        self._failures: Cells = []
        self._at = clock()
        self._routes_since()
        self._servers_since()
        self._failures_since()

    def take(self, names: Names) -> Moment:
        """The figures since the last call."""
        now = self._clock()
        seconds, self._at = max(1e-3, now - self._at), now
        rows, slots, failures = self._routes_since(), self._servers_since(), self._failures_since()
        rows = {row: cells for row, cells in rows.items() if row not in names.ours}
        figures = {row: _of_routes([cells]) for row, cells in rows.items()}
        sites: dict[str, list[int]] = {}
        for row in rows:
            site = names.site_of.get(row)
            if site is not None:
                sites.setdefault(site, []).append(row)
        servers: dict[str, tuple[list[Cells], int]] = {}
        for slot in {*slots, *failures}:
            key = names.server_of.get(slot)
            if key is not None:
                group, failed = servers.get(key, ([], 0))
                cells = slots.get(slot)
                servers[key] = ([*group, cells] if cells is not None else group, failed + failures.get(slot, 0))
        return Moment(
            seconds,
            _of_routes(rows.values()),
            {
                site: figures[group[0]] if len(group) == 1 else _of_routes([rows[row] for row in group])
                for site, group in sites.items()
            },
            {row: found for row, found in figures.items() if row in names.routes or row == NOWHERE},
            {key: _of_server(group, failed) for key, (group, failed) in servers.items()},
        )

    def _routes_since(self) -> dict[int, Cells]:
        count = min(m.ROWS, self._metrics.cells[m.H_ROWS])
        return self._since(self._rows, m.ROW, lambda column: Metrics.row_at(column, 0), count)

    def _servers_since(self) -> dict[int, Cells]:
        count = min(layout.SLOTS, self._metrics.cells[m.H_SLOTS])
        return self._since(self._slots, m.SLOT, lambda column: Metrics.slot_at(column, 0), count)

    def _since(self, kept: dict[int, _Rows], length: int, where: Callable[[int], int], count: int) -> dict[int, Cells]:
        """The changes of all columns, added up."""
        found: dict[int, Cells] = {}
        for column in self._metrics.columns():
            rows = kept.get(column)
            if rows is None:
                rows = kept[column] = _Rows(length)
            for number, cells in rows.changes(self._metrics.cells, where(column), count).items():
                known = found.get(number)
                found[number] = cells if known is None else list(map(add, known, cells))
        return found

    def _failures_since(self) -> dict[int, int]:
        """By slot, how often a request failed at it without an answer."""
        count = min(layout.SLOTS, self._metrics.cells[m.H_SLOTS])
        start = Board.column(Board.slot(0), layout.ERRORS, 0)
        columns = self._board.cells[layout.H_USED]
        sums = [0] * count
        for column in range(columns):
            end = start + column + count * layout.SLOT
            sums = list(map(add, sums, self._board.cells[start + column : end : layout.SLOT].tolist()))
        before = [*self._failures, *(0,) * (count - len(self._failures))]
        self._failures = sums
        return {slot: now - old for slot, (now, old) in enumerate(zip(sums, before, strict=False)) if now > old}


def _of_routes(group: Iterable[Cells]) -> Figures:
    cells = _sum(group)
    if not cells:
        return _NOTHING
    durations = cells[m.DURATION :]
    errors = cells[m.BROKEN] + sum(cells[at] for at in _ERRORS)
    return Figures(sum(durations), errors, cells[m.SENT], *_times(durations))


def _of_server(group: list[Cells], failed: int) -> Figures:
    cells = _sum(group)
    if not cells:
        return Figures(0, failed, 0, 0.0, 0.0, 0.0)
    answers = cells[m.ANSWER :]
    return Figures(sum(answers), cells[_CLASS_500] + failed, cells[m.SERVER_SENT], *_times(answers))


def _sum(group: Iterable[Cells]) -> Cells:
    found: Cells = []
    for cells in group:
        found = list(map(add, found, cells)) if found else cells
    return found


def _times(counts: Cells) -> tuple[float, float, float]:
    """The percentiles of a histogram, as `metrics.quantile` has them one by one."""
    sums = list(accumulate(counts))
    total = sums[-1]
    if not total:
        return 0.0, 0.0, 0.0
    found = []
    for share in (0.5, 0.9, 0.99):
        rank = share * total
        place = bisect_left(sums, rank)
        if place >= len(m.BOUNDS):
            found.append(m.BOUNDS[-1])
            continue
        low = m.BOUNDS[place - 1] if place else 0.0
        below = sums[place - 1] if place else 0
        found.append(low + (m.BOUNDS[place] - low) * (rank - below) / counts[place])
    return found[0], found[1], found[2]
