from __future__ import annotations

from typing import Any

import pytest

from gapura.control.expiry import DAY, Dates, Expiry
from gapura.events import Event, draft

NOW = 1_800_000_000.0


class Told:
    def __init__(self) -> None:
        self.events: list[Event] = []
        self.expiry = Expiry(self.tell)

    def tell(self, type: str, subject: str, text: str, /, *, severity: str = "", **data: Any) -> None:
        self.events.append({"id": len(self.events) + 1, **draft(type, subject, text, severity, data)})

    @property
    def days(self) -> list[int]:
        return [event["data"]["days"] for event in self.events]


def dates(left: float, span: float = 90.0, problem: str = "") -> Dates:
    """A certificate that ends in `left` days."""
    return Dates("a.b", NOW + (left - span) * DAY, NOW + left * DAY, problem)


def test_it_is_told_once_for_each_number_of_days() -> None:
    told = Told()
    for hour in range(24 * 30):
        told.expiry.look([dates(20.0)], NOW + hour * 3600)
    assert told.days == [14, 7, 3, 1, 0]
    assert [event["severity"] for event in told.events] == ["warning", "warning", "error", "error", "error"]
    assert told.events[0]["text"] == "the certificate of a.b ends in 14 days"
    assert told.events[-1]["text"] == "the certificate of a.b has ended"


@pytest.mark.parametrize(
    ("left", "span", "days"),
    [
        (30, 90, []),
        (5, 90, [7]),
        (0.5, 90, [1]),
        (-1, 90, [0]),
        (5, 7, []),
        (2.5, 7, []),
        (2, 10, [3]),
        (0.9, 6, [1]),
        (0.2, 0.25, []),
        (-0.1, 0.25, [0]),
        (14, 15, []),
    ],
)
def test_short_lives_are_judged_by_their_own_measure(left: float, span: float, days: list[int]) -> None:
    told = Told()
    told.expiry.look([dates(left, span)], NOW)
    assert told.days == days


def test_a_renewed_certificate_begins_anew() -> None:
    told = Told()
    told.expiry.look([dates(5)], NOW)
    told.expiry.look([dates(80)], NOW)
    told.expiry.look([dates(80)], NOW + 78 * DAY)
    assert told.days == [7, 3]


def test_the_reason_is_named() -> None:
    told = Told()
    told.expiry.look([dates(2, problem="the authority does not answer")], NOW)
    assert told.events[0]["text"].endswith("ends in 2 days: the authority does not answer")


def test_a_restart_repeats_nothing() -> None:
    told = Told()
    told.expiry.look([dates(5)], NOW)
    later = Told()
    later.expiry.restore(told.events)
    later.expiry.look([dates(5)], NOW)
    assert later.days == []
    later.expiry.look([dates(5)], NOW + 3 * DAY)
    assert later.days == [3]
