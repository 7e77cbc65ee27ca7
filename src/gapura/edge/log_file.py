"""A file that access lines are collected for and written to in batches, by several workers at a time.

The worker never waits for it: a full disk, a pipe that nobody reads or a file that cannot be opened loses lines. They are counted,
and told once when it is over.
"""

from __future__ import annotations

import logging
import os
import select
import stat
from collections.abc import Callable
from typing import Final

from gapura.log import open_log

BATCH: Final = 256
"""Lines that are written at once: about 64 KB."""
_PORTION: Final = select.PIPE_BUF
"""Bytes that go into a pipe as one piece or not at all (pipe(7)), so that lines of several workers stay whole."""

log = logging.getLogger("edge")
Told = Callable[[str, int, str], None]
"""Is told of trouble: path, lines lost so far, why; when it is over, the lines lost in all and ""."""


class LogFile:
    """Collects lines and writes them to a file that can be opened anew. `path` "-" is standard output."""

    __slots__ = ("path", "lines", "most", "lost", "reason", "retired", "_fd", "_regular", "_torn", "_told")

    def __init__(self, path: str, told: Told = lambda path, lost, reason: None) -> None:
        self.path = path
        self.lost = 0
        self.reason = ""
        self.retired = False
        self._told = told
        self.lines: list[bytes] = []
        self.most = BATCH
        self._fd = -1
        self._regular = True
        self._torn = b""  # the end that the line lacks which was written last
        self.reopen()

    def flush(self) -> None:
        """Write what has been collected: called every half second, and when a batch is full."""
        lines = self.lines
        if not lines:
            return
        if self._fd < 0:
            self._open()
        written = 0
        if self._fd >= 0:
            try:
                written = self._write(lines) if self._regular else self._feed(lines)
            except OSError as error:
                self._fail(error)
        left = len(lines) - written
        lines.clear()
        if left:
            self._lose(left)
        elif self.lost:
            self._recovered()
        if self.retired:
            self._shut()

    def _write(self, lines: list[bytes]) -> int:
        """Number of lines written to a regular file. What is left of a line that fits no more is taken back."""
        data = b"".join(lines)
        count = os.write(self._fd, data)
        if count == len(data):
            return len(lines)
        try:
            more = os.write(self._fd, data[count:])  # a signal, or the disk is full
        except OSError as error:
            self._fail(error)
            more = 0
        count += more
        if count < len(data):
            self.reason = self.reason or "the disk is full"
            self._take_back(count - data.rfind(b"\n", 0, count) - 1)
        return data.count(b"\n", 0, count)

    def _take_back(self, torn: int) -> None:
        """Cut off the last bytes that were written, unless another worker has written behind them meanwhile."""
        try:
            end = os.lseek(self._fd, 0, os.SEEK_CUR)
            if torn and os.fstat(self._fd).st_size == end:
                os.ftruncate(self._fd, end - torn)
        except OSError:
            pass  # a line without its end

    def _feed(self, lines: list[bytes]) -> int:
        """Number of lines given to a pipe, a terminal or a device, as far as it takes them at once."""
        given = 0
        portion = self._torn
        for taken, line in enumerate([*lines, b""]):
            if portion and (not line or len(portion) + len(line) > _PORTION):
                if not self._give(portion):
                    return given
                given, portion = taken, b""
            portion += line
        return given

    def _give(self, portion: bytes) -> bool:
        """Write lines, or one long line, in pieces that a pipe takes whole; False when it takes no more."""
        poll = select.poll()
        poll.register(self._fd, select.POLLOUT)
        for start in range(0, len(portion), _PORTION):
            if not poll.poll(0):
                self.reason = "nobody reads what is written"
                return False
            os.write(self._fd, portion[start : start + _PORTION])
            self._torn = b"" if start + _PORTION >= len(portion) else b"\n"
        return True

    def _lose(self, count: int) -> None:
        first = not self.lost
        self.lost += count
        if first:
            self._told(self.path, self.lost, self.reason or "it cannot be written")

    def _recovered(self) -> None:
        """It can be written again: tell what was lost, once."""
        log.error("%d lines of %s were not written: %s", self.lost, self.path, self.reason or "it could not be written")
        self._told(self.path, self.lost, "")
        self.lost, self.reason = 0, ""

    def _fail(self, error: OSError) -> None:
        self.reason = os.strerror(error.errno or 0)

    def reopen(self) -> None:
        """Open the file anew, after rotation. Keeps the old one when that fails."""
        self.flush()
        if not self.retired:
            self._open()

    def _open(self) -> None:
        try:
            fresh = os.dup(1) if self.path == "-" else open_log(self.path)
            regular = stat.S_ISREG(os.fstat(fresh).st_mode)
        except OSError as error:
            self._fail(error)
            return
        self._shut()
        self._fd, self._regular, self._torn = fresh, regular, b""

    def retire(self) -> None:
        """No configuration names it any more: lines of exchanges that began before are still written."""
        self.retired = True
        self.flush()
        self._shut()

    def revive(self) -> None:
        """It is named again."""
        self.retired = False
        if self._fd < 0:
            self._open()

    def close(self) -> None:
        """Write the rest and close."""
        self.flush()
        self._shut()

    def _shut(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
