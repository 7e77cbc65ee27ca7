"""How many events of a type may come within a minute, so that one thing that goes wrong a thousand times hides nothing else.

Pure: no clock; `now` is CLOCK_MONOTONIC in seconds.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from gapura.events import KINDS, Draft

MOST: Final = 20
"""Events of one type within `WINDOW`; what ends a state that was told is let through all the same."""
WINDOW: Final = 60.0
OPEN: Final = 10_000
"""States that are remembered as told and not over."""

_ENDS: Final = {kind.ends: name for name, kind in KINDS.items() if kind.ends}


class Limit:
    """Lets events pass, or counts them. The end of a state passes exactly if its beginning did, so that pairs stay pairs."""

    def __init__(self, most: int = MOST) -> None:
        self.most = most
        self._begun: dict[str, float] = {}
        self._passed: dict[str, int] = {}
        self._held: dict[str, list[Draft]] = {}
        self._counts: dict[str, int] = {}
        self._open: dict[tuple[str, str], bool] = {}

    def remember(self, events: Iterable[Draft]) -> None:
        """Take up which states were told before a restart."""
        for event in events:
            self._note(event, True)

    def admit(self, event: Draft, now: float) -> bool:
        """Whether an event is told now; else it is counted for the summary."""
        kind = event["type"]
        if now - self._begun.get(kind, -WINDOW) >= WINDOW and kind not in self._counts:
            self._begun[kind], self._passed[kind] = now, 0
        ends = KINDS[kind].ends if kind in KINDS else ""
        passes = self._open.pop((ends, event["subject"]), None) if ends else None
        if passes is None:
            passes = self._passed[kind] < self.most
        self._note(event, passes)
        if passes:
            self._passed[kind] += 1
        else:
            self._counts[kind] = self._counts.get(kind, 0) + 1
            self._held[kind] = [event]
        return passes

    def due(self) -> float | None:
        """When the next summary is to be asked for; None while nothing is held back."""
        return min((self._begun[kind] + WINDOW for kind in self._counts), default=None)

    def summaries(self, now: float) -> list[tuple[str, int, Draft]]:
        """The types whose minute is over: how many events were held back, and the last of them."""
        over = [kind for kind in self._counts if now - self._begun[kind] >= WINDOW]
        found = [(kind, self._counts.pop(kind), self._held.pop(kind)[-1]) for kind in over]
        for kind in over:
            self._begun[kind], self._passed[kind] = now, 0
        return found

    def _note(self, event: Draft, passed: bool) -> None:
        """Remember how the beginning of a state went."""
        kind, key = event["type"], (event["type"], event["subject"])
        if kind in _ENDS:
            while len(self._open) >= OPEN:
                del self._open[next(iter(self._open))]
            self._open[key] = passed or self._open.get(key, False)
        elif kind in KINDS and KINDS[kind].ends:
            self._open.pop((KINDS[kind].ends, event["subject"]), None)


def summary(kind: str, count: int, last: Draft) -> tuple[str, str, str, dict[str, object]]:
    """The event that stands for those that were held back: type, subject, text, data."""
    text = f"and {count} more: {kind}; the last of them: {last['text']}"
    return "events.more", kind, text, {"type": kind, "count": count, "last": last["subject"]}
