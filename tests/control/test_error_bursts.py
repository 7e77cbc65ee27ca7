from __future__ import annotations

from typing import Any

from gapura.control.error_bursts import LEAST, STEP, WINDOW, ErrorBursts


class Traffic:
    """A site with a number of requests and errors for each step."""

    def __init__(self, share: float = 0.05) -> None:
        self.told: list[tuple[str, str]] = []
        self.bursts = ErrorBursts(self.tell)
        self.bursts.share = share
        self.now, self.requests, self.errors = 0.0, 0, 0
        self.site = "a.b"

    def tell(self, type: str, subject: str, text: str, /, *, severity: str = "", **data: Any) -> None:
        self.told.append((type, text))

    def steps(self, number: int, requests: int, errors: int) -> None:
        for _ in range(number):
            self.bursts.look({self.site: (self.requests, self.errors)}, self.now)
            self.now += STEP
            self.requests += requests
            self.errors += errors

    @property
    def types(self) -> list[str]:
        return [type for type, _ in self.told]


def test_a_burst_is_told_once_and_its_end_once() -> None:
    traffic = Traffic()
    traffic.steps(20, 100, 0)
    traffic.steps(30, 100, 30)
    assert traffic.types == ["site.errors"]
    assert "a.b: " in traffic.told[0][1]
    traffic.steps(30, 100, 0)
    assert traffic.types == ["site.errors", "site.recovered"]


def test_a_share_about_the_threshold_does_not_flap() -> None:
    traffic = Traffic(share=0.1)
    for _ in range(40):
        traffic.steps(2, 100, 12)
        traffic.steps(2, 100, 8)
    assert traffic.types == ["site.errors"]


def test_few_errors_are_no_burst() -> None:
    traffic = Traffic()
    traffic.steps(2, 0, 0)
    traffic.steps(1, LEAST - 1, LEAST - 1)
    traffic.steps(20, 0, 0)
    assert traffic.types == []


def test_the_first_look_takes_no_old_errors_for_new() -> None:
    traffic = Traffic()
    traffic.requests = traffic.errors = 100_000
    traffic.steps(30, 100, 0)
    assert traffic.types == []


def test_a_site_that_is_new_begins_at_nothing() -> None:
    traffic = Traffic()
    traffic.bursts.look({}, 0.0)
    traffic.now = WINDOW + STEP
    traffic.steps(3, 100, 50)
    assert traffic.types == ["site.errors"]


def test_a_site_that_is_added_is_watched_at_once() -> None:
    traffic = Traffic()
    traffic.bursts.look({}, 0.0)
    traffic.now = STEP
    traffic.steps(3, 100, 50)
    assert traffic.types == ["site.errors"]


def test_counts_that_fall_say_nothing() -> None:
    traffic = Traffic()
    traffic.requests, traffic.errors = 1000, 500
    traffic.steps(5, 0, 0)
    traffic.requests, traffic.errors = 10, 10
    traffic.steps(5, 0, 0)
    assert traffic.types == []


def test_a_site_that_is_removed_or_not_watched_any_more_has_recovered() -> None:
    for leave in ("removed", "unwatched"):
        traffic = Traffic()
        traffic.steps(10, 100, 50)
        if leave == "removed":
            traffic.bursts.look({}, traffic.now)
        else:
            traffic.bursts.share = 0.0
            traffic.steps(1, 100, 50)
        assert traffic.types == ["site.errors", "site.recovered"]


def test_silence_ends_a_burst() -> None:
    traffic = Traffic()
    traffic.steps(10, 100, 50)
    traffic.steps(14, 0, 0)
    assert traffic.types == ["site.errors", "site.recovered"]
    assert "nobody has asked" in traffic.told[1][1]


def test_a_burst_goes_on_over_a_restart() -> None:
    traffic = Traffic()
    traffic.now = 500.0
    traffic.bursts.restore({"a.b": 100.0})
    traffic.steps(10, 100, 50)
    assert traffic.types == []
    traffic.steps(30, 100, 0)
    assert traffic.types == ["site.recovered"]
