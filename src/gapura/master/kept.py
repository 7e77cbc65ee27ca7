"""A small file in which the master keeps what commands have said, for masters that come after it."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

log = logging.getLogger(__name__)
Item = TypeVar("Item")


class Kept:
    """A JSON object in a file of its own (0600), written whole or not at all. `path` "": nothing is kept (tests)."""

    def __init__(self, path: str) -> None:
        self._path = path
        self.problem = ""
        """Why the next master will not know what holds now."""

    def read(self, understood: Callable[[Any], Item], nothing: Item, then: str) -> Item:
        """What an earlier master kept, as `understood` makes it out. When it cannot, that is told with what holds `then`."""
        if not self._path:
            return nothing
        try:
            fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
            with open(fd, encoding="utf-8") as stream:
                return understood(json.load(stream))
        except FileNotFoundError:
            return nothing
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            log.error("%s cannot be read (%s): %s", self._path, error, then)
            return nothing

    def write(self, document: dict[str, Any]) -> None:
        """Keep what holds now. A disk that takes it not is told, here and by `problem`: a later master would not know it."""
        self.problem = ""
        if not self._path:
            return
        fresh = self._path + ".new"
        try:
            fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            with open(fd, "w", encoding="utf-8") as stream:
                json.dump({"format": 1, **document}, stream)
                stream.flush()
                os.fsync(fd)  # or a power failure could leave an empty one
            os.replace(fresh, self._path)
        except OSError as error:
            with suppress(OSError):
                os.unlink(fresh)
            self.problem = f"{self._path} cannot be written ({error.strerror}): after a restart of Gapura it would be as before"
            log.error("%s", self.problem)
