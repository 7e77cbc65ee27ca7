"""A small file that counts as soon as it changes, without a reload: passwords, keys."""

from __future__ import annotations

import logging
import os
from typing import Final

from gapura import small_file

LOOK: Final = 1_000_000_000
"""ns between looks at the file."""

log = logging.getLogger("edge")


class WatchedFile:
    """`look` gives the content when it is new. What cannot be read is told once and leaves everything as it was."""

    __slots__ = ("path", "_facts", "_looked")

    def __init__(self, path: str) -> None:
        self.path = path
        self._facts: tuple[int, ...] = ()
        self._looked = 0

    def look(self, now: int) -> bytes | None:
        """The content if it is new since the last look; one look a second at most. `now`: CLOCK_MONOTONIC in ns."""
        if self._looked and now - self._looked < LOOK:
            return None
        self._looked = now
        try:
            if _facts(os.stat(self.path)) == self._facts:
                return None
            raw, facts = small_file.read(self.path)
        except (OSError, ValueError) as error:
            if self._facts != (0,):
                log.error("%s cannot be read: %s; what it said last holds", self.path, error)
            self._facts = (0,)
            return None
        self._facts = _facts(facts)
        return raw


def _facts(facts: os.stat_result) -> tuple[int, ...]:
    return facts.st_mtime_ns, facts.st_size, facts.st_ino, facts.st_ctime_ns
