"""The processes that belong to an instance, found through /proc: session, parentage and environment mark."""

from __future__ import annotations

import os
import signal
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_MARK: Final = b"GAPURA_MARK="


class _Entry(NamedTuple):
    """What /proc/PID/stat says of a process."""

    living: bool  # no zombie
    parent: int
    group: int
    session: int
    started: int
    size: int  # of the address space; 0: a thread of the kernel, or one that is ending
    pages: int


class Processes:
    """All processes of the machine, read once; ask it about many instances. Zombies and our own process are left out.

    Environments are read at the first question with a mark, once.
    """

    __slots__ = ("_entries", "_children", "_marked")

    def __init__(self) -> None:
        self._entries: dict[int, _Entry] = {}
        self._children: defaultdict[int, list[int]] = defaultdict(list)
        self._marked: dict[bytes, list[int]] | None = None
        us = os.getpid()
        for name in os.listdir("/proc"):
            if name.isdigit() and (pid := int(name)) != us and (entry := _entry(pid)) and entry.living:
                self._entries[pid] = entry
                self._children[entry.parent].append(pid)

    def members(self, pid: int, mark: str, started: int = 0) -> list[int]:
        """Processes of the tree of `pid` (see the function `members`), in ascending order."""
        entry = self._entries.get(pid)
        found: set[int] = set()
        if pid > 1 and (not started or entry is None or entry.started == started):
            found.update(other for other, item in self._entries.items() if pid in (other, item.group, item.session))
        if mark:
            found.update(self._carriers(mark))
        waiting = list(found)
        while waiting:
            fresh = [child for child in self._children[waiting.pop()] if child not in found]
            found.update(fresh)
            waiting += fresh
        found -= {0, 1, os.getpid()}
        return sorted(found)

    def memory(self, pids: Iterable[int]) -> int:
        """Sum of the resident set sizes in bytes: what `ps` shows. Pages that several of them share count several times."""
        return _PAGE * sum(self._entries[pid].pages for pid in pids if pid in self._entries)

    def kill(self, pids: Iterable[int], number: int) -> int:
        """Signal these processes, if they are still the ones that were read; how many were."""
        return sum(kill(pid, number, self._entries[pid].started) for pid in pids if pid in self._entries)

    def _carriers(self, mark: str) -> list[int]:
        """Processes whose environment holds exactly this mark."""
        if self._marked is None:
            self._marked = {}
            for pid in (pid for pid, entry in self._entries.items() if entry.size):
                for value in _marks(pid):
                    self._marked.setdefault(value, []).append(pid)
        return self._marked.get(os.fsencode(mark), [])


def members(pid: int, mark: str, started: int = 0) -> list[int]:
    """Living processes of the tree of `pid`: its session and process group, all that carry GAPURA_MARK=`mark` in their
    environment, and the descendants of all these. Never our own process.

    `started`: the start time of `pid`; when another process has that pid now, only the mark counts. `mark` "" = none.
    """
    return Processes().members(pid, mark, started)


def signal_tree(pid: int, mark: str, started: int, *numbers: int) -> list[int]:
    """Send signals to the whole tree, each once; the processes that were in it."""
    processes = Processes()
    found = processes.members(pid, mark, started)
    for number in numbers:
        processes.kill(found, number)
    return found


def kill_trees(roots: Sequence[tuple[int, str, int]], patience: float = 0.5) -> list[int]:
    """SIGKILL to whole trees, again and again while they fork; what is still alive after `patience` seconds.

    `roots`: pid, mark and start time of each (see `members`). Blocks until all are zombies or gone, normally for milliseconds.
    The caller still reaps its children. A process that forked and ended while /proc was read hides its child, so gone is only
    who was not found twice.
    """
    end = time.monotonic() + patience
    empty = 0
    while True:
        processes = Processes()
        alive = sorted({member for root in roots for member in processes.members(*root)})
        empty = 0 if alive else empty + 1
        if empty == 2 or time.monotonic() > end:
            return alive
        processes.kill(alive, signal.SIGKILL)
        time.sleep(0.001)


def start_time(pid: int) -> int | None:
    """Clock ticks after boot when the process started (/proc/PID/stat field 22); None: there is none."""
    entry = _entry(pid)
    return entry.started if entry else None


def kill(pid: int, number: int, started: int = 0) -> bool:
    """Signal one process through a pidfd: once that is open, the pid cannot be given to another. `started` 0: any."""
    if pid <= 1 or pid == os.getpid():
        return False
    try:
        fd = os.pidfd_open(pid)
    except OSError:
        return False
    try:
        if started and start_time(pid) != started:
            return False
        signal.pidfd_send_signal(fd, number)
    except OSError:
        return False
    finally:
        os.close(fd)
    return True


def _entry(pid: int) -> _Entry | None:
    """Read /proc/PID/stat (proc(5)); None when the process is gone."""
    try:
        fd = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)  # hundreds are read in a row: open() takes half as long again
    except OSError:
        return None
    try:
        data = os.read(fd, 4096)
    except OSError:
        return None
    finally:
        os.close(fd)
    # The name stands in parentheses and may hold anything, ") S 1" included: the fields begin behind the last one.
    fields = data[data.rfind(b")") + 2 :].split()
    if len(fields) < 22:
        return None
    parent, group, session, started, size, pages = (int(fields[number]) for number in (1, 2, 3, 19, 20, 21))
    return _Entry(fields[0] not in (b"Z", b"X"), parent, group, session, started, size, pages)


def _marks(pid: int) -> list[bytes]:
    """The values of GAPURA_MARK in the environment that the process was executed with."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            data = file.read()
    except OSError:
        return []
    if _MARK not in data:
        return []
    return [item[len(_MARK) :] for item in data.split(b"\0") if item.startswith(_MARK)]
