"""Logs that a worker cannot write to, and how many lines were lost: what `gapura status` tells."""

from __future__ import annotations

from typing import Any, Final

from gapura.events import Tell, nobody
from gapura.ipc import Message

MOST: Final = 256
"""Logs remembered; a configuration has fewer."""


class LogLosses:
    """Keeps what workers say in `log` messages. What is malformed says nothing."""

    __slots__ = ("_lost", "_told", "_troubled", "tell")

    def __init__(self) -> None:
        self.tell: Tell = nobody
        self._told: set[str] = set()
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
                if path not in self._told:
                    self._told.add(path)
                    self.tell("log.failed", path, f"{path} cannot be written: {reason}", reason=reason)
            return
        self._troubled.pop((path, pid), None)
        if path in self._lost or len(self._lost) < MOST:
            self._lost[path] = self._lost.get(path, 0) + lost
        self._settle(path)

    def forget(self, pid: int) -> None:
        """A worker is gone, and what it could not write with it."""
        for key in [key for key in self._troubled if key[1] == pid]:
            del self._troubled[key]
        for path in list(self._told):
            self._settle(path)

    def _settle(self, path: str) -> None:
        """Tell that a log can be written again, once no worker has trouble with it."""
        if path in self._told and not any(key[0] == path for key in self._troubled):
            self._told.discard(path)
            lost = self._lost.get(path, 0)
            self.tell("log.back", path, f"{path} can be written again: {lost} lines are missing", lost=lost)

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Each log with trouble: lines lost so far that workers have told of, and why it cannot be written now, or ""."""
        reasons = {path: reason for (path, _), reason in self._troubled.items()}
        return [
            {"path": path, "lost": self._lost.get(path, 0), "reason": reasons.get(path, "")}
            for path in sorted({*self._lost, *reasons})
        ]
