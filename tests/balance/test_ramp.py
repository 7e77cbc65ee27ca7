"""Slow start: a growing share after a return, and nginx's very sequence when the ramp is over."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gapura.balance.least_conn import LeastConn
from gapura.balance.ramp import SCALE, RampedLeastConn, ramped
from gapura.balance.round_robin import RoundRobin
from gapura.board import CONNS, HIT_AT, READY_AT

SECOND = 1_000_000_000


def test_the_share_grows(scene):
    s = scene({"slow_start": 30.0}, {"slow_start": 30.0})
    s.put(1, HIT_AT, s.now)
    shares = []
    for _ in range(6):
        s.pass_time(5)
        shares.append(s.row(100).count("b"))
    assert shares == sorted(shares)
    assert 10 <= shares[0] <= 20
    assert shares[-1] == 50


def test_an_instance_that_became_ready_begins_slowly_too(scene):
    s = scene({"slow_start": 10.0, "id": "app:0"}, {"slow_start": 10.0, "id": "bpp:0"}, slots_each=2)
    s.put(2, READY_AT, s.now)
    s.pass_time(1)
    assert s.row(110).count("b") == 10


def test_it_gets_something_from_the_first_moment(scene):
    s = scene({"slow_start": 10.0}, {"slow_start": 10.0})
    s.put(1, READY_AT, s.now)
    assert ramped(s.servers[1], 1, s.now) == 1
    assert ramped(s.servers[0], 3, s.now) == 3 * SCALE
    assert "b" in s.row(SCALE + 2)


def test_all_at_once_share_alike(scene):
    s = scene({"slow_start": 10.0, "weight": 3}, {"slow_start": 10.0})
    for slot in (0, 1):
        s.put(slot, READY_AT, s.now)
    s.pass_time(5)
    assert s.row(4) == "aaba"


def test_only_one_of_the_servers_begins_slowly(scene):
    s = scene({}, {"slow_start": 10.0})
    for slot in (0, 1):
        s.put(slot, READY_AT, s.now)
    s.pass_time(1)
    assert s.row(110).count("b") == 10


def test_a_single_server_is_none_of_its_business(scene):
    s = scene({"slow_start": 10.0})
    assert isinstance(s.upstream.policy, RoundRobin)
    s.put(0, READY_AT, s.now)
    assert s.row(3) == "aaa"


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=2, max_size=5))
def test_after_the_ramp_the_sequence_is_nginx_own(new_scene, weights):
    plain = new_scene([{"weight": weight} for weight in weights])
    slow = new_scene([{"weight": weight, "slow_start": 5.0} for weight in weights])
    try:
        assert slow.row(40) == plain.row(40)
        reloaded, before = slow.worker(0, slow.upstream), plain.worker(0, plain.upstream)
        assert slow.row(20, upstream=reloaded) == plain.row(20, upstream=before)
        assert slow.row(9, upstream=slow.worker(3)) == plain.row(9, upstream=plain.worker(3))
    finally:
        plain.close()
        slow.close()


def test_least_conn_leaves_most_of_the_ties_to_the_others(scene):
    s = scene({"slow_start": 10.0}, {"slow_start": 10.0}, policy="least_conn")
    assert isinstance(s.upstream.policy, RampedLeastConn)
    s.put(1, HIT_AT, s.now)
    s.pass_time(1)
    assert s.row(110).count("b") == 10


def test_least_conn_counts_connections_by_the_ramp(scene):
    s = scene({"slow_start": 10.0}, {"slow_start": 10.0}, policy="least_conn")
    s.put(1, HIT_AT, s.now)
    s.pass_time(5)  # half of the way: its one connection counts as two
    s.cells[s.board.column(s.board.slot(0), CONNS, 0)] = 1
    s.cells[s.board.column(s.board.slot(1), CONNS, 0)] = 1
    assert s.row(3) == "aaa"


@pytest.mark.parametrize("policy", ["round_robin", "least_conn"])
def test_without_it_nothing_is_different(scene, policy):
    s = scene({}, {}, policy=policy)
    assert type(s.upstream.policy) in (RoundRobin, LeastConn)
