"""The last hours in figures: requests, errors and percentiles of all traffic, and of each site, route and server.

A quarter of an hour second by second, a day minute by minute. Memory is bounded whatever the configuration:
12 bytes for each entry, 28 KB for each series, `SERIES` of them; when there are more, one that is idle makes room.
Only what had traffic is touched, so a second costs what its traffic costs.
"""

from __future__ import annotations

import math
import time
from array import array
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

SERIES: Final = 1024
"""Series that are kept: 28 MB in all, when each of them had traffic."""
SECONDS: Final = 900
"""Entries of one second."""
MINUTES: Final = 1440
"""Entries of one minute."""
IDLE: Final = 60
"""Entries without traffic after which a series may have to make room."""
TOTAL: Final = ("total", "")
"""The key of all traffic together; the others are ("site", first host), ("route", row), ("server", "upstream/id")."""

Key = tuple[str, str | int]
_MOST: Final = (1 << 32) - 1
_LEVELS: Final = 1023
_SHORTEST: Final = 1e-4
_SPAN: Final = math.log(1e6)
"""From 0.1 ms to 100 s: each level of a time is 1.4 % above the one before."""


class Figures(NamedTuple):
    """What happened in a span. Times in seconds, 0 where nothing was measured; `sent`: bytes to clients."""

    requests: int
    errors: int
    sent: int
    p50: float
    p90: float
    p99: float


class Moment(NamedTuple):
    """The figures of one span of time; only who had traffic is named."""

    seconds: float
    total: Figures
    sites: dict[str, Figures]
    routes: dict[int, Figures]
    servers: dict[str, Figures]

    def items(self) -> Iterator[tuple[Key, Figures]]:
        """All figures by their keys."""
        yield TOTAL, self.total
        for site, figures in self.sites.items():
            yield ("site", site), figures
        for row, figures in self.routes.items():
            yield ("route", row), figures
        for server, figures in self.servers.items():
            yield ("server", server), figures


class _Series:
    """A ring. `last` is the number of the entry written last; what lies behind it is of an earlier round."""

    __slots__ = ("requests", "errors", "times", "last")

    def __init__(self, length: int, number: int) -> None:
        self.requests, self.errors, self.times = (array("I", bytes(4 * length)) for _ in range(3))
        self.last = number

    def put(self, number: int, requests: int, errors: int, times: int) -> None:
        """Write entry `number`; those that were passed over are 0."""
        length = len(self.requests)
        for passed in range(max(self.last + 1, number - length + 1), number):
            self.requests[passed % length] = self.errors[passed % length] = self.times[passed % length] = 0
        place = number % length
        self.requests[place], self.errors[place], self.times[place] = requests, errors, times
        self.last = number

    def get(self, number: int) -> tuple[int, int, int]:
        """Entry `number`, zeros when nothing was written for it."""
        length = len(self.requests)
        if number > self.last or number <= self.last - length:
            return 0, 0, 0
        place = number % length
        return self.requests[place], self.errors[place], self.times[place]


class _Ring:
    """All series of one step."""

    def __init__(self, step: int, length: int) -> None:
        self.step = step
        self.length = length
        self.series: dict[Key, _Series] = {}
        self.number = -1
        self.first = -1
        self.full = -1
        """The entry at which nothing could make room: the next series of that moment need not look again."""

    def add(self, number: int, moment: Moment) -> None:
        """Write a moment as entry `number`. One that lasted longer than a step counts as the average of its steps."""
        if number <= self.number:
            return
        self.number = number
        self.first = number if self.first < 0 else self.first
        share = self.step / moment.seconds if moment.seconds > 1.5 * self.step else 1.0
        for key, figures in moment.items():
            if not figures.requests and not figures.errors:
                continue
            series = self.series.get(key) or self._fresh(key, number)
            if series is None:
                continue
            times = level(figures.p50) << 20 | level(figures.p90) << 10 | level(figures.p99)
            requests, errors = (min(_MOST, round(count * share)) for count in (figures.requests, figures.errors))
            series.put(number, requests, errors, times)

    def _fresh(self, key: Key, number: int) -> _Series | None:
        """A new series, in the place of one that was idle for a while where there is no room; None: all of them are busy."""
        if len(self.series) >= SERIES:
            if number == self.full:
                return None
            idle = min((one for one in self.series if one != TOTAL), key=lambda one: self.series[one].last)
            if number - self.series[idle].last < IDLE:
                self.full = number
                return None
            del self.series[idle]
        found = self.series[key] = _Series(self.length, number - 1)
        return found


class History:
    """`add` each second, `add_minute` each minute; `read` at any time."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, wall: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._wall = wall
        self._origin = clock()
        self._seconds = _Ring(1, SECONDS)
        self._minutes = _Ring(60, MINUTES)

    def add(self, moment: Moment) -> None:
        """What happened in the second that is just over."""
        self._seconds.add(round(self._clock() - self._origin), moment)

    def add_minute(self, moment: Moment) -> None:
        """What happened in the minute that is just over."""
        self._minutes.add(round((self._clock() - self._origin) / 60), moment)

    def read(self, seconds: int, key: Key = TOTAL) -> dict[str, Any]:
        """The last `seconds` of a series: `step` and `from` (seconds, the latter since 1970) and lists of equal length.

        Times in `at` are the ends of the steps in seconds since 1970, percentiles are ms, None where there was no request.
        """
        ring = self._seconds if seconds <= SECONDS else self._minutes
        now = (self._clock() - self._origin) / ring.step
        count = min(ring.length, max(1, math.ceil(seconds / ring.step)))
        numbers = range(max(ring.first, ring.number - count + 1), ring.number + 1) if ring.number >= 0 else range(0)
        series = ring.series.get(key)
        entries = [series.get(number) if series else (0, 0, 0) for number in numbers]
        wall = self._wall()
        at = [round(wall - (now - number) * ring.step) for number in numbers]
        return {
            "step": ring.step,
            "from": at[0] - ring.step if at else round(wall),
            "series": {
                "at": at,
                "rps": [round(requests / ring.step, 3) for requests, _, _ in entries],
                "errors": [round(errors / ring.step, 3) for _, errors, _ in entries],
                "p50": [milliseconds(times >> 20) for _, _, times in entries],
                "p90": [milliseconds(times >> 10 & _LEVELS) for _, _, times in entries],
                "p99": [milliseconds(times & _LEVELS) for _, _, times in entries],
            },
        }

    def size(self) -> int:
        """Bytes of all entries."""
        return sum(12 * ring.length * len(ring.series) for ring in (self._seconds, self._minutes))


def level(seconds: float) -> int:
    """A time as one of 1,023 steps of a logarithmic scale; 0: none."""
    if seconds <= 0:
        return 0
    return max(1, min(_LEVELS, 1 + round(math.log(max(seconds, _SHORTEST) / _SHORTEST) / _SPAN * (_LEVELS - 1))))


def milliseconds(step: int) -> float | None:
    """What `level` said, in ms; None for 0."""
    if not step:
        return None
    return float(f"{1000 * _SHORTEST * math.exp((step - 1) / (_LEVELS - 1) * _SPAN):.3g}")
