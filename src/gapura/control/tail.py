"""The end of a log file and what is added to it, read through a descriptor: no path is opened here twice, no link followed."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from typing import Final

MOST: Final = 1 << 20
"""Bytes that are read of a file's end, and of what was added since the last look."""
LONGEST: Final = 8192
"""Characters of a line that are shown."""


def open_log(path: str) -> int:
    """A descriptor to read a plain file with. Raises OSError: also for a link, a pipe, a folder."""
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if stat.S_ISREG(os.fstat(fd).st_mode):
        return fd
    os.close(fd)
    raise OSError(f"{path} is no file")


class Tail:
    """One log. It owns the descriptors that it is given."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._place = 0
        self._rest = b""

    def last(self, count: int, want: Callable[[str], bool] = lambda _: True) -> list[str]:
        """The last `count` whole lines that are wanted, the oldest first; of at most `MOST` bytes. Reading goes on behind them."""
        size = os.fstat(self._fd).st_size
        start = max(0, size - MOST)
        data = os.pread(self._fd, size - start, start)
        self._place = start + len(data)
        *lines, self._rest = data.split(b"\n")
        if start and lines:
            del lines[0]  # it began before
        self._rest = self._rest[:LONGEST]
        found: list[str] = []
        for line in reversed(lines):
            if len(found) >= count:
                break
            text = text_of(line)
            if want(text):
                found.append(text)
        return found[::-1]

    def added(self) -> list[str]:
        """The lines completed since the last call. Of more than `MOST` bytes the last ones."""
        size = os.fstat(self._fd).st_size
        if size < self._place:
            self._place, self._rest = 0, b""  # somebody has emptied it
        if size - self._place > MOST:
            self._place, self._rest = size - MOST, b""
        data = os.pread(self._fd, MOST, self._place)
        self._place += len(data)
        *lines, rest = (self._rest + data).split(b"\n")
        self._rest = rest[:LONGEST]
        return [text_of(line) for line in lines]

    def same(self, fd: int) -> bool:
        """Whether another descriptor is of the file that is read here."""
        return os.path.samestat(os.fstat(fd), os.fstat(self._fd))

    def go_on(self, fd: int) -> list[str]:
        """Read on in the file that took this one's place; what was left in the old one."""
        lines = self.added()
        os.close(self._fd)
        self._fd, self._place, self._rest = fd, 0, b""
        return lines

    def close(self) -> None:
        """Close the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def text_of(line: bytes) -> str:
    """A line as text: what is no UTF-8 is replaced, what is too long cut."""
    return line[: 4 * LONGEST].rstrip(b"\r").decode("utf-8", "replace")[:LONGEST]
