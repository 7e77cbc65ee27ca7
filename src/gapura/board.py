"""The board: shared memory with the facts that change fast (alive, health, load, failures).

Cells are native 8-byte unsigned integers, read and written through a `memoryview` cast to "Q": one aligned store is never
torn. The rule that makes it safe without locks is **one writer per cell**; `CELLS` below names the writer of each, and
`docs/BOARD.md` is generated from the same table. All times are nanoseconds of CLOCK_MONOTONIC (`time.monotonic_ns`), which
every process of the machine shares; 0 means never.

A *column* belongs to one worker process for its life: the master gives a free column to each worker it starts, and clears
it after the worker's death before giving it away again.
"""

from __future__ import annotations

import hashlib
import mmap
import os
from typing import Final

MAGIC: Final = 0x4741_5055_5241_0001
"""ASCII "GAPURA" and the layout's version."""

COLUMNS: Final = 64
"""Worker columns that a board has room for."""
SLOTS: Final = 1024
"""Servers that a board has room for."""

# -- header cells ---------------------------------------------------------------------------------------------------------
H_MAGIC, H_COLUMNS, H_SLOTS, H_USED, H_GENERATION, H_BOOT = range(6)
HEADER: Final = 16

# -- process rows: 0 master, 1 control, 2 + column for workers ----------------------------------------------------------------
P_PID, P_BEAT, P_GENERATION, P_CONNECTIONS = range(4)
PROCESS: Final = 4
MASTER_ROW, CONTROL_ROW, WORKER_ROW = 0, 1, 2
PROCESSES: Final = WORKER_ROW + COLUMNS

# -- slot cells -----------------------------------------------------------------------------------------------------------
ID, STATE, ADMIN, HEALTH, DOWN_AT, READY_AT, HIT_AT, PORT, RETURNS_AT, SINCE = range(10)
FIXED: Final = 10
CONNS, FAILS, FAILED_AT, SERVED, ERRORS, BYTES, LATENCY = range(7)
PER_WORKER: Final = 7
SLOT: Final = FIXED + PER_WORKER * COLUMNS

# -- values ---------------------------------------------------------------------------------------------------------------
FREE, STARTING, READY, STOPPING, STOPPED, BACKOFF, CRASHED = range(7)
"""STATE of a slot. A server that is no instance is READY as long as it is configured."""
STATES: Final = ("free", "starting", "ready", "stopping", "stopped", "backoff", "crashed")
ENABLED, DRAINING, DISABLED = range(3)
"""ADMIN of a slot."""
HEALTHY, UNHEALTHY = range(2)
"""HEALTH of a slot."""
REFUSED: Final = 1
"""Lowest bit of DOWN_AT: the failure was on connecting (refused, unreachable, no answer to SYN), so that one successful
health check afterwards proves the server is back. Without it (answers too late, breaks off) fail_timeout runs its course."""

CELLS: Final = (
    ("header", "H_MAGIC", "master", "marks the memory as a board of this layout"),
    ("header", "H_COLUMNS", "master", "worker columns that there is room for"),
    ("header", "H_SLOTS", "master", "slots that there is room for"),
    ("header", "H_USED", "master", "columns ever given to a worker; readers add up this many"),
    ("header", "H_GENERATION", "master", "committed generation of the configuration"),
    ("header", "H_BOOT", "master", "when the board was made"),
    ("process", "P_PID", "master", "process id, 0 when the row is free"),
    ("process", "P_BEAT", "that process", "time of its last heartbeat"),
    ("process", "P_GENERATION", "that process", "generation of the snapshot it serves"),
    ("process", "P_CONNECTIONS", "that process", "client connections that it holds"),
    ("slot", "ID", "master", "hash of the server's upstream and id"),
    ("slot", "STATE", "master", "free, starting, ready, stopping, stopped, backoff, crashed"),
    ("slot", "ADMIN", "master", "enabled, draining, disabled"),
    ("slot", "HEALTH", "control", "healthy, unhealthy"),
    ("slot", "DOWN_AT", "any worker, last wins", "when max_fails was reached; lowest bit: refused"),
    ("slot", "READY_AT", "master", "when the instance became ready; for others, when the slot was given"),
    ("slot", "HIT_AT", "control", "the first successful health check after a miss, or after a refused connection"),
    ("slot", "PORT", "master", "port of the instance that owns the slot now"),
    ("slot", "RETURNS_AT", "master", "in back-off: when the instance is started again"),
    ("slot", "SINCE", "master", "when STATE last changed"),
    ("worker", "CONNS", "worker", "exchanges and tunnels under way"),
    ("worker", "FAILS", "worker", "failures in the window that began at FAILED_AT"),
    ("worker", "FAILED_AT", "worker", "time of the last failure"),
    ("worker", "SERVED", "worker", "answers received"),
    ("worker", "ERRORS", "worker", "failures in all"),
    ("worker", "BYTES", "worker", "response bytes"),
    ("worker", "LATENCY", "worker", "average time to the response head in ns; a sample moves it by 0.05, those of a beat together"),
)

SIZE: Final = 8 * (HEADER + PROCESSES * PROCESS + SLOTS * SLOT)


def id_hash(upstream: str, server: str) -> int:
    """64-bit name of a server on the board: the same across reloads, restarts and versions."""
    return int.from_bytes(hashlib.blake2b(f"{upstream}/{server}".encode(), digest_size=8).digest(), "little")


class Board:
    """A mapped board. `cells` is the flat array; `slot()` and `process()` give the offset of a row.

    Hot code keeps `cells` and offsets in locals and indexes directly.
    """

    __slots__ = ("cells", "fd", "_map")

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._map = mmap.mmap(fd, SIZE)
        self.cells: memoryview = memoryview(self._map).cast("Q")
        if self.cells[H_MAGIC] != MAGIC:
            raise ValueError("this is not a board of this version")

    @classmethod
    def create(cls, now: int) -> Board:
        """A new board in anonymous shared memory (memfd_create(2)); `now` is CLOCK_MONOTONIC in ns."""
        fd = os.memfd_create("gapura-board")
        os.ftruncate(fd, SIZE)
        with mmap.mmap(fd, SIZE) as memory:
            cells = memoryview(memory).cast("Q")
            cells[H_COLUMNS], cells[H_SLOTS], cells[H_BOOT] = COLUMNS, SLOTS, now
            cells[H_MAGIC] = MAGIC
            cells.release()
        return cls(fd)

    @staticmethod
    def process(row: int) -> int:
        """Offset of a process row."""
        return HEADER + row * PROCESS

    @staticmethod
    def slot(index: int) -> int:
        """Offset of a slot's first cell."""
        return HEADER + PROCESSES * PROCESS + index * SLOT

    @staticmethod
    def number(slot_offset: int) -> int:
        """Index of the slot at this offset."""
        return (slot_offset - HEADER - PROCESSES * PROCESS) // SLOT

    @staticmethod
    def column(slot_offset: int, cell: int, column: int) -> int:
        """Offset of a per-worker cell: all columns of one cell lie side by side, so that a sum is one slice."""
        return slot_offset + FIXED + cell * COLUMNS + column

    def total(self, slot_offset: int, cell: int) -> int:
        """Sum of a per-worker cell over all columns in use."""
        start = slot_offset + FIXED + cell * COLUMNS
        return sum(self.cells[start : start + self.cells[H_USED]])

    def clear_column(self, column: int) -> None:
        """Forget what a dead worker wrote (master only)."""
        for index in range(SLOTS):
            offset = self.slot(index)
            if self.cells[offset + STATE] != FREE:
                for cell in (CONNS, FAILS, FAILED_AT):
                    self.cells[self.column(offset, cell, column)] = 0

    def clear_slot(self, index: int) -> None:
        """Make a slot free and all of its cells 0 (master only, when no connection is left)."""
        offset = self.slot(index)
        for cell in range(SLOT):
            if self.cells[offset + cell]:
                self.cells[offset + cell] = 0

    def close(self) -> None:
        """Unmap. The file descriptor stays open."""
        self.cells.release()
        self._map.close()
