"""The log of `gapura up -d`: what master, workers and control say. It is bounded; the part before is kept beside it.

They all write to one descriptor that they were born with, and workers may not open the file. So it is copied and emptied, never
renamed: they append, and so go on at its beginning.
"""

from __future__ import annotations

import logging
import os
import stat
from contextlib import suppress
from typing import Final

from gapura.log import open_log

log = logging.getLogger(__name__)

NAME: Final = "gapura.log"
LARGEST: Final = 10 << 20
"""Bytes at which it is emptied."""
INTERVAL: Final = 10.0
"""Seconds between two looks."""
_PIECE: Final = 1 << 20


class OwnLog:
    """Looks after `gapura.log` in a logs folder."""

    def __init__(self, folder: str, largest: int = LARGEST) -> None:
        self._path = os.path.join(folder, NAME)
        self._largest = largest
        self._trouble = ""

    def look(self) -> None:
        """Empty it when it is too large. What cannot be done is told once."""
        try:
            facts = os.lstat(self._path)
            if stat.S_ISREG(facts.st_mode) and facts.st_size >= self._largest:
                self._turn()
            self._trouble = ""
        except FileNotFoundError:
            pass  # a terminal, or the journal
        except OSError as error:
            if self._trouble != (reason := str(error)):
                self._trouble = reason
                log.error("%s cannot be emptied: %s", self._path, reason)

    def _turn(self) -> None:
        """Raises OSError; the log is whole then."""
        older, fresh = f"{self._path}.1", f"{self._path}.1.new"
        with suppress(FileNotFoundError):
            os.unlink(fresh)
        source = os.open(self._path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            copy = open_log(fresh)
            try:
                while piece := os.read(source, _PIECE):
                    os.write(copy, piece)
            finally:
                os.close(copy)
            os.ftruncate(source, 0)
            os.rename(fresh, older)
        except OSError:
            with suppress(OSError):
                os.unlink(fresh)
            raise
        finally:
            os.close(source)
