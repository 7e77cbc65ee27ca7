"""The states of one instance: a table of permitted moves, one mover, and what follows when a process ends."""

from __future__ import annotations

from collections import deque
from typing import Final

STARTING: Final = "starting"
READY: Final = "ready"
STOPPING: Final = "stopping"
STOPPED: Final = "stopped"
BACKOFF: Final = "backoff"
CRASHED: Final = "crashed"

MOVES: Final[dict[str, frozenset[str]]] = {
    STOPPED: frozenset({STARTING, BACKOFF}),
    STARTING: frozenset({STARTING, READY, STOPPING, STOPPED, BACKOFF, CRASHED}),
    READY: frozenset({READY, STOPPING, STOPPED, BACKOFF, CRASHED}),
    STOPPING: frozenset({STOPPED, BACKOFF}),
    BACKOFF: frozenset({STARTING, STOPPED, BACKOFF}),
    CRASHED: frozenset({BACKOFF, STOPPED}),
}
"""From each state the states that may follow it. Starting and ready may follow themselves: a process is replaced by another
that was launched beside it. So may back-off: asked to start, it waits no longer.
"""
_WITH_PROCESS: Final = frozenset({STARTING, READY, STOPPING})

FIRST_DELAY: Final = 0.1
"""Seconds before the first launch after a failure; doubled by each further one."""
LONGEST_DELAY: Final = 15.0
"""Seconds that a back-off never exceeds."""
STEADY_AFTER: Final = 30.0
"""Seconds of being ready after which earlier failures are forgiven."""
LOOP_WINDOW: Final = 120.0
"""Seconds over which failures make a crash loop; the window slides."""
LOOP_FAILURES: Final = 3
"""Failures inside the window that make a crash loop."""


class Lifecycle:
    """What one instance is doing, and when it is launched next.

    Times are seconds of CLOCK_MONOTONIC, given by the caller; 0.0 means never. `failures` counts the consecutive ones,
    `restarts` the launches after the first; `again`: it was asked to start while it was still stopping. `max_restarts`
    consecutive failures end in "crashed"; 0 = never give up.
    A call that the table does not permit raises RuntimeError: it is a mistake of the caller, never of the user.
    """

    __slots__ = (
        "autorestart",
        "max_restarts",
        "state",
        "since",
        "ready_at",
        "returns_at",
        "restarts",
        "failures",
        "again",
        "_launches",
        "_recent",
    )

    def __init__(self, autorestart: bool = True, max_restarts: int = 0) -> None:
        self.autorestart = autorestart
        self.max_restarts = max_restarts
        self.state = STOPPED
        self.since = 0.0
        self.ready_at = 0.0
        self.returns_at = 0.0
        self.restarts = 0
        self.failures = 0
        self._launches = 0
        self.again = False
        self._recent: deque[float] = deque(maxlen=LOOP_FAILURES)

    def start_asked(self, now: float) -> bool:
        """Somebody wants it to run. True: launch it now; the state is "backoff" until `launched`, with no delay left.

        Earlier failures are forgiven. While it is stopping, it is launched when the old process has ended (`exited`
        answers 0.0). While it runs, nothing changes.
        """
        if self.state == STOPPING:
            self.again = True
            return False
        if self.state not in (STOPPED, BACKOFF, CRASHED):
            return False
        self.failures = 0
        self._recent.clear()
        self._wait(now, 0.0)
        return True

    def launched(self, now: float) -> None:
        """Its process has been started: stopped | backoff | starting -> starting."""
        self._move(STARTING, now)
        self.restarts += self._launches > 0
        self._launches += 1

    def became_ready(self, now: float) -> None:
        """It answers, on its own socket: starting -> ready, or ready -> ready when it replaces another."""
        self._move(READY, now)
        self.ready_at = now

    def stop_asked(self, now: float) -> bool:
        """Somebody wants it to end. True: there is a process to end (starting | ready -> stopping, or stopping already);
        False: there was none (backoff | crashed -> stopped).
        """
        self.again = False
        if self.state in (STARTING, READY):
            self._move(STOPPING, now)
        elif self.state in (BACKOFF, CRASHED):
            self._move(STOPPED, now)
        return self.state == STOPPING

    def exited(self, now: float, asked: bool = False) -> float | None:
        """Its process has ended, or could not be launched (call `launched` first). Seconds until the next launch, None = none.

        `asked`: the master ended it to have it start anew (restart, too much memory); that is no failure.
        """
        if self.state not in _WITH_PROCESS:
            raise RuntimeError(f"an instance cannot go from {self.state} to an end: it has no process")
        forgiven = self.ready_at > 0.0 and now - self.ready_at >= STEADY_AFTER
        stopping = self.state == STOPPING
        if asked or (stopping and self.again):
            self.failures = 0 if forgiven else self.failures
            return self._wait(now, 0.0)
        if stopping:
            self._move(STOPPED, now)
            return None
        self.failures = 1 if forgiven else self.failures + 1
        self._recent.append(now)
        if not self.autorestart:
            self._move(STOPPED, now)
            return None
        if self.max_restarts and self.failures >= self.max_restarts:
            self._move(CRASHED, now)
            return None
        return self._wait(now, delay(self.failures))

    def looping(self, now: float) -> bool:
        """Whether it is in a crash loop: `LOOP_FAILURES` failures within the last `LOOP_WINDOW` seconds."""
        return len(self._recent) == LOOP_FAILURES and now - self._recent[0] <= LOOP_WINDOW

    def _wait(self, now: float, seconds: float) -> float:
        self._move(BACKOFF, now)
        self.returns_at = now + seconds
        return seconds

    def _move(self, to: str, now: float) -> None:
        if to not in MOVES[self.state]:
            raise RuntimeError(f"an instance cannot go from {self.state} to {to}")
        self.state = to
        self.since = now
        self.ready_at = 0.0
        self.returns_at = 0.0
        self.again = False


def delay(failures: int) -> float:
    """Seconds to wait after so many consecutive failures: 0.1, 0.2, 0.4, … 15."""
    return min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** min(failures - 1, 16))
