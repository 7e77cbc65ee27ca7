"""What the processes of instances and of Gapura itself use: processor time and memory, read from /proc.

A whole tree counts, as in `gapura ps`. Who belongs to a tree is looked up every few seconds, as that reads all of /proc; what they
use is read at each sample, as that reads one small file for each of them.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from gapura.procs import tree

MEMBERS: Final = 5.0
"""Seconds after which it is looked up again who belongs to the trees."""
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


class Usage(NamedTuple):
    """`cpu`: cores in use since the sample before (0.5: half of one). `memory`: resident bytes, what `ps` shows."""

    cpu: float
    memory: int


NOTHING: Final = Usage(0.0, 0)


class Processes:
    """Samples of trees. The resident set size is what anybody may read of any process; the proportional one is not."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._members: dict[int, list[int]] = {}
        self._looked = float("-inf")
        self._ticks: dict[int, tuple[int, int]] = {}
        self._at = 0.0

    def sample(self, trees: Iterable[int], single: Iterable[int]) -> dict[int, Usage]:
        """By pid: of `trees` with all their descendants, of `single` alone. A process that is gone uses nothing."""
        now = self._clock()
        roots = [pid for pid in trees if pid > 0]
        if now - self._looked >= MEMBERS or any(pid not in self._members for pid in roots):
            listing = tree.Processes() if roots else None
            self._members = {pid: listing.members(pid, "") or [pid] for pid in roots} if listing else {}
            self._looked = now
        groups = {pid: self._members[pid] for pid in roots} | {pid: [pid] for pid in single if pid > 0}
        seconds, before, self._ticks = now - self._at, self._ticks, {}
        self._at = now
        return {pid: self._sum(members, before, seconds) for pid, members in groups.items()}

    def _sum(self, members: list[int], before: dict[int, tuple[int, int]], seconds: float) -> Usage:
        ticks = memory = 0
        for pid in members:
            found = read(pid)
            if found is None:
                continue
            started, used, resident = found
            earlier = before.get(pid)
            if earlier is not None and earlier[0] == started:
                ticks += used - earlier[1]
            memory += resident
            self._ticks[pid] = (started, used)
        return Usage(max(0.0, ticks / _TICKS / seconds) if seconds > 0 else 0.0, memory)


def read(pid: int) -> tuple[int, int, int] | None:
    """Start time and processor time in clock ticks, resident bytes (proc_pid_stat(5)); None when it is gone or hidden from us."""
    try:
        fd = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        data = os.read(fd, 4096)
    except OSError:
        return None
    finally:
        os.close(fd)
    fields = data[data.rfind(b")") + 2 :].split()
    if len(fields) < 22 or fields[0] in (b"Z", b"X"):
        return None
    return int(fields[19]), int(fields[11]) + int(fields[12]), int(fields[21]) * _PAGE
