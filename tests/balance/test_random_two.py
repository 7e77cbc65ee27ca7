"""Two random choices: which of the two wins, shares, fallback."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from gapura.balance.random_two import RandomTwo
from gapura.board import CONNS


def drawing(s, *numbers):
    """The policy with the draws given: 0.0 is the first of the list, 0.99 the last."""
    return RandomTwo(s.servers, iter(numbers).__next__)


def load(s, number, connections):
    s.cells[s.board.column(s.board.slot(number), CONNS, 0)] = connections


@pytest.mark.parametrize(
    ("weights", "loads", "expected"),
    [
        ([1, 1], [0, 0], "b:1"),  # a tie: the second drawn
        ([1, 1], [0, 1], "a:1"),
        ([1, 1], [1, 0], "b:1"),
        ([2, 1], [2, 1], "b:1"),  # a tie per weight
        ([3, 1], [2, 1], "a:1"),
    ],
)
def test_fewer_connections_for_the_weight(scene, weights, loads, expected):
    s = scene(*({"weight": weight} for weight in weights))
    for number, connections in enumerate(loads):
        load(s, number, connections)
    assert drawing(s, 0.0, 0.99).pick(s.now, b"", None).id == expected


def test_the_same_server_twice_is_drawn_again(scene):
    s = scene({}, {}, {})
    assert drawing(s, 0.0, 0.1, 0.2, 0.5).pick(s.now, b"", None).id == "b:1"


def test_tried_and_ineligible_are_drawn_again(scene):
    s = scene({}, {"down": True}, {}, {})
    assert drawing(s, 0.0, 0.3, 0.6, 0.9).pick(s.now, b"", [s.servers[0]]).id == "d:1"


def test_one_eligible_server_is_found_by_round_robin(scene):
    s = scene({}, {"down": True}, {"down": True}, policy="random")
    assert s.row(10) == "a" * 10


def test_weights_shape_the_draw(scene):
    """With three servers of weights 8, 1, 1 and no load, the last drawn wins: the chance of a is (0.2·8/9 + …), about 0.2."""
    s = scene({"weight": 8}, {}, {})
    policy = RandomTwo(s.servers, random.Random(7).random)
    shares = Counter(policy.pick(s.now, b"", None).id for _ in range(3000))
    # a wins only as the second: P(first is b or c) · P(a before the other) = 0.2 · 8/9
    assert shares["a:1"] / 3000 == pytest.approx(0.2 * 8 / 9, abs=0.03)
    assert shares["b:1"] / 3000 == pytest.approx(shares["c:1"] / 3000, abs=0.05)


def test_load_evens_out(scene):
    s = scene({}, {}, {}, {})
    policy = RandomTwo(s.servers, random.Random(3).random)
    for _ in range(400):
        server = policy.pick(s.now, b"", None)
        s.cells[s.board.column(server.slot, CONNS, 0)] += 1
    assert all(90 <= server.connections() <= 110 for server in s.servers)


def test_nobody_left_and_single(scene):
    assert scene({"down": True}, {"down": True}, policy="random").pick() is None
    assert scene({}, policy="random").row(2) == "aa"
