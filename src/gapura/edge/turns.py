"""Work on answers that costs time, such as compressing them, shared out: one client's large answer does not hold up the others."""

from __future__ import annotations

from collections import deque
from time import monotonic_ns
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from gapura.edge.worker import Worker

TURN: Final = 2_000_000
"""Nanoseconds of such work between two looks at what all connections have to say."""
SOON: Final = 0.005
"""Seconds after which `soon` calls."""


class Piecework(Protocol):
    """What waits for its turn."""

    def work(self) -> None:
        """Do a piece of about a millisecond, telling `Turns.spend` of it, and ask for another turn if more is left."""

    def flush_soon(self) -> None:
        """Called some time after `Turns.soon`."""


class Turns:
    """The turns of one worker: whoever comes first works at once, until the time of this round of the loop is over."""

    __slots__ = ("worker", "memory", "_spent", "_queue", "_due", "_soon")

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.memory = 0
        """Bytes that such work holds now (an estimate), for those who start more of it."""
        self._spent = 0
        self._queue: deque[Piecework] = deque()
        self._due = False
        self._soon: list[Piecework] = []

    def free(self) -> bool:
        """Whether there is time left in this round and nobody waits."""
        return self._spent < TURN and not self._queue

    def spend(self, since: int) -> None:
        """Count the time from `since` (CLOCK_MONOTONIC, ns) until now."""
        self._spent += monotonic_ns() - since
        self._arrange()

    def add(self, job: Piecework) -> None:
        """Let `job` work when its turn comes. It must not be waiting already."""
        self._queue.append(job)
        self._arrange()

    def soon(self, job: Piecework) -> None:
        """Call `job.flush_soon` in a few milliseconds."""
        if not self._soon:
            self.worker.loop.call_later(SOON, self._ring)
        self._soon.append(job)

    def _ring(self) -> None:
        jobs, self._soon = self._soon, []
        for job in jobs:
            job.flush_soon()

    def _arrange(self) -> None:
        if not self._due:
            self._due = True
            self.worker.busy(self._round)

    def _round(self) -> None:
        """A new round: those that wait work in turn until its time is over; with nobody there this only starts the clock anew."""
        self._due = False
        self._spent = 0
        queue = self._queue
        try:
            while queue and self._spent < TURN:
                queue.popleft().work()
        finally:
            if queue:
                self._arrange()
