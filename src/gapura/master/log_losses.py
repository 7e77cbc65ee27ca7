"""Logs that a worker cannot write to, and how many lines were lost: what `gapura status` tells."""

from __future__ import annotations

from typing import Any, Final

from gapura.ipc import Message

MOST: Final = 256
"""Logs remembered; a configuration has fewer."""


class LogLosses:
    """Keeps what workers say in `log` messages. What is malformed says nothing."""

    __slots__ = ("_lost", "_troubled")

    def __init__(self) -> None:
        self._lost: dict[str, int] = {}
        self._troubled: dict[tuple[str, int], str] = {}

    def hear(self, pid: int, message: Message) -> None:
        """A worker has trouble with a log (`reason`), or has no longer ("")."""
        path, lost, reason = message.get("path"), message.get("lost"), message.get("reason")
        if not isinstance(path, str) or not isinstance(lost, int) or not isinstance(reason, str):
            return
        if reason:
            if len(self._troubled) < MOST:
                self._troubled[path, pid] = reason
            return
        self._troubled.pop((path, pid), None)
        if path in self._lost or len(self._lost) < MOST:
            self._lost[path] = self._lost.get(path, 0) + lost

    def forget(self, pid: int) -> None:
        """A worker is gone, and what it could not write with it."""
        for key in [key for key in self._troubled if key[1] == pid]:
            del self._troubled[key]

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Each log with trouble: lines lost so far that workers have told of, and why it cannot be written now, or ""."""
        reasons = {path: reason for (path, _), reason in self._troubled.items()}
        return [
            {"path": path, "lost": self._lost.get(path, 0), "reason": reasons.get(path, "")}
            for path in sorted({*self._lost, *reasons})
        ]
