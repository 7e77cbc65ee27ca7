"""Files that users name and that are read whole: passwords, keys, pages. Any process may need one."""

from __future__ import annotations

import os
import stat
from typing import Final

LARGEST: Final = 16 << 20
"""Bytes of the largest one, unless the caller says otherwise."""

Facts = tuple[int, int, int]
"""By which a changed file is told: time of the change in ns, size, inode."""
NOTHING: Final[Facts] = (0, 0, 0)
"""Of a file that is not there, or out of reach."""


def facts_of(path: str) -> Facts:
    """What there is now."""
    try:
        found = os.stat(path)
    except OSError:
        return NOTHING
    return found.st_mtime_ns, found.st_size, found.st_ino


def read(path: str, largest: int = LARGEST) -> tuple[bytes, os.stat_result]:
    """The content of a file, and its state then. A FIFO is not waited for. Raises OSError, and ValueError when it is no file or
    has more than `largest` bytes.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        state = os.fstat(descriptor)
        if not stat.S_ISREG(state.st_mode):
            raise ValueError("it is a folder or a device, not a file")
        with open(descriptor, "rb", closefd=False) as stream:
            raw = stream.read(largest + 1)
    finally:
        os.close(descriptor)
    if len(raw) > largest:
        raise ValueError(f"it is larger than {largest} bytes")
    return raw, state
