"""Small files that are asked for often, in memory: bounded in bytes, looked at on the disk again at most once a second."""

from __future__ import annotations

import os
import time
from typing import Final

from gapura.edge.date import dated
from gapura.edge.lasting import Lasting

FRESH: Final = 1_000_000_000
"""So long (ns) what was seen of a file counts without another look."""
LARGEST: Final = 128 << 10
"""Bytes of the largest file that is kept; larger ones go from the disk's cache to the socket without passing here."""
_OVERHEAD: Final = 1024
"""Bytes that a file costs beside its content, for the account."""
_SETTLED: Final = 2.0
"""A file that was changed this many seconds ago or less may change again without looking different: its ETag is weak, and its
content is read again."""

Key = tuple[str, bytes]
"""Who asks (a route's folder and settings) and the path below its folder."""
Look = tuple[int, int, int, int, int]


class FileCopy:
    """A file as it was when it was looked at last. `body` is None for one too large to be kept.

    `head` are the header lines of an answer with it, `kept` those of a 304, each joined by CRLF.
    `absent`: when (ns) it was seen that there is no neighbour of this ending.
    """

    __slots__ = (
        "name", "size", "modified", "changed", "look", "settled", "etag", "content_type", "head", "kept", "body", "seen", "absent",
    )  # fmt: skip

    head: bytes
    kept: bytes
    content_type: bytes

    def __init__(self, name: bytes, info: os.stat_result, seen: int) -> None:
        self.name = name
        self.size = info.st_size
        self.modified = dated(info.st_mtime)
        self.look = look(info)
        self.settled = not -_SETTLED <= time.time() - info.st_mtime <= _SETTLED
        self.etag = etag(info, self.settled)
        self.body: bytes | None = None
        self.seen = seen
        self.changed = info.st_mtime_ns
        self.absent: dict[bytes, int] = {}

    @property
    def cost(self) -> int:
        """Bytes that it holds, with room for the compressed forms of one that has them."""
        size = len(self.body or b"")
        return (2 * size if isinstance(self.body, Lasting) else size) + _OVERHEAD


def look(info: os.stat_result) -> Look:
    """What tells whether a file is still the one that was read."""
    return info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns


def etag(info: os.stat_result, settled: bool) -> bytes:
    """The entity tag, in nginx's form, so that browsers keep what they have when a site moves; weak while it may change unseen."""
    tag = b'"%x-%x"' % (max(int(info.st_mtime), 0), info.st_size)
    return tag if settled else b"W/" + tag


class FileMemory:
    """Copies by key. When `limit` bytes are used, those that were not looked at for longest go first."""

    __slots__ = ("limit", "used", "_copies")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0
        self._copies: dict[Key, FileCopy] = {}

    def get(self, key: Key) -> FileCopy | None:
        """The copy that is kept, whenever it was looked at."""
        return self._copies.get(key)

    def keep(self, key: Key, copy: FileCopy) -> None:
        """Remember a copy, or that it was looked at just now."""
        self.drop(key)
        if copy.cost > self.limit:
            return
        self._copies[key] = copy
        self.used += copy.cost
        while self.used > self.limit:
            self.drop(next(iter(self._copies)))

    def drop(self, key: Key) -> None:
        """Forget a copy."""
        old = self._copies.pop(key, None)
        if old is not None:
            self.used -= old.cost

    def resize(self, limit: int) -> None:
        """Another limit from now on."""
        self.limit = limit
        while self.used > limit:
            self.drop(next(iter(self._copies)))

    def __len__(self) -> int:
        return len(self._copies)
