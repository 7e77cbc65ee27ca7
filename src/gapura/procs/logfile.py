"""Captured output, read back from the log files: merged by time stamp, followed through rotation."""

from __future__ import annotations

import heapq
import os
import time
from collections.abc import Callable, Iterator, Sequence
from typing import BinaryIO, Final, NamedTuple

_BLOCK: Final = 1 << 16
_PORTION: Final = 1 << 20
"""Bytes of a log read before the next one has its turn."""
_PAUSE: Final = 0.1
"""Seconds between two looks at the files."""
_STAMP: Final = len("2026-11-22T14:03:07.123")
_ROTATED: Final = 1000
"""More rotated files than anybody keeps."""


class Line(NamedTuple):
    """One line of a log: the file it is from, its time stamp ("2026-11-22T14:03:07.123") and its text."""

    path: str
    stamp: str
    text: str


def follow(paths: Sequence[str], lines: int, follow: bool, stop: Callable[[], bool]) -> Iterator[Line]:
    """The last `lines` lines of each log, merged by time stamp, then with `follow` what is added, until `stop()` is true.

    `stop` is asked ten times a second. Rotated files (`.1`, `.2`, …) are read where needed; a log that is not there yet is
    waited for.
    """
    logs = [_Log(path) for path in paths]
    try:
        yield from _merged([log.last(lines) for log in logs])
        while follow and not stop():
            fresh = [log.added() for log in logs]
            if any(fresh):
                yield from _merged(fresh)
            else:
                time.sleep(_PAUSE)
    finally:
        for log in logs:
            log.close()


def _merged(groups: list[list[Line]]) -> Iterator[Line]:
    """Lines of several logs in order of time; each log stays in its own order, even when the clock was set back."""
    return heapq.merge(*groups, key=lambda line: line.stamp)


class _Log:
    """One log, read to a position that moves on, from a rotated file into the one that followed it."""

    __slots__ = ("path", "_file", "_rest", "_stamp")

    def __init__(self, path: str) -> None:
        self.path = path
        self._file: BinaryIO | None = None
        self._rest = b""  # of a line that is not complete yet
        self._stamp = ""

    def last(self, count: int) -> list[Line]:
        """The last `count` complete lines, rotated files included; reading goes on behind them."""
        self._file = _open(self.path)
        if self._file is None:
            return []
        data = _end_of(self._file, count)
        *lines, self._rest = data.split(b"\n")
        for older in self._older():
            if len(lines) >= count:
                break
            lines = _end_of(older, count - len(lines)).split(b"\n")[:-1] + lines
        return [self._line(line) for line in lines[-count:]] if count else []

    def added(self) -> list[Line]:
        """The lines completed since the last call."""
        data = self._file.read(_PORTION) if self._file else b""
        if not data and self._advance() and self._file:
            data = self._file.read(_PORTION)
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [self._line(line) for line in lines]

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _advance(self) -> bool:
        """Go on in the file that followed ours, or from the start of one that was emptied; False: there is nothing new."""
        if self._file is None:
            self._file = _open(self.path)
            return self._file is not None
        if self._file.tell() > os.fstat(self._file.fileno()).st_size:
            self._file.seek(0)
            return True
        number = self._number()
        if number == 0:
            return False
        successor = _open(_rotated(self.path, (number or 1) - 1))
        if successor is None:
            return False
        if number != self._number():  # rotated once more meanwhile: look again next time
            successor.close()
            return False
        # What came between our last reading and the renaming.
        self._rest += self._file.read()
        if self._rest:
            self._rest += b"\n" * (not self._rest.endswith(b"\n"))
        self._file.close()
        self._file = successor
        return True

    def _number(self) -> int | None:
        """How often our file has been rotated; None: it is not there any more."""
        if self._file is None:
            return None
        ours = os.fstat(self._file.fileno())
        for number in range(_ROTATED):
            try:
                if os.path.samestat(ours, os.stat(_rotated(self.path, number))):
                    return number
            except OSError:
                if number:
                    return None
        return None

    def _older(self) -> Iterator[BinaryIO]:
        """The files before ours, the youngest first."""
        number = self._number()
        for index in range((number or 0) + 1, _ROTATED):
            file = _open(_rotated(self.path, index))
            if file is None:
                return
            with file:
                yield file

    def _line(self, data: bytes) -> Line:
        text = data.rstrip(b"\r").decode("utf-8", "replace")
        if text[10:11] == "T" and text[_STAMP : _STAMP + 1] == " ":
            self._stamp, text = text[:_STAMP], text[_STAMP + 1 :]
        return Line(self.path, self._stamp, text)


def _rotated(path: str, number: int) -> str:
    return f"{path}.{number}" if number else path


def _open(path: str) -> BinaryIO | None:
    try:
        return open(path, "rb")
    except OSError:
        return None


def _end_of(file: BinaryIO, count: int) -> bytes:
    """The last `count` lines of a file and what follows them; the position is behind it."""
    end = start = file.seek(0, os.SEEK_END)
    data = b""
    while start and data.count(b"\n") <= count:
        size = min(_BLOCK, start)
        start -= size
        file.seek(start)
        data = file.read(size) + data
    file.seek(end)
    return b"\n".join(data.split(b"\n")[-count - 1 :])
