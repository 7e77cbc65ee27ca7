"""When too many of a site's answers are errors, and when that is over. Pure: `now` is in seconds of CLOCK_MONOTONIC."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Final

from gapura.control.outages import span
from gapura.events import Tell

STEP: Final = 5.0
"""Seconds between two looks at the counts."""
WINDOW: Final = 60.0
LEAST: Final = 10
"""Errors within the window below which nothing is told, whatever their share: one of two requests is no burst."""

Counts = tuple[int, int]
"""Requests and errors (5xx) of a site since the beginning."""


class ErrorBursts:
    """Tells `site.errors` when the last minute's share of errors passes `share`, `site.recovered` when it is below half of it."""

    def __init__(self, tell: Tell) -> None:
        self.share = 0.0
        self._tell = tell
        self._samples: deque[tuple[float, dict[str, Counts]]] = deque()
        self._begun: dict[str, float] = {}

    def restore(self, begun: Mapping[str, float]) -> None:
        """Go on with bursts that were told before a restart, each with the time it began."""
        self._begun |= begun

    def look(self, counts: Mapping[str, Counts], now: float) -> None:
        """Take in the counts of now. Counts that became smaller (a worker was replaced) say nothing."""
        samples = self._samples
        samples.append((now, dict(counts)))
        while len(samples) > 2 and now - samples[1][0] >= WINDOW:
            samples.popleft()
        if not self.share:
            for site in list(self._begun):
                self._end(site, now, "nobody watches it any more")
            return
        whole = now - samples[0][0] >= WINDOW
        for site, (requests, errors) in counts.items():
            before = next(sample[site] for _, sample in samples if site in sample)
            asked, failed = requests - before[0], errors - before[1]
            if asked < 0 or failed < 0:
                continue
            share = failed / asked if asked else 0.0
            if site not in self._begun and failed >= LEAST and share > self.share:
                self._begun[site] = now
                text = f"{site}: {failed} of the last {asked} answers were errors ({share:.0%})"
                self._tell("site.errors", site, text, requests=asked, errors=failed, share=round(share, 4))
            elif whole and site in self._begun and share < self.share / 2 and now - self._begun[site] >= WINDOW:
                self._end(
                    site, now, f"{share:.1%} of the last {asked} answers were errors" if asked else "nobody has asked for a minute"
                )
        for site in [site for site in self._begun if site not in counts]:
            self._end(site, now, "the site was removed")

    def _end(self, site: str, now: float, why: str) -> None:
        seconds = now - self._begun.pop(site)
        self._tell("site.recovered", site, f"{site} has recovered after {span(seconds)}: {why}", seconds=round(seconds, 1))
