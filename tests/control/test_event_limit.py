from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from gapura.control.event_limit import WINDOW, Limit, summary
from gapura.events import Draft, draft


def event(type: str, subject: str = "a") -> Draft:
    return draft(type, subject, f"{type} of {subject}", "", {}, now=1.0)


def test_a_few_pass_and_the_rest_is_counted() -> None:
    limit = Limit(most=3)
    passed = [limit.admit(event("app.crashed", f"web:{number}"), 10.0 + number) for number in range(40)]
    assert passed == [True] * 3 + [False] * 37
    assert limit.due() == 10.0 + WINDOW
    assert limit.summaries(10.0 + WINDOW - 0.1) == []
    [(kind, count, last)] = limit.summaries(10.0 + WINDOW)
    assert (kind, count, last["subject"]) == ("app.crashed", 37, "web:39")
    type, subject, text, data = summary(kind, count, last)
    assert (type, subject, data["count"]) == ("events.more", "app.crashed", 37)
    assert text.startswith("and 37 more")
    assert limit.due() is None
    assert limit.admit(event("app.crashed"), 10.0 + WINDOW)


def test_one_type_does_not_hide_another() -> None:
    limit = Limit(most=1)
    limit.admit(event("app.crashed"), 1.0)
    assert not limit.admit(event("app.crashed"), 1.0)
    assert limit.admit(event("certificate.expires"), 1.0)


def test_who_was_told_of_a_beginning_is_told_of_its_end() -> None:
    limit = Limit(most=1)
    assert limit.admit(event("server.out", "a"), 1.0)
    assert not limit.admit(event("server.out", "b"), 1.0)
    assert limit.admit(event("server.back", "c"), 1.0)
    assert limit.admit(event("server.back", "a"), 1.0), "though the minute is full"
    assert not limit.admit(event("server.back", "b"), 1.0 + 2 * WINDOW), "though there is room again"


def test_beginnings_of_before_a_restart_count() -> None:
    limit = Limit(most=0)
    limit.remember([event("server.out", "a"), event("upstream.out", "b"), event("upstream.back", "b")])
    assert limit.admit(event("server.back", "a"), 1.0)
    assert not limit.admit(event("upstream.back", "b"), 1.0)


def test_a_type_of_another_version_passes() -> None:
    assert Limit().admit({**event("app.ready"), "type": "moon.landed"}, 1.0)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0.0, 30.0)), max_size=300), st.integers(1, 4))
def test_pairs_stay_pairs_and_nothing_is_lost(steps: list[tuple[str, float]], most: int) -> None:
    limit, now = Limit(most), 0.0
    out: set[str] = set()
    told: list[tuple[str, str]] = []
    held = 0
    summed = 0
    for subject, seconds in steps:
        now += seconds
        summed += sum(count for _, count, _ in limit.summaries(now))
        type = "server.back" if subject in out else "server.out"
        out ^= {subject}
        if limit.admit(event(type, subject), now):
            told.append((type, subject))
        else:
            held += 1
    summed += sum(count for _, count, _ in limit.summaries(now + 2 * WINDOW))
    assert summed == held
    for subject in "abc":
        turns = [type for type, who in told if who == subject]
        assert all(type == ("server.out" if place % 2 == 0 else "server.back") for place, type in enumerate(turns))
    assert Counter(type for type, _ in told)["server.out"] + held >= len(steps) // 2 - 2
