"""What one process has used since it began, read from /proc."""

from __future__ import annotations

import os
from functools import cache
from typing import Final, NamedTuple

from gapura.control.processes import read as read_stat

_TICKS: Final = os.sysconf("SC_CLK_TCK")


class Figures(NamedTuple):
    """`cpu`: seconds; `resident`: bytes; `started`: seconds since 1970; descriptors are None where we may not look."""

    cpu: float
    resident: int
    started: float
    descriptors: int | None
    most: int | None


def read(pid: int) -> Figures | None:
    """The figures of a process, None when it is gone."""
    found = read_stat(pid)
    if found is None:
        return None
    started, used, resident = found
    return Figures(used / _TICKS, resident, booted() + started / _TICKS, _descriptors(pid), _most(pid))


@cache
def booted() -> int:
    """When the machine was started, in seconds since 1970 (proc_stat(5): btime); 0 when it does not say."""
    try:
        with open("/proc/stat", encoding="ascii") as stream:
            return next((int(line.split()[1]) for line in stream if line.startswith("btime ")), 0)
    except OSError:
        return 0


def _descriptors(pid: int) -> int | None:
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))
    except OSError:  # of another user
        return None


def _most(pid: int) -> int | None:
    try:
        with open(f"/proc/{pid}/limits", encoding="ascii") as stream:
            words = next((line.split() for line in stream if line.startswith("Max open files")), [])
    except OSError:
        return None
    return int(words[3]) if len(words) > 3 and words[3].isdigit() else None
