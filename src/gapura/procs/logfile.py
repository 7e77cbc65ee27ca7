"""Captured output, read back from the log files: merged by time stamp, followed through rotation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple


class Line(NamedTuple):
    """One line of a log: the file it is from, its time stamp ("2026-11-22T14:03:07.123") and its text."""

    path: str
    stamp: str
    text: str


def follow(paths: Sequence[str], lines: int, follow: bool, stop: Callable[[], bool]) -> Iterator[Line]:
    """The last `lines` lines of each log, merged by time stamp, then with `follow` what is added, until `stop()` is true.

    Rotated files (`.1`, `.2`, …) are read where needed; a log that is not there yet is waited for.
    """
    raise NotImplementedError
