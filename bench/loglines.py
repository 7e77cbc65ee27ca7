"""Access-log lines counted against requests: a proxy that logs less than it serves would win by not working."""

from __future__ import annotations

import time
from pathlib import Path

_BLOCK = 1 << 20


class LogLines:
    """Counts the lines of a growing file; each call reads only what is new."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.count = 0
        self._offset = 0

    def update(self) -> int:
        """The number of complete lines so far; 0 while there is no file."""
        try:
            with self.path.open("rb") as file:
                file.seek(self._offset)
                while block := file.read(_BLOCK):
                    self.count += block.count(b"\n")
                    self._offset += len(block)
        except FileNotFoundError:
            pass
        return self.count

    def wait_for(self, lines: int, timeout: float = 3.0) -> int:
        """Wait until there are so many lines, because everybody writes them in batches; returns the number then."""
        deadline = time.monotonic() + timeout
        while self.update() < lines and time.monotonic() < deadline:
            time.sleep(0.05)
        return self.count


def mismatch(lines: int, requests: int, unfinished: int) -> str:
    """What is wrong, or "". `unfinished` requests were under way when a window ended: they may be logged or not."""
    if requests <= lines <= requests + unfinished:
        return ""
    return f"the access log has {lines} lines for {requests} requests (and at most {unfinished} unfinished ones)"
