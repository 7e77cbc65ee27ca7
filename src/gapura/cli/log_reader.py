"""Log files as a person reads them: the last lines, older files where needed, compressed ones too, and what is added.

Files are read from their end, a block at a time, so that a large one costs no more than what is shown of it.
"""

from __future__ import annotations

import gzip
import os
import re
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from typing import IO, Final, cast

_BLOCK: Final = 1 << 16
_PORTION: Final = 1 << 20
_LONGEST: Final = 1 << 20
"""Bytes of a line without end that are kept; what is longer is shown in parts."""
_LINGER: Final = 3.0
"""Seconds that a renamed file is still looked at: a worker may have something to write into it."""
_OLDER: Final = re.compile(r"(?:\.[0-9]{1,4}|-[0-9]{8}(?:T[0-9]{6}Z|-?[0-9]{1,10})?)(?:\.gz)?")
"""Our names, and those of logrotate with and without `dateext`."""

Want = Callable[[str], bool]


def older(path: str) -> list[str]:
    """What a log was renamed to, the youngest first. Empty where the folder cannot be read."""
    folder, name = os.path.split(path)
    found = []
    try:
        entries = os.listdir(folder or ".")
    except OSError:
        return []
    for entry in entries:
        if entry.startswith(name) and _OLDER.fullmatch(entry, len(name)):
            whole = os.path.join(folder, entry)
            try:
                found.append((os.stat(whole).st_mtime_ns, entry, whole))
            except OSError:
                pass  # just compressed or removed
    return [whole for _, _, whole in sorted(found, reverse=True)]


class LogReader:
    """One log: `last` what there is, then `added` again and again. `path` is that of the file that is written now."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._file: IO[bytes] | None = None
        self._rest = b""
        self._before: list[tuple[IO[bytes], bytes, float]] = []

    def last(self, count: int | None, want: Want, stop: Want, since: float = 0.0) -> list[str]:
        """The last `count` wanted lines (None: all), the oldest first. A line that `stop` is true for ends the search.

        Files that were not written since `since` (seconds since 1970) are not opened.
        """
        self._file = _open(self.path)
        found: list[str] = []
        if self._file is not None:
            end, self._rest = _whole_end(self._file)
            if not self._collect(_backwards(self._file, end), found, count, want, stop):
                self._file.seek(end + len(self._rest))
                return found[::-1]
            self._file.seek(end + len(self._rest))
        for name in older(self.path):
            try:
                if os.stat(name).st_mtime < since or self._is_ours(name):
                    continue
                if not self._collect(_lines_of(name, count, want), found, count, want, stop):
                    break
            except (OSError, EOFError, zlib.error):
                continue  # removed meanwhile, or damaged
        return found[::-1]

    @staticmethod
    def _collect(lines: Iterator[bytes], found: list[str], count: int | None, want: Want, stop: Want) -> bool:
        """Take wanted lines from the youngest on; False when there are enough."""
        while count is None or len(found) < count:
            line = next(lines, None)
            if line is None:
                return True
            text = _text(line)
            if stop(text):
                return False
            if want(text):
                found.append(text)
        return False

    def added(self) -> list[str]:
        """The lines completed since the last call, from a file that was renamed meanwhile too."""
        lines: list[str] = []
        now = time.monotonic()
        for file, rest, until in self._before[:]:
            data = file.read(_PORTION)
            fresh, left = _split(rest + data)
            lines += fresh
            self._before.remove((file, rest, until))
            if data or now < until:
                self._before.append((file, left, until))
            else:
                file.close()
        if self._file is None:
            self._file = _open(self.path)
        if self._file is None:
            return lines
        if self._file.tell() > os.fstat(self._file.fileno()).st_size:
            self._file.seek(0)  # somebody has emptied it
            self._rest = b""
        fresh, self._rest = _split(self._rest + self._file.read(_PORTION))
        if not fresh and self._renamed():
            self._advance(now)
        return lines + fresh

    def close(self) -> None:
        """Close everything."""
        for file, _, _ in self._before:
            file.close()
        self._before = []
        if self._file is not None:
            self._file.close()
            self._file = None

    def _renamed(self) -> bool:
        return self._file is not None and os.path.exists(self.path) and not self._is_ours(self.path)

    def _is_ours(self, path: str) -> bool:
        try:
            return self._file is not None and os.path.samestat(os.stat(path), os.fstat(self._file.fileno()))
        except OSError:
            return False

    def _advance(self, now: float) -> None:
        """Go on in the new file; those that came between, while we were stopped, are read first."""
        assert self._file is not None
        ours = os.fstat(self._file.fileno()).st_mtime_ns
        between = [name for name in older(self.path) if not self._is_ours(name) and _younger(name, ours)]
        self._before.append((self._file, self._rest, now + _LINGER))
        for name in reversed(between):
            opened = _open(name)
            if opened is not None:
                self._before.append((opened, b"", now))
        self._file, self._rest = _open(self.path), b""


def _younger(path: str, mtime: int) -> bool:
    try:
        return os.stat(path).st_mtime_ns > mtime
    except OSError:
        return False


def _open(path: str) -> IO[bytes] | None:
    try:
        return cast(IO[bytes], gzip.open(path)) if path.endswith(".gz") else open(path, "rb")
    except OSError:
        return None


def _split(data: bytes) -> tuple[list[str], bytes]:
    """Whole lines, and the rest."""
    *lines, rest = data.split(b"\n")
    if len(rest) > _LONGEST:
        lines, rest = [*lines, rest], b""
    return [_text(line) for line in lines], rest


def _whole_end(file: IO[bytes]) -> tuple[int, bytes]:
    """Where the last whole line ends, and what follows it."""
    size = file.seek(0, os.SEEK_END)
    start = size
    data = b""
    while start and b"\n" not in data and len(data) < _LONGEST:
        step = min(_BLOCK, start)
        start -= step
        file.seek(start)
        data = file.read(step) + data
    if b"\n" not in data:
        return (0, data) if not start else (size, b"")
    rest = data[data.rindex(b"\n") + 1 :]
    return size - len(rest), rest


def _backwards(file: IO[bytes], end: int) -> Iterator[bytes]:
    """The lines before a position, the last one first."""
    start = end
    tail: list[bytes] = []  # pieces of a line whose beginning is not read yet, the last piece first
    while start:
        step = min(_BLOCK, start)
        start -= step
        file.seek(start)
        block = file.read(step)
        if start + step == end and block.endswith(b"\n"):
            block = block[:-1]
        first, *lines = block.split(b"\n")
        if lines:
            lines[-1] += b"".join(reversed(tail))
            yield from reversed(lines)
            tail = [first]
        else:
            tail.append(first)
            if len(tail) * _BLOCK > _LONGEST:
                yield b"".join(reversed(tail))
                tail = []
    if end:
        yield b"".join(reversed(tail))


def _lines_of(path: str, count: int | None, want: Want) -> Iterator[bytes]:
    """The lines of an older file, the last one first; of a compressed one only the wanted, as it has to be read from the start."""
    file = _open(path)
    if file is None:
        return
    with file:
        if path.endswith(".gz"):
            kept: deque[bytes] = deque(maxlen=count)
            kept.extend(line for line in map(_stripped, file) if want(_text(line)))
            yield from reversed(kept)
        else:
            yield from _backwards(file, file.seek(0, os.SEEK_END))


def _stripped(line: bytes) -> bytes:
    return line.rstrip(b"\n")


def _text(line: bytes) -> str:
    return line.rstrip(b"\r").decode("utf-8", "replace")
