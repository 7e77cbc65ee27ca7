"""events.log: one JSON object a line. It is also the memory of the stream: after a restart the last events are read from it.

One process writes at a time: whoever has the lock (flock(2)). During a takeover the control that leaves and the one that comes
both live for a moment, and two of them would give the same number twice.
"""

from __future__ import annotations

import fcntl
import gzip
import json
import os
import re
import stat
import zlib
from typing import Any, Final

from gapura.events import Event, read
from gapura.log import open_log

TAIL: Final = 1 << 20
"""Bytes of the end of a file in which the last events are looked for."""
LARGEST: Final = 16 << 20
"""Bytes that a compressed file may unfold to."""
CONTINUED: Final = "events.continued"
"""A line at the head of a new file, which holds the number of the last event before it; it is no event."""
_OLDER: Final = re.compile(r"-\d{8}T\d{6}Z(\.gz)?")


class EventLog:
    """The file at `path`. Nothing here raises: `problem` says why nothing can be written now, `lost` how many lines that cost."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.problem = ""
        self.lost = 0
        self._fd = -1
        self._torn = False

    def open(self) -> bool:
        """Open the file; False while another process writes it."""
        try:
            fd = open_log(self.path, readable=True)
        except OSError as error:
            self._fail(error)
            return True
        try:
            if stat.S_ISREG(os.fstat(fd).st_mode):
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return False
        except OSError:
            pass  # a file system without locks
        self.close()
        self._fd, self._torn = fd, not _ends_well(fd)
        return True

    def restore(self, most: int) -> tuple[list[Event], int]:
        """The last events, the oldest first, and the highest number that was ever given."""
        found: dict[int, Event] = {}
        highest = 0
        paths = [self.path, *_older(self.path)[:2]]
        for path in paths:
            for line in _tail(path).splitlines():
                entry = _parsed(line)
                if entry is None:
                    continue
                highest = max(highest, entry["id"])
                if entry["type"] != CONTINUED:
                    found[entry["id"]] = entry
            if len(found) >= most:
                break
        return [found[number] for number in sorted(found)][-most:], highest

    def write(self, event: Event) -> bool:
        """Append an event; False when it is lost to the file."""
        return self._append(json.dumps(event, ensure_ascii=False, separators=(",", ":"), default=str))

    def reopen(self, last: int, at: str) -> None:
        """Go on in a new file, after rotation. `last`: number of the last event."""
        if not self.open():
            return  # somebody else holds it: the old one is still written to
        try:
            fresh = self._fd >= 0 and os.fstat(self._fd).st_size == 0
        except OSError:
            return
        if fresh and last:
            text = "earlier events are in the file before this one"
            head = {"id": last, "at": at, "type": CONTINUED, "severity": "info", "subject": "", "text": text, "data": {}}
            self._append(json.dumps(head, separators=(",", ":")))

    def close(self) -> None:
        """Let go of the file, and of the lock."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _append(self, line: str) -> bool:
        if self._fd < 0 and not self.open():
            self.problem = "another process writes it"
        if self._fd < 0:
            self.lost += 1
            return False
        data = (b"\n" if self._torn else b"") + line.encode("utf-8", "backslashreplace") + b"\n"
        try:
            written = os.write(self._fd, data)
        except OSError as error:
            self._fail(error)
            self.lost += 1
            return False
        self._torn = written < len(data)
        if self._torn:
            self.problem = "there is no room for a whole line"
            self.lost += 1
            return False
        self.problem = ""
        return True

    def _fail(self, error: OSError) -> None:
        self.problem = os.strerror(error.errno or 0)


def _ends_well(fd: int) -> bool:
    """Whether the file ends with a whole line."""
    try:
        size = os.fstat(fd).st_size
        return not size or os.pread(fd, 1, size - 1) == b"\n"
    except OSError:
        return True


def _older(path: str) -> list[str]:
    """What the file was renamed to by rotation, the youngest first. Empty where the folder cannot be read."""
    folder, name = os.path.split(path)
    try:
        entries = os.listdir(folder)
    except OSError:
        return []
    found = [entry for entry in entries if entry.startswith(name) and _OLDER.fullmatch(entry, len(name))]
    return [os.path.join(folder, entry) for entry in sorted(found, reverse=True)]


def _tail(path: str) -> bytes:
    """The end of a file; of a compressed one too, if it is not too large."""
    try:
        if path.endswith(".gz"):
            with gzip.open(path) as packed:
                return packed.read(LARGEST)[-TAIL:]
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            stream.seek(max(0, size - TAIL))
            return stream.read(TAIL)
    except (OSError, EOFError, zlib.error):
        return b""


def _parsed(line: bytes) -> Event | None:
    """An event from a line; None for what is none: a torn line, or somebody else's."""
    try:
        found: Any = json.loads(line)
    except (ValueError, RecursionError):
        return None
    draft, number = read(found), found.get("id") if isinstance(found, dict) else None
    if draft is None or isinstance(number, bool) or not isinstance(number, int) or not 0 < number < 1 << 53:
        return None
    return {"id": number, **draft}
