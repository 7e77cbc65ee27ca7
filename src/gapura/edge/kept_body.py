"""The body of a request that is proxied, kept as long as it may have to be sent again."""

from __future__ import annotations


class KeptBody:
    """A request body on its way: kept as long as it may have to be sent again."""

    __slots__ = ("parts", "size", "ended", "replayable", "stuck")

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.size = 0
        self.ended = False
        self.stuck = False  # the server takes it slowly
        self.replayable = True

    def forget(self) -> None:
        """It has become too long to be kept."""
        self.replayable = False
        self.parts.clear()
        self.size = 0
