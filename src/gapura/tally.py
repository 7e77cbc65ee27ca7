"""The tally: shared memory that counts requests by client, over all workers, for rate and connection limits.

Like the board it is made by the master, works without locks and has **one writer per cell**: each worker writes only the table
of its own column and adds up the tables of all. A table is a set-associative hash table: a key (64 bits of a keyed hash, so that
nobody can choose where a client lands) may stand in any of the `WAYS` places of one set. All times are CLOCK_MONOTONIC in ns.

*Rates.* A bucket that leaks one request per `interval` (nginx: limit_req). A busy period begins at `BEGAN`, when the bucket is
empty; what it holds is (requests since) × interval − (time since). Requests since are `COUNT`, summed over all columns, less the
sum that whoever began the period found (`FOUND`). Nothing that a column counted is lost when two workers begin a period at once:
each has only left out what it had seen. So what is let through is exact but for requests that other workers decide on in the same
instant, one each. Cells are written FOUND, BEGAN, COUNT and read COUNT, BEGAN, FOUND: half a change never looks like less than it
was.

*Memory* is bounded. A new key takes a free place, else one whose bucket has run empty, else, and then `forgotten` counts, the
place of the client that has used the least of its burst: a flood of keys that ask once pushes out its own kind, not those that
are over their limit.

A dead worker's requests under way are forgotten (`clear_column`); its rates are not, or a crash would set everybody free.
"""

from __future__ import annotations

import hashlib
import mmap
import os
from typing import Final, NamedTuple

from gapura.board import COLUMNS

MAGIC: Final = 0x4741_5055_5241_5401
"""ASCII "GAPURAT" and the layout's version."""

WAYS: Final = 8
RATE_SETS: Final = 8192
"""Sets of a column for rates: with `WAYS` this makes room for 65,536 clients."""
BUSY_SETS: Final = 2048
"""Sets of a column for requests under way: 16,384 clients at the same time."""

COUNT, BEGAN, FOUND, EMPTY_AT, SPAN = (WAYS * place for place in range(1, 6))
"""Distance of a way's cells from its key: requests ever; when the busy period began; sum that was found then; when the bucket will
be empty, as far as this column knows; how long a bucket takes to leak that is full to the brim."""
RATE_BLOCK: Final = 6 * WAYS
BUSY: Final = WAYS
"""Distance of a way's number of requests under way from its key."""
BUSY_BLOCK: Final = 2 * WAYS

HEADER: Final = 512
"""Cells of the header: one page, so that the tables begin at the start of another."""
H_MAGIC, H_SECRET = 0, 1
SECRET: Final = 4
RATE_COLUMN: Final = RATE_SETS * RATE_BLOCK
BUSY_COLUMN: Final = BUSY_SETS * BUSY_BLOCK
BUSY_START: Final = HEADER + COLUMNS * RATE_COLUMN
SIZE: Final = 8 * (BUSY_START + COLUMNS * BUSY_COLUMN)
"""Bytes. Only what is used becomes real memory."""


class Reading(NamedTuple):
    """What the tally says of a key now."""

    backlog: int  # ns until its bucket is empty; 0 when it is
    total: int  # requests ever counted, over all columns
    began: int  # the busy period
    found: int
    place: int  # of the key in this worker's table; -1: it has none


class Tally:
    """A mapped tally, bound to one worker's column."""

    __slots__ = ("fd", "cells", "column", "secret", "forgotten", "told_at", "_map", "_overflow")

    def __init__(self, fd: int, column: int = -1) -> None:
        self.fd = fd
        self._map = mmap.mmap(fd, SIZE)
        self.cells: memoryview = memoryview(self._map).cast("Q")
        if self.cells[H_MAGIC] != MAGIC:
            raise ValueError("this is not a tally of this version")
        self.column = column
        self.secret = bytes(self.cells[H_SECRET : H_SECRET + SECRET])
        self.forgotten = 0
        """Clients that were still counted when their place was given to another."""
        self.told_at = 0
        """When somebody was told so."""
        self._overflow: dict[int, int] = {}

    @classmethod
    def create(cls) -> Tally:
        """A new tally in anonymous shared memory (memfd_create(2)), with a secret of its own."""
        fd = os.memfd_create("gapura-tally")
        os.ftruncate(fd, SIZE)
        with mmap.mmap(fd, HEADER * 8) as memory:
            cells = memoryview(memory).cast("Q")
            for index in range(SECRET):
                cells[H_SECRET + index] = int.from_bytes(os.urandom(8), "little")
            cells[H_MAGIC] = MAGIC
            cells.release()
        return cls(fd)

    def zone(self, name: str) -> bytes:
        """What separates the clients of one limit from those of another: the secret with the limit's name."""
        return hashlib.blake2b(name.encode(), digest_size=32, key=self.secret).digest()

    @staticmethod
    def key(zone: bytes, value: bytes) -> int:
        """The key of a client in a zone: never 0, the same in all workers, unknown to everybody outside."""
        return int.from_bytes(hashlib.blake2b(value, digest_size=8, key=zone).digest(), "little") or 1

    # -- rates ----------------------------------------------------------------------------------------------------------

    def read(self, key: int, interval: int, now: int, columns: int) -> Reading:
        """How full the bucket of a key is. `interval`: ns for one request; `columns`: how many columns are in use."""
        cells = self.cells
        start = HEADER + key % RATE_SETS * RATE_BLOCK
        total = began = found = 0
        place = -1
        for column in range(columns):
            at = start + column * RATE_COLUMN
            ways = cells[at : at + WAYS].tolist()
            if key not in ways:
                continue
            at += ways.index(key)
            if column == self.column:
                place = at
            total += cells[at + COUNT]
            since = cells[at + BEGAN]
            before = cells[at + FOUND]
            if since > began or (since == began and before < found):
                began, found = since, before
        backlog = (total - found) * interval - max(0, now - began)
        return Reading(max(0, backlog), total, began, found, place)

    def charge(self, key: int, interval: int, burst: int, now: int, columns: int, reading: Reading) -> None:
        """Count a request that was let through, after `read` and in the same breath."""
        cells = self.cells
        at = reading.place
        if at < 0:
            at = self._make_room(key, now, columns)
        if not reading.backlog:
            cells[at + FOUND] = reading.total
            cells[at + BEGAN] = now
        elif reading.place < 0:
            cells[at + FOUND] = reading.found
            cells[at + BEGAN] = reading.began
        cells[at + EMPTY_AT] = now + reading.backlog + interval
        cells[at + SPAN] = (burst + 1) * interval
        cells[at + COUNT] += 1

    def _make_room(self, key: int, now: int, columns: int) -> int:
        """A place for a key in this worker's table."""
        cells = self.cells
        at = HEADER + key % RATE_SETS * RATE_BLOCK + self.column * RATE_COLUMN
        ways = cells[at : at + WAYS].tolist()
        if 0 in ways:
            way = ways.index(0)
        else:
            fullness = [self._fullness(other, at + way, now, columns) for way, other in enumerate(ways)]
            way = min(range(WAYS), key=lambda way: (fullness[way], cells[at + way + EMPTY_AT]))
            if fullness[way]:
                self.forgotten += 1
        at += way
        cells[at] = 0
        for cell in (COUNT, BEGAN, FOUND, EMPTY_AT, SPAN):
            cells[at + cell] = 0
        cells[at] = key
        return at

    def _fullness(self, key: int, place: int, now: int, columns: int) -> float:
        """The part of its burst that a client has used, as far as any worker knows; 0: its bucket is empty."""
        cells = self.cells
        start = HEADER + key % RATE_SETS * RATE_BLOCK
        empty_at = cells[place + EMPTY_AT]
        for column in range(columns):
            at = start + column * RATE_COLUMN
            ways = cells[at : at + WAYS].tolist()
            if key in ways:
                empty_at = max(empty_at, cells[at + ways.index(key) + EMPTY_AT])
        return max(0, empty_at - now) / (cells[place + SPAN] or 1)

    # -- requests under way ---------------------------------------------------------------------------------------------

    def enter(self, key: int, most: int, columns: int) -> bool:
        """Count a request under way, unless the key has `most` of them; True: `leave` must follow. Others may enter just now."""
        cells = self.cells
        start = BUSY_START + key % BUSY_SETS * BUSY_BLOCK
        total = self._overflow.get(key, 0)
        place = -1
        for column in range(columns):
            at = start + column * BUSY_COLUMN
            ways = cells[at : at + WAYS].tolist()
            if key in ways:
                at += ways.index(key)
                total += cells[at + BUSY]
                if column == self.column:
                    place = at
        if total >= most:
            return False
        if place < 0:
            at = start + self.column * BUSY_COLUMN
            ways = cells[at : at + WAYS].tolist()
            if 0 not in ways:  # more clients than the set has places for: the others do not see this one, we do
                self._overflow[key] = self._overflow.get(key, 0) + 1
                return True
            place = at + ways.index(0)
            cells[place + BUSY] = 0
            cells[place] = key
        cells[place + BUSY] += 1
        return True

    def leave(self, key: int) -> None:
        """A request that had entered is over."""
        cells = self.cells
        at = BUSY_START + key % BUSY_SETS * BUSY_BLOCK + self.column * BUSY_COLUMN
        ways = cells[at : at + WAYS].tolist()
        left = self._overflow.get(key, 0)
        if left:
            if left == 1:
                del self._overflow[key]
            else:
                self._overflow[key] = left - 1
        elif key in ways:
            at += ways.index(key)
            busy = cells[at + BUSY]
            if busy > 1:
                cells[at + BUSY] = busy - 1
            else:
                cells[at + BUSY] = 0
                cells[at] = 0

    # -- the master -----------------------------------------------------------------------------------------------------

    def clear_column(self, column: int) -> None:
        """Forget the requests that a dead worker had under way (master only). Their memory is given back."""
        self._map.madvise(mmap.MADV_REMOVE, 8 * (BUSY_START + column * BUSY_COLUMN), 8 * BUSY_COLUMN)

    def close(self) -> None:
        """Unmap. The file descriptor stays open."""
        self.cells.release()
        self._map.close()
