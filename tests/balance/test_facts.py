"""What the board says of a server, cell by cell."""

from __future__ import annotations

import pytest

from gapura.balance import facts
from gapura.board import (
    ADMIN,
    BACKOFF,
    CONNS,
    CRASHED,
    DISABLED,
    DOWN_AT,
    DRAINING,
    ERRORS,
    FREE,
    HEALTH,
    HIT_AT,
    READY,
    READY_AT,
    SERVED,
    SINCE,
    STARTING,
    STATE,
    STATES,
    STOPPED,
    STOPPING,
    UNHEALTHY,
)

SECOND = 1_000_000_000


def state(s, number=0):
    return facts.server_state(s.board, s.plan["servers"][number], s.now)


def condition(s, number=0):
    return facts.condition(s.board, s.plan["servers"][number], s.now)


@pytest.mark.parametrize("value", [FREE, STARTING, STOPPING, STOPPED, BACKOFF, CRASHED])
def test_an_instance_that_is_not_ready_is_down(scene, value):
    s = scene({"id": "app:0"}, slots_each=2)
    s.put(0, STATE, value)
    assert state(s) == "down"
    assert condition(s) == STATES[value]


@pytest.mark.parametrize(
    ("cell", "value", "expected"),
    [(ADMIN, DRAINING, "draining"), (ADMIN, DISABLED, "disabled"), (HEALTH, UNHEALTHY, "unhealthy"), (STATE, READY, "up")],
)
def test_one_cell_one_state(scene, cell, value, expected):
    s = scene({}, {})
    s.put(0, cell, value)
    assert state(s) == condition(s) == expected
    assert state(s, 1) == "up"


def test_down_in_the_configuration(scene):
    s = scene({"down": True}, {})
    assert state(s) == condition(s) == "down"


def test_a_full_server_is_up_and_not_eligible(scene):
    s = scene({"max_conns": 1}, {})
    s.upstream.claim(s.now)
    assert (state(s), condition(s)) == ("up", "full")


@pytest.mark.parametrize(
    ("marked", "ready", "hit", "expected"),
    [
        (-1, -50, 0, "benched"),
        (-9.999, -50, 0, "benched"),
        (-10, -50, 0, "up"),  # the pause is over
        (-1, -0.5, 0, "up"),  # became ready since
        (-1, -50, -0.5, "up"),  # answered a health check since
        (-1, -1, -1, "up"),
        (-1, -50, -2, "benched"),
    ],
)
def test_benched_until_the_pause_or_a_proof_of_life(scene, marked, ready, hit, expected):
    s = scene({}, {})
    for cell, seconds in ((DOWN_AT, marked), (READY_AT, ready), (HIT_AT, hit)):
        s.put(0, cell, s.now + int(seconds * SECOND) if seconds else 0)
    assert state(s) == expected
    assert s.servers[0].benched(s.now) == (expected == "benched")


def test_max_fails_zero_is_never_benched(scene):
    s = scene({"max_fails": 0}, {})
    s.put(0, DOWN_AT, s.now)
    assert state(s) == "up"


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (READY, FREE, "up"),
        (FREE, READY, "up"),
        (STOPPING, STARTING, "starting"),
        (STOPPED, FREE, "stopped"),
        (CRASHED, FREE, "crashed"),
        (FREE, BACKOFF, "backoff"),
        (FREE, FREE, "free"),
    ],
)
def test_the_more_hopeful_of_two_slots_speaks(scene, first, second, expected):
    s = scene({"id": "app:0"}, slots_each=2)
    s.put(0, STATE, first)
    s.put(1, STATE, second)
    assert condition(s) == expected


def test_of_two_equal_slots_the_one_that_changed_last_speaks(scene):
    s = scene({"id": "app:0"}, slots_each=2)
    s.put(1, STATE, READY)
    s.put(1, SINCE, 5)
    assert facts.best_slot(s.board, s.plan["servers"][0], s.now) == (s.board.slot(1), "up")


def test_counters_add_up_workers_and_slots(scene):
    s = scene({"id": "app:0"}, slots_each=2, columns=3)
    for slot in (0, 1):
        for column in range(3):
            for cell, value in ((CONNS, 1), (SERVED, 10), (ERRORS, 100)):
                s.cells[s.board.column(s.board.slot(slot), cell, column)] = value
    assert facts.counters(s.board, s.plan["servers"][0]) == (6, 60, 600)


def test_a_server_without_slots_is_free_and_counts_nothing(scene):
    s = scene({})
    plan = s.plan["servers"][0].copy()
    plan["slots"] = []
    assert facts.condition(s.board, plan, s.now) == "free"
    assert facts.server_state(s.board, plan, s.now) == "down"
    assert facts.counters(s.board, plan) == (0, 0, 0)
