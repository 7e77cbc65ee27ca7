"""Fewest connections for the weight, over all workers."""

from __future__ import annotations

import pytest

from gapura.board import CONNS, FIXED


def hold(s, loads):
    """Give the servers connections, spread over the columns in use."""
    for number, load in enumerate(loads):
        for turn in range(load):
            column = turn % s.cells[3]
            s.cells[s.board.column(s.board.slot(number), CONNS, column)] += 1


@pytest.mark.parametrize(
    ("weights", "loads", "expected"),
    [
        ([1, 1], [1, 0], "b"),
        ([1, 1], [0, 1], "a"),
        ([1, 1, 1], [2, 1, 2], "b"),
        ([2, 1], [2, 1], "a"),  # a tie at 1 connection per weight: the larger weight gains more in the rotation
        ([2, 1], [3, 1], "b"),
        ([4, 1], [3, 1], "a"),
        ([1, 1, 1], [5, 5, 4], "c"),
        ([3, 2], [2, 1], "b"),  # 2/3 against 1/2
    ],
)
def test_smallest_ratio_wins(scene, weights, loads, expected):
    s = scene(*({"weight": weight} for weight in weights), policy="least_conn", columns=3)
    hold(s, loads)
    assert s.row(1) == expected


def test_without_load_it_is_the_round_robin_of_nginx(scene):
    s = scene({"weight": 5}, {}, {}, policy="least_conn")
    assert s.row(14) == "aabacaaaabacaa"


def test_only_the_tied_take_turns(scene):
    s = scene({}, {}, {}, policy="least_conn")
    hold(s, [1, 0, 0])
    assert s.row(4) == "bcbc"
    assert s.servers[0].current == 0


def test_connections_of_other_workers_count(scene):
    s = scene({}, {}, policy="least_conn", columns=2)
    other = s.worker(1)
    busy = other.claim(s.now)
    assert busy is not None
    assert s.pick().id != busy.id


def test_skips_tried_and_ineligible(scene):
    s = scene({}, {"down": True}, {}, policy="least_conn")
    hold(s, [9, 0, 5])
    assert s.row(1) == "c"
    assert s.row(1, tried=[s.servers[2]]) == "a"
    assert s.pick(tried=[s.servers[0], s.servers[2]]) is None


def test_columns_beyond_those_in_use_cost_nothing_and_count_nothing(scene):
    s = scene({}, {}, policy="least_conn", columns=1)
    s.cells[s.board.slot(0) + FIXED + CONNS * 64 + 5] = 100
    assert s.row(1) == "a"
