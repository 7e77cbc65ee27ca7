from __future__ import annotations

from collections import defaultdict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapura.control.outages import AWAY, BETWEEN, GRACE, LONGEST, OUT, SETTLED, SOON, UP, Key, Outages, Seen, span

WEB: Key = ("web", "web:0")
OTHER: Key = ("web", "web:1")


class Story:
    """Outages, and all that they told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []
        self.data: list[dict[str, Any]] = []
        self.texts: list[str] = []
        self.outages = Outages(self.tell)
        self.now = 1000.0

    def tell(self, type: str, subject: str, text: str, /, *, severity: str = "", **data: Any) -> None:
        self.told.append((type, subject))
        self.texts.append(text)
        self.data.append(data)

    def look(self, seconds: float = 0.2, **standings: str) -> None:
        """All servers as they are for a time; named by their number."""
        end = self.now + seconds
        while self.now < end:
            self.now = min(end, self.now + 0.2)
            self.outages.look({("web", f"web:{name[1:]}"): Seen(word, f"why {word}") for name, word in standings.items()}, self.now)


def test_out_is_told_at_once_and_back_once_it_keeps_up() -> None:
    story = Story()
    story.look(5.0, s0=UP, s1=UP)
    story.look(0.2, s0=OUT, s1=UP)
    assert story.told == [("server.out", "web/web:0")]
    assert "why out" in story.texts[0]
    story.look(8.0, s0=OUT, s1=UP)
    story.look(SETTLED - 0.3, s0=UP, s1=UP)
    assert len(story.told) == 1
    story.look(1.0, s0=UP, s1=UP)
    assert story.told == [("server.out", "web/web:0"), ("server.back", "web/web:0")]
    assert story.data[1]["seconds"] == pytest.approx(8.2, abs=0.3)


def test_one_that_comes_and_goes_is_one_outage() -> None:
    story = Story()
    for _ in range(50):
        story.look(1.0, s0=OUT, s1=UP)
        story.look(1.0, s0=UP, s1=UP)
    assert story.told == [("server.out", "web/web:0")]


def test_each_further_outage_needs_longer_until_it_is_over() -> None:
    story = Story()
    settled = []
    for _ in range(8):
        story.look(0.4, s0=OUT, s1=UP)
        before, story_began = len(story.told), story.now
        while len(story.told) == before:
            story.look(0.2, s0=UP, s1=UP)
        settled.append(round(story.now - story_began))
    assert settled == [2, 4, 8, 16, 32, 60, 60, 60]
    assert max(settled) <= LONGEST
    story.look(SOON + 1, s0=UP, s1=UP)
    story.look(0.4, s0=OUT, s1=UP)
    story.look(SETTLED + 0.4, s0=UP, s1=UP)
    assert story.told[-1] == ("server.back", "web/web:0")


def test_a_restart_by_command_is_no_outage() -> None:
    story = Story()
    story.look(1.0, s0=UP, s1=UP)
    for word in (AWAY, BETWEEN, UP):
        story.look(3.0, s0=word, s1=UP)
    assert story.told == []


def test_a_server_that_is_drained_or_removed_while_it_is_out_is_out_no_longer() -> None:
    story = Story()
    story.look(1.0, s0=OUT, s1=OUT)
    story.look(1.0, s0=AWAY, s1=UP)
    assert ("server.back", "web/web:0") in story.told
    assert any(data.get("reason") for data in story.data)
    story.look(1.0, s0=AWAY, s1=OUT)
    story.look(1.0, s0=AWAY)
    assert story.told[-1] == ("server.back", "web/web:1")


def test_the_last_server_takes_the_upstream_with_it() -> None:
    story = Story()
    story.look(1.0, s0=UP, s1=UP)
    story.look(3.0, s0=OUT, s1=UP)
    story.look(GRACE + 0.4, s0=OUT, s1=OUT)
    assert ("upstream.out", "web") in story.told
    assert "none of the 2 servers" in story.texts[-1]
    story.look(10.0, s0=UP, s1=OUT)
    assert story.told[-2:] == [("server.back", "web/web:0"), ("upstream.back", "web")]


def test_the_only_server_may_restart_within_a_second() -> None:
    story = Story()
    story.look(1.0, s0=UP)
    story.look(GRACE - 0.3, s0=OUT)
    story.look(30.0, s0=UP)
    assert [type for type, _ in story.told] == ["server.out", "server.back"]


def test_all_stopped_by_command_is_no_outage_of_the_upstream() -> None:
    story = Story()
    story.look(1.0, s0=UP, s1=UP)
    story.look(5.0, s0=AWAY, s1=AWAY)
    assert story.told == []


def test_an_upstream_that_leaves_the_configuration_is_out_no_longer() -> None:
    story = Story()
    story.look(3.0, s0=OUT)
    story.look(1.0)
    assert story.told == [
        ("server.out", "web/web:0"),
        ("upstream.out", "web"),
        ("server.back", "web/web:0"),
        ("upstream.back", "web"),
    ]


def test_an_outage_goes_on_over_a_restart() -> None:
    story = Story()
    story.outages.restore({WEB: 900.0}, {"web": 901.0})
    story.look(2.0, s0=OUT)
    assert story.told == []
    story.look(3.0, s0=UP)
    assert story.told == [("server.back", "web/web:0"), ("upstream.back", "web")]
    assert story.data[0]["seconds"] == pytest.approx(102, abs=0.5)


@given(
    st.lists(
        st.tuples(
            st.sampled_from([UP, OUT, BETWEEN, AWAY, "gone"]), st.sampled_from([UP, OUT, BETWEEN, AWAY]), st.floats(0.2, 200.0)
        ),
        max_size=60,
    )
)
def test_whatever_happens_ends_and_begins_take_turns(steps: list[tuple[str, str, float]]) -> None:
    story = Story()
    for first, second, seconds in steps:
        standings = {"s1": second} if first == "gone" else {"s0": first, "s1": second}
        story.now += seconds
        story.outages.look({("web", f"web:{name[1:]}"): Seen(word, "x") for name, word in standings.items()}, story.now)
    state: defaultdict[str, list[str]] = defaultdict(list)
    for type, subject in story.told:
        group, what = type.split(".")
        state[f"{group} {subject}"].append(what)
    for turns in state.values():
        assert turns == ["out" if place % 2 == 0 else "back" for place in range(len(turns))]
    story.now += 1000
    for _ in range(2):
        story.now += 100
        story.outages.look({WEB: Seen(UP), OTHER: Seen(UP)}, story.now)
    assert sum(type == "server.out" for type, _ in story.told) == sum(type == "server.back" for type, _ in story.told)
    assert sum(type == "upstream.out" for type, _ in story.told) == sum(type == "upstream.back" for type, _ in story.told)


@given(st.lists(st.tuples(st.sampled_from([UP, OUT]), st.floats(0.2, 1.9)), min_size=2, max_size=400))
def test_nothing_flaps(steps: list[tuple[str, float]]) -> None:
    """As long as it never stays up for longer than an outage takes to be over, there is one event."""
    story = Story()
    up = 0.0
    for word, seconds in steps:
        up = up + seconds if word == UP else 0.0
        if up >= SETTLED:
            break
        story.now += seconds
        story.outages.look({WEB: Seen(word, "x")}, story.now)
    assert sum(type == "server.out" for type, _ in story.told) <= 1
    assert ("server.back", "web/web:0") not in story.told


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0.0 s"),
        (0.44, "0.4 s"),
        (12.3, "12 s"),
        (119, "119 s"),
        (180, "3 min"),
        (7500, "2 h 5 min"),
        (7200, "2 h"),
        (259200, "3 d"),
    ],
)
def test_spans(seconds: float, text: str) -> None:
    assert span(seconds) == text
