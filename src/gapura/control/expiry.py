"""Certificates that end soon although they should have been renewed. Pure: times are seconds since 1970."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from gapura.events import ERROR, WARNING, Event, Tell

DAYS: Final = (14, 7, 3, 1, 0)
"""It is told when so many days are left; 0: it has ended."""
GRAVE: Final = 3
"""From so many days on it is an error."""
DAY: Final = 86400.0
LAST_PART: Final = 3.0
"""A certificate is renewed when a third of its time is left (RFC 9773 authorities say similar): earlier, few days are no worry."""


class Dates(NamedTuple):
    """A certificate: whose it is (a host, or a file), and its days."""

    name: str
    not_before: float
    not_after: float
    problem: str = ""

    @property
    def span(self) -> float:
        """How long it is valid in all."""
        return self.not_after - self.not_before


class Expiry:
    """Tells `certificate.expires` once for each certificate and number of days."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._told: dict[str, tuple[float, int]] = {}

    def restore(self, events: Iterable[Event]) -> None:
        """Remember what was told before a restart."""
        for event in events:
            days, end = event["data"].get("days"), event["data"].get("not_after")
            if event["type"] == "certificate.expires" and isinstance(days, int) and isinstance(end, int | float):
                self._told[event["subject"]] = (float(end), days)

    def look(self, certificates: Iterable[Dates], now: float) -> None:
        """Take in all certificates that are served."""
        for item in certificates:
            left = item.not_after - now
            reached = [days for days in DAYS if left <= days * DAY and (not days or days * DAY < item.span / LAST_PART)]
            if not reached:
                continue
            days = reached[-1]
            told = self._told.get(item.name)
            if told is not None and abs(told[0] - item.not_after) < 1.0 and told[1] <= days:
                continue
            self._told[item.name] = (item.not_after, days)
            self._say(item, days, left)

    def _say(self, item: Dates, days: int, left: float) -> None:
        hours = left / 3600
        when = "has ended" if left <= 0 else f"ends in {left / DAY:.0f} days" if hours >= 36 else f"ends in {hours:.0f} hours"
        why = f": {item.problem}" if item.problem else ""
        severity = ERROR if days <= GRAVE else WARNING
        text = f"the certificate of {item.name} {when}{why}"
        self._tell("certificate.expires", item.name, text, severity=severity, days=days, not_after=item.not_after)
