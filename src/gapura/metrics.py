"""The metrics: shared memory with counters and histograms by route and by server, for /metrics, the dashboard and stub_status.

Like the board it is made by the master and works without locks: **one writer per cell**. Each worker writes the rows of its own
column, ten times a second and not with every request (`edge/recording.py`), and readers add up all columns. Counters only ever
grow: a worker that takes over the column of a dead one goes on where that one stopped. Only `READING`, `WRITING` and `WAITING` say
how it is now, and the master clears them.

A *row* belongs to a route, or to a site for what it answers without a route; row 0 is for requests of no site and for routes that
found no row of their own. The master gives rows as it gives slots (`master/rows.py`); they stay the same over reloads. A server's
row has the number of its slot on the board. `CELLS` says what is counted where; docs/RECORDS.md is made of it.
"""

from __future__ import annotations

import mmap
import os
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from functools import reduce
from itertools import compress
from operator import add
from typing import Final, NamedTuple

from gapura.board import COLUMNS, SLOTS

MAGIC: Final = 0x4741_5055_5241_4D01
"""ASCII "GAPURAM" and the layout's version."""

ROWS: Final = 1024
"""Rows for sites and routes, row 0 included."""

BOUNDS: Final = (
    *(0.0001, 0.0002, 0.0003, 0.0005, 0.0007, 0.001, 0.0015, 0.002, 0.003, 0.004, 0.005, 0.006, 0.008, 0.01, 0.0125, 0.015),
    *(0.02, 0.025, 0.03, 0.04, 0.05, 0.06, 0.08, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.75, 1.0, 1.5, 2.5, 4.0, 5.0, 7.5, 10.0),
    *(20.0, 30.0, 60.0),
)
"""Upper bounds (s, inclusive) of the histograms' buckets; one more bucket takes what is longer. Prometheus' usual ones are among
them."""
BOUNDS_NS: Final = tuple(round(bound * 1e9) for bound in BOUNDS)
BUCKETS: Final = len(BOUNDS) + 1

STATUSES: Final = (
    *(101, 200, 201, 202, 204, 206, 301, 302, 303, 304, 307, 308, 400, 401, 403, 404, 405, 406, 408, 409, 410, 411, 412, 413, 414),
    *(415, 416, 421, 422, 425, 426, 428, 429, 431, 451, 499, 500, 501, 502, 503, 504, 505, 507, 508),
)
"""Statuses that are counted one by one; of all others only the class is known (`100` to `500` below)."""
CLASSES: Final = (100, 200, 300, 400, 500)
COUNTED: Final = (*STATUSES, *CLASSES)
"""What the cells of a row from `STATUS` on count; a class stands for all of it that is not counted one by one."""
_PLACE: Final = {status: place for place, status in enumerate(STATUSES)}

# -- header cells ---------------------------------------------------------------------------------------------------------
H_MAGIC, H_ROWS, H_SLOTS = range(3)
HEADER: Final = 512
"""Cells: one page."""

# -- a worker's cells -----------------------------------------------------------------------------------------------------
USED, ACCEPTED, HANDLED, REQUESTS, READING, WRITING, WAITING, OLDEST = range(8)
WORKER: Final = 8
# -- a row's cells --------------------------------------------------------------------------------------------------------
DURATION_SUM, SENT, RECEIVED, BROKEN = range(4)
STATUS: Final = 4
DURATION: Final = STATUS + len(COUNTED)
ROW: Final = DURATION + BUCKETS
# -- a server's cells -----------------------------------------------------------------------------------------------------
ANSWER_SUM, SERVER_SENT = range(2)
CLASS: Final = 2
ANSWER: Final = CLASS + len(CLASSES)
SLOT: Final = ANSWER + BUCKETS

CELLS: Final = (
    ("header", "H_MAGIC", 1, "master", "marks the memory as metrics of this layout"),
    ("header", "H_ROWS", 1, "master", "rows ever given are below this one"),
    ("header", "H_SLOTS", 1, "master", "slots ever given are below this one"),
    ("worker", "USED", 1, "worker", "1 when a worker has ever had this column"),
    ("worker", "ACCEPTED", 1, "worker", "client connections accepted"),
    ("worker", "HANDLED", 1, "worker", "of these, those that were not refused because there were too many"),
    ("worker", "REQUESTS", 1, "worker", "requests answered, given up or broken off"),
    ("worker", "READING", 1, "worker", "connections on which a request or a handshake is arriving now"),
    ("worker", "WRITING", 1, "worker", "connections with a request that is being answered now"),
    ("worker", "WAITING", 1, "worker", "connections between two requests now"),
    ("worker", "OLDEST", 1, "worker", "generation of the oldest snapshot that a request still uses"),
    ("row", "DURATION_SUM", 1, "worker", "ns from the first byte of requests to the last of their answers, in all"),
    ("row", "SENT", 1, "worker", "bytes of bodies sent to clients"),
    ("row", "RECEIVED", 1, "worker", "bytes of bodies received from them"),
    ("row", "BROKEN", 1, "worker", "answers broken off after they had begun"),
    ("row", "STATUS", len(COUNTED), "worker", "requests by status: `COUNTED`"),
    ("row", "DURATION", BUCKETS, "worker", "requests by duration: `BOUNDS`"),
    ("server", "ANSWER_SUM", 1, "worker", "ns from a request to the head of its answer, in all"),
    ("server", "SERVER_SENT", 1, "worker", "bytes of bodies that clients got from it"),
    ("server", "CLASS", len(CLASSES), "worker", "answers by class: `CLASSES`"),
    ("server", "ANSWER", BUCKETS, "worker", "answers by time until their head: `BOUNDS`"),
)
"""Group, cell, how many cells, writer, meaning."""

WORKERS_START: Final = HEADER
ROWS_START: Final = WORKERS_START + COLUMNS * WORKER
COLUMN: Final = ROWS * ROW + SLOTS * SLOT
SIZE: Final = 8 * (ROWS_START + COLUMNS * COLUMN)
"""Bytes. Only what was written becomes real memory."""


class Worker(NamedTuple):
    """What all workers together count (nginx: stub_status)."""

    accepted: int
    handled: int
    requests: int
    reading: int
    writing: int
    waiting: int


class Row(NamedTuple):
    """A route, or a site without a route, over all workers. Times are ns, bodies bytes."""

    duration_sum: int
    sent: int
    received: int
    broken: int
    statuses: list[int]  # by `COUNTED`
    durations: list[int]  # by `BOUNDS`

    @property
    def requests(self) -> int:
        return sum(self.durations)

    @property
    def errors(self) -> int:
        """Answers with 500 and above, and those that were broken off."""
        return self.broken + sum(count for status, count in zip(COUNTED, self.statuses, strict=True) if status >= 500)


class Server(NamedTuple):
    """A server's slot, over all workers."""

    answer_sum: int  # ns
    sent: int  # bytes
    classes: list[int]  # answers by `CLASSES`
    answers: list[int]  # by `BOUNDS`

    @property
    def requests(self) -> int:
        return sum(self.answers)


def status_cell(status: int) -> int:
    """The cell of a row in which a status is counted. What is no status counts as 500."""
    place = _PLACE.get(status)
    if place is None:
        place = len(STATUSES) + (status // 100 - 1 if 100 <= status < 600 else 4)
    return STATUS + place


def bucket(nanoseconds: int) -> int:
    """The bucket of a duration."""
    return bisect_left(BOUNDS_NS, nanoseconds)


def quantile(counts: Sequence[int], q: float) -> float:
    """The duration (s) that the part `q` (0 to 1) of all stays below, as far as buckets tell; NaN when there are none.

    Within a bucket durations are taken to be spread evenly (Prometheus: histogram_quantile). What is longer than the last bound
    counts as that.
    """
    total = sum(counts)
    if not total:
        return float("nan")
    rank = q * total
    below = 0
    for index, count in enumerate(counts):
        if count and below + count >= rank:
            if index == len(BOUNDS):
                break
            low = BOUNDS[index - 1] if index else 0.0
            return low + (BOUNDS[index] - low) * max(0.0, rank - below) / count
        below += count
    return BOUNDS[-1]


def _added(some: list[int], more: list[int]) -> list[int]:
    return list(map(add, some, more))


class Metrics:
    """The mapped metrics. `cells` is the flat array; the methods that say where a row lies give its first cell."""

    __slots__ = ("fd", "cells", "_map")

    def __init__(self, fd: int) -> None:
        """Raises ValueError when `fd` holds something else."""
        self.fd = fd
        if os.fstat(fd).st_size != SIZE:
            raise ValueError("these are not metrics of this version")
        self._map = mmap.mmap(fd, SIZE)
        self.cells: memoryview = memoryview(self._map).cast("Q")
        if self.cells[H_MAGIC] != MAGIC:
            raise ValueError("these are not metrics of this version")

    @classmethod
    def create(cls) -> Metrics:
        """New metrics in anonymous shared memory (memfd_create(2))."""
        fd = os.memfd_create("gapura-metrics")
        os.ftruncate(fd, SIZE)
        with mmap.mmap(fd, HEADER * 8) as memory:
            cells = memoryview(memory).cast("Q")
            cells[H_ROWS] = 1
            cells[H_MAGIC] = MAGIC
            cells.release()
        return cls(fd)

    # -- where things lie -------------------------------------------------------------------------------------------------

    @staticmethod
    def worker_at(column: int) -> int:
        return WORKERS_START + column * WORKER

    @staticmethod
    def row_at(column: int, row: int) -> int:
        return ROWS_START + column * COLUMN + row * ROW

    @staticmethod
    def slot_at(column: int, slot: int) -> int:
        """`slot` is its number, not its offset on the board."""
        return ROWS_START + column * COLUMN + ROWS * ROW + slot * SLOT

    # -- readers --------------------------------------------------------------------------------------------------------

    def columns(self) -> list[int]:
        """Columns that a worker has ever had."""
        used = self.cells[WORKERS_START + USED : ROWS_START : WORKER].tolist()
        return list(compress(range(COLUMNS), used))

    def row(self, row: int) -> Row:
        """What was counted for a route or a site; all zero for a row that nobody has."""
        cells = self._sum((self.row_at(column, row) for column in self.columns()), ROW, row < self.cells[H_ROWS])
        return Row(cells[DURATION_SUM], cells[SENT], cells[RECEIVED], cells[BROKEN], cells[STATUS:DURATION], cells[DURATION:])

    def server(self, *slots: int) -> Server:
        """What was counted for a server, which has one slot, or an instance, which has two."""
        known = [slot for slot in slots if slot < self.cells[H_SLOTS]]
        cells = self._sum((self.slot_at(column, slot) for column in self.columns() for slot in known), SLOT)
        return Server(cells[ANSWER_SUM], cells[SERVER_SENT], cells[CLASS:ANSWER], cells[ANSWER:])

    def workers(self) -> Worker:
        """The sums of all workers."""
        cells = self._sum((self.worker_at(column) for column in self.columns()), WORKER)
        return Worker(*cells[ACCEPTED:OLDEST])

    def _sum(self, starts: Iterable[int], length: int, known: bool = True) -> list[int]:
        """Cell by cell. (Memory that nobody wrote is not read, or it would become real.)"""
        columns: list[list[int]] = [self.cells[start : start + length].tolist() for start in starts] if known else []
        return reduce(_added, columns) if columns else [0] * length

    # -- the master -----------------------------------------------------------------------------------------------------

    def clear_column(self, column: int) -> None:
        """Forget what a dead worker had under way; its counters stay."""
        at = self.worker_at(column)
        for cell in (READING, WRITING, WAITING):
            self.cells[at + cell] = 0

    def clear_row(self, row: int) -> None:
        """Begin from 0, for another route; no worker may be writing it any more."""
        for column in self.columns():
            self._clear(self.row_at(column, row), ROW)

    def clear_slot(self, slot: int) -> None:
        """Begin from 0, for another server; no worker may be writing it any more."""
        if slot < self.cells[H_SLOTS]:
            for column in self.columns():
                self._clear(self.slot_at(column, slot), SLOT)

    def _clear(self, start: int, length: int) -> None:
        for at, value in enumerate(self.cells[start : start + length].tolist(), start):
            if value:
                self.cells[at] = 0

    def close(self) -> None:
        """Unmap. The file descriptor stays open."""
        self.cells.release()
        self._map.close()
