"""What a policy is. Each is one small class in a file of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from gapura.balance.server import Server

ATTEMPTS = 20
"""Misses after which a hash or random policy falls back to round robin (nginx)."""

Tried = Sequence[Server] | None
"""Servers that this request has been to already."""


class Policy(Protocol):
    """Chooses a server among those of one tier (primaries or backups)."""

    def pick(self, now: int, key: bytes, tried: Tried) -> Server | None:
        """An eligible server that is not in `tried`, or None. `key` is what hashes go by."""
        ...
