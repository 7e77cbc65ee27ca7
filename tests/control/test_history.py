"""The last hours in figures: rings of bounded size, written only where there was traffic."""

from __future__ import annotations

import math

import pytest

from gapura.control import history as h
from gapura.control.history import Figures, History, Moment, level, milliseconds


def moment(requests: int = 10, seconds: float = 1.0, **sites: int) -> Moment:
    figures = Figures(requests, 1, 100, 0.01, 0.1, 1.0)
    return Moment(seconds, figures, {site: figures._replace(requests=count) for site, count in sites.items()}, {}, {})


class Times:
    """A clock that is set."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.history = History(lambda: self.now, lambda: 1_800_000_000 + self.now)

    def second(self, what: Moment) -> None:
        self.now += 1
        self.history.add(what)


def test_what_happened_is_read_back() -> None:
    times = Times()
    for count in (1, 2, 3):
        times.second(moment(count))
    found = times.history.read(2)
    assert found["step"] == 1
    assert found["series"]["rps"] == [2.0, 3.0]
    assert found["series"]["errors"] == [1.0, 1.0]
    assert found["series"]["at"] == [1_800_001_002, 1_800_001_003]
    assert found["from"] == 1_800_001_001
    assert found["series"]["p50"][0] == pytest.approx(10, rel=0.01)
    assert found["series"]["p99"][0] == pytest.approx(1000, rel=0.01)


def test_before_it_began_there_is_nothing() -> None:
    times = Times()
    times.second(moment())
    assert len(times.history.read(900)["series"]["at"]) == 1
    assert History().read(900)["series"] == {name: [] for name in ("at", "rps", "errors", "p50", "p90", "p99")}


def test_seconds_without_traffic_are_zero_and_no_percentile() -> None:
    times = Times()
    times.second(moment(a=5))
    times.second(moment())
    times.second(moment(a=7))
    found = times.history.read(3, ("site", "a"))["series"]
    assert found["rps"] == [5.0, 0.0, 7.0]
    assert found["p50"][1] is None


def test_a_site_that_was_never_seen_is_all_zero() -> None:
    times = Times()
    times.second(moment())
    assert times.history.read(1, ("site", "b"))["series"]["rps"] == [0.0]


def test_a_ring_forgets_what_is_older_than_it_is_long() -> None:
    times = Times()
    for count in range(h.SECONDS + 10):
        times.second(moment(count, a=1) if count < 5 else moment(count))
    found = times.history.read(h.SECONDS)
    assert len(found["series"]["rps"]) == h.SECONDS
    assert found["series"]["rps"][-1] == h.SECONDS + 9
    assert found["series"]["rps"][0] == 10
    assert set(times.history.read(h.SECONDS, ("site", "a"))["series"]["rps"]) == {0.0}


def test_a_series_that_was_idle_for_a_whole_round_shows_nothing_old() -> None:
    times = Times()
    times.second(moment(a=9))
    for _ in range(h.SECONDS + 3):
        times.second(moment())
    times.second(moment(a=4))
    found = times.history.read(h.SECONDS, ("site", "a"))["series"]["rps"]
    assert found[-1] == 4.0
    assert set(found[:-1]) == {0.0}


def test_a_second_that_lasted_longer_counts_as_its_average() -> None:
    times = Times()
    times.second(moment(1))
    times.now += 9
    times.second(moment(100, seconds=10.0))
    rps = times.history.read(11)["series"]["rps"]
    assert rps[-1] == 10.0
    assert set(rps[1:-1]) == {0.0}


def test_minutes_follow_the_seconds() -> None:
    times = Times()
    for count in (60, 120):
        times.now += 60
        times.history.add_minute(moment(count, seconds=60.0))
    found = times.history.read(86400)
    assert found["step"] == 60
    assert found["series"]["rps"] == [1.0, 2.0]


def test_memory_is_bounded_with_a_thousand_routes() -> None:
    times = Times()
    figures = Figures(1, 0, 1, 0.001, 0.001, 0.001)
    for second in range(3):
        routes = {second * 1000 + row: figures for row in range(1000)}
        times.second(Moment(1.0, figures, {}, routes, {}))
        times.history.add_minute(Moment(60.0, figures, {}, routes, {}))
    assert times.history.size() <= 12 * (h.SECONDS + h.MINUTES) * h.SERIES


def test_who_is_idle_makes_room_and_who_is_busy_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(h, "SERIES", 3)
    times = Times()
    times.second(moment(a=1, b=1))
    times.second(moment(c=1))
    assert times.history.read(1, ("site", "c"))["series"]["rps"] == [0.0]
    for _ in range(h.IDLE + 1):
        times.second(moment(a=1))
    times.second(moment(a=1, c=1))
    assert times.history.read(1, ("site", "c"))["series"]["rps"] == [1.0]
    assert times.history.read(1, ("site", "a"))["series"]["rps"] == [1.0]
    assert times.history.read(1)["series"]["rps"] == [10.0]


def test_times_are_kept_to_two_percent() -> None:
    assert level(0) == 0
    assert milliseconds(0) is None
    for exponent in range(-40, 20):
        seconds = math.exp(exponent / 10 * math.log(10) / 2)
        if 1e-4 <= seconds <= 100:
            found = milliseconds(level(seconds))
            assert found is not None
            assert found == pytest.approx(1000 * seconds, rel=0.02)
    assert milliseconds(level(1e-9)) == pytest.approx(0.1)
    assert milliseconds(level(1e9)) == pytest.approx(100_000)
