"""Claim, release, answered, failed: what workers do to the board and see of each other through it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter, defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gapura.balance.upstream import upstream_of
from gapura.board import (
    ADMIN,
    BACKOFF,
    COLUMNS,
    CONNS,
    CRASHED,
    DISABLED,
    DOWN_AT,
    DRAINING,
    ERRORS,
    FAILED_AT,
    FAILS,
    FIXED,
    HEALTH,
    HIT_AT,
    PER_WORKER,
    READY,
    READY_AT,
    REFUSED,
    RETURNS_AT,
    SERVED,
    SINCE,
    SLOT,
    STARTING,
    STATE,
    STOPPED,
    STOPPING,
    UNHEALTHY,
)

SECOND = 1_000_000_000


def cell(s, number, which, column=0):
    return s.cells[s.board.column(s.board.slot(number), which, column)]


# -- claim and release ------------------------------------------------------------------------------------------------------


def test_claim_counts_in_its_own_column_and_release_takes_back(scene):
    s = scene({}, {}, columns=2)
    other = s.worker(1)
    server = other.claim(s.now)
    slot = server.slot
    assert [cell(s, server.index, CONNS, column) for column in (0, 1)] == [0, 1]
    other.release(server, slot)
    other.release(server, slot)
    assert other.total(server, CONNS) == 0, "a release too many must not wrap around"


def test_backups_only_when_no_primary_can_be_picked(scene):
    s = scene({}, {"backup": True}, {"backup": True})
    a = s.servers[0]
    assert s.row(3) == "aaa"
    assert s.row(2, tried=[a]) == "bc"
    s.put(0, STATE, STOPPED)
    assert s.row(3) == "bcb"
    s.put(0, STATE, READY)
    assert s.row(2) == "aa"


def test_tries_is_every_server_once_but_not_those_down(scene):
    assert scene({}, {"down": True}, {"backup": True}).upstream.tries == 2
    assert scene({}, {}, {}, tries=2).upstream.tries == 2
    assert scene({}, tries=9).upstream.tries == 1
    assert scene().upstream.tries == 1


def test_no_servers_no_claim(scene):
    s = scene()
    assert s.pick() is None
    assert (s.upstream.may_return(s.now), s.upstream.reason(s.now), s.upstream.since(s.now)) == (False, "unresolved", 0)


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_max_conns_holds_across_workers(scene, workers):
    s = scene({"max_conns": 3}, columns=workers)
    upstreams = [s.worker(column) for column in range(workers)]
    claimed = [upstreams[turn % workers].claim(s.now) for turn in range(10)]
    assert [server is not None for server in claimed] == [True] * 3 + [False] * 7
    assert s.upstream.reason(s.now) == "full"
    first = claimed[0]
    upstreams[0].release(first, first.slot)
    assert upstreams[-1].claim(s.now) is not None


def test_max_conns_overshoots_by_workers_minus_one_at_most(scene):
    """All workers look before any of them counts: the worst that can happen."""
    s = scene({"max_conns": 3}, columns=4)
    upstreams = [s.worker(column) for column in range(4)]
    upstreams[0].claim(s.now)
    upstreams[0].claim(s.now)
    seen = [upstream.servers[0].eligible(s.now) for upstream in upstreams]
    for upstream, eligible in zip(upstreams, seen, strict=True):
        if eligible:
            s.cells[s.board.column(s.board.slot(0), CONNS, upstream.column)] += 1
    assert s.upstream.total(s.servers[0], CONNS) == 3 + 4 - 1
    assert not any(upstream.claim(s.now) for upstream in upstreams)


# -- failures -----------------------------------------------------------------------------------------------------------------


def test_max_fails_benches_for_fail_timeout(scene):
    s = scene({"max_fails": 3}, {})
    a = s.servers[0]
    for _ in range(2):
        s.fail(a)
    assert not a.benched(s.now)
    s.fail(a)
    assert a.benched(s.now)
    s.pass_time(9.999)
    assert s.row(3) == "bbb"
    s.pass_time(0.002)
    assert "a" in s.row(2)


def test_failures_add_up_over_workers(scene):
    s = scene({"max_fails": 3}, {}, columns=3)
    for column in range(3):
        upstream = s.worker(column)
        assert upstream.servers[0].eligible(s.now)
        s.fail(upstream.servers[0], upstream)
        s.pass_time(1)
    assert s.servers[0].benched(s.now)


def test_old_columns_are_skipped(scene):
    s = scene({"max_fails": 2}, {}, columns=2)
    s.fail(s.servers[0], s.worker(0))
    s.pass_time(10.001)
    s.fail(s.servers[0], s.worker(1))
    assert not s.servers[0].benched(s.now)
    s.pass_time(10)
    s.fail(s.servers[0], s.worker(0))
    assert s.servers[0].benched(s.now), "exactly fail_timeout ago still counts, as in nginx"


def test_columns_older_than_the_proof_of_life_are_skipped(scene):
    s = scene({"max_fails": 2}, {}, columns=2)
    s.fail(s.servers[0], s.worker(0))
    s.pass_time(1)
    s.put(0, HIT_AT, s.now)
    s.pass_time(1)
    s.fail(s.servers[0], s.worker(1))
    assert not s.servers[0].benched(s.now)


def test_own_failures_before_the_proof_of_life_start_over(scene):
    s = scene({"max_fails": 2}, {})
    s.fail(s.servers[0])
    s.pass_time(1)
    s.put(0, READY_AT, s.now)
    s.pass_time(1)
    s.fail(s.servers[0])
    assert cell(s, 0, FAILS) == 1


@pytest.mark.parametrize("proof", [READY_AT, HIT_AT])
def test_failures_of_connections_older_than_the_proof_do_not_count(scene, proof):
    s = scene({}, {})
    opened_at = s.now
    s.pass_time(1)
    s.put(0, proof, s.now)
    s.pass_time(1)
    s.fail(s.servers[0], opened_at=opened_at)
    assert (cell(s, 0, FAILS), cell(s, 0, ERRORS), s.get(0, DOWN_AT)) == (0, 1, 0)
    assert s.servers[0].effective == 1


def test_success_inside_the_window_does_not_clear_the_count(scene):
    s = scene({"max_fails": 2}, {})
    a = s.servers[0]
    s.fail(a)
    s.pass_time(5)
    s.answer(a)
    s.pass_time(4)
    s.fail(a)
    assert a.benched(s.now)


def test_success_after_the_window_clears_it(scene):
    s = scene({"max_fails": 2}, {})
    a = s.servers[0]
    s.fail(a)
    s.pass_time(10.5)
    s.answer(a)
    s.fail(a)
    assert not a.benched(s.now)


def test_max_fails_zero_counts_errors_only(scene):
    s = scene({"max_fails": 0}, {})
    for _ in range(5):
        s.fail(s.servers[0])
    assert (cell(s, 0, ERRORS), cell(s, 0, FAILS), s.get(0, DOWN_AT)) == (5, 0, 0)


@pytest.mark.parametrize("settings", [{}, {"slots_each": 2}])
def test_a_single_server_is_never_benched(scene, settings):
    s = scene({"id": "app:0"}, **settings)
    s.fail(s.servers[0])
    assert s.pick() is s.servers[0]
    s.put(0, DOWN_AT, s.now)
    assert s.pick() is s.servers[0], "nor by a mark from when it was one of several"


def test_one_primary_with_a_backup_is_not_single(scene):
    s = scene({}, {"backup": True})
    s.fail(s.servers[0])
    assert s.row(2) == "bb"


@pytest.mark.parametrize("refused", [True, False])
@pytest.mark.parametrize("parity", [0, 1])
def test_the_lowest_bit_tells_refused(scene, refused, parity):
    s = scene({}, {})
    s.now += parity
    s.fail(s.servers[0], refused=refused)
    assert s.get(0, DOWN_AT) & REFUSED == refused
    assert s.get(0, DOWN_AT) | 1 == s.now | 1


# -- the probe ------------------------------------------------------------------------------------------------------------------


def benched_and_over(s):
    s.fail(s.servers[0], refused=True)
    s.pass_time(10.5)
    return s.servers[0]


def test_after_the_pause_one_request_probes_and_the_others_skip(scene):
    s = scene({}, {}, columns=2)
    other = s.worker(1)
    a = benched_and_over(s)
    assert s.upstream.claim(s.now, tried=[s.servers[1]]) is a
    assert s.get(0, DOWN_AT) | 1 == s.now | 1
    assert s.get(0, DOWN_AT) & REFUSED
    s.pass_time(1)
    assert s.row(3) == s.row(3, upstream=other) == "bbb"


def test_the_probes_success_brings_it_back_for_all_workers(scene):
    s = scene({}, {}, columns=2)
    other = s.worker(1)
    a = benched_and_over(s)
    s.upstream.claim(s.now, tried=[s.servers[1]])
    s.pass_time(0.2)
    s.answer(a)
    assert s.get(0, DOWN_AT) == 0
    assert sorted(s.row(2)) == sorted(s.row(2, upstream=other)) == ["a", "b"]


def test_the_probes_failure_benches_at_once_whatever_max_fails(scene):
    s = scene({"max_fails": 3}, {}, columns=2)
    a = s.servers[0]
    for _ in range(3):
        s.fail(a)
    s.pass_time(10.5)
    prober = s.worker(1)
    assert prober.claim(s.now, tried=[prober.servers[1]]).id == a.id
    s.pass_time(0.2)
    s.fail(prober.servers[0], prober)
    s.pass_time(9.9)
    assert s.row(2) == "bb"


def test_a_probe_that_never_ends_leaves_the_next_after_another_pause(scene):
    s = scene({}, {})
    benched_and_over(s)
    s.upstream.claim(s.now, tried=[s.servers[1]])
    s.pass_time(9.9)
    assert s.row(2) == "bb"
    s.pass_time(0.101)
    assert "a" in s.row(2)


def test_a_late_answer_of_an_older_request_does_not_end_the_pause(scene):
    s = scene({}, {})
    s.fail(s.servers[0])
    s.pass_time(1)
    s.answer(s.servers[0])
    assert s.servers[0].benched(s.now)


def test_an_answer_removes_a_void_mark(scene):
    """So that the usual case costs one read again."""
    s = scene({}, {})
    s.fail(s.servers[0])
    s.pass_time(1)
    s.put(0, HIT_AT, s.now)
    assert s.servers[0].eligible(s.now)
    s.answer(s.servers[0])
    assert s.get(0, DOWN_AT) == 0


# -- counters -------------------------------------------------------------------------------------------------------------------


def test_answers_are_counted_at_once_and_noted_for_who_wants_them(scene):
    s = scene({})
    s.answer(s.servers[0])
    assert cell(s, 0, SERVED) == 1
    answers = defaultdict(list)
    upstream = upstream_of(s.plan, s.board, 0, None, answers)
    upstream.answered(upstream.servers[0], upstream.servers[0].slot, s.now, s.now, 3_000_000, 404)
    assert cell(s, 0, SERVED) == 2
    assert answers == {s.board.slot(0): [(404, 3_000_000)]}


# -- who may write what -----------------------------------------------------------------------------------------------------------

ACTIONS = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from(["claim", "release", "answer", "fail", "ask"]), st.integers(0, 9)), max_size=40
)


@settings(max_examples=60, deadline=None)
@given(actions=ACTIONS)
def test_a_worker_writes_its_own_column_and_down_at_alone(new_scene, actions):
    s = new_scene([{"max_fails": 2}, {"max_conns": 3}, {"backup": True}], columns=3)
    start = s.board.slot(0)
    workers = [s.worker(column) for column in range(3)]
    open_: dict[int, list] = {0: [], 1: [], 2: []}
    try:
        for column, action, number in actions:
            upstream = workers[column]
            before = s.cells[start : start + 3 * SLOT].tolist()
            s.pass_time(number)
            held = open_[column]
            if action == "claim":
                server = upstream.claim(s.now)
                if server:
                    held.append((server, server.slot))
            elif action == "ask":
                upstream.may_return(s.now), upstream.reason(s.now), upstream.since(s.now)
            elif held:
                server, slot = held[number % len(held)]
                if action == "release":
                    held.remove((server, slot))
                    upstream.release(server, slot)
                elif action == "answer":
                    upstream.answered(server, slot, s.now, s.now, 1000)
                else:
                    upstream.failed(server, slot, s.now, s.now, number % 2 == 0)
            after = s.cells[start : start + 3 * SLOT].tolist()
            mine = {DOWN_AT} | {FIXED + which * COLUMNS + column for which in range(PER_WORKER)}
            assert {at % SLOT for at, (old, new) in enumerate(zip(before, after, strict=True)) if old != new} <= mine
        for column, held in open_.items():
            assert sum(cell(s, number, CONNS, column) for number in range(3)) == len(held)
    finally:
        s.close()


# -- what to tell a visitor -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cells", "returns", "reason"),
    [
        ({}, True, "up"),
        ({STATE: STARTING}, True, "starting"),
        ({STATE: STOPPING}, True, "stopping"),
        ({STATE: BACKOFF, RETURNS_AT: 1003}, True, "backoff"),
        ({STATE: BACKOFF, RETURNS_AT: 1004}, False, "backoff"),
        ({STATE: STOPPED}, False, "stopped"),
        ({STATE: CRASHED}, False, "crashed"),
        ({STATE: 0}, True, "free"),
        ({ADMIN: DRAINING}, True, "draining"),
        ({ADMIN: DISABLED}, False, "disabled"),
        ({HEALTH: UNHEALTHY}, True, "unhealthy"),
    ],
)
def test_whether_an_instance_may_return(scene, cells, returns, reason):
    s = scene({"id": "app:0"}, {"id": "app:1", "down": True}, slots_each=2)
    for which, value in cells.items():
        s.put(0, which, value * SECOND if value > 900 else value)
    assert (s.upstream.may_return(s.now), s.upstream.reason(s.now)) == (returns, reason)


def test_a_drained_address_does_not_come_back_by_itself(scene):
    s = scene({})
    s.put(0, ADMIN, DRAINING)
    assert not s.upstream.may_return(s.now)


def test_benched_and_full_may_return(scene):
    s = scene({}, {"max_conns": 1})
    s.fail(s.servers[0])
    assert s.upstream.claim(s.now).id == "b:1"
    assert s.upstream.claim(s.now) is None
    assert s.upstream.may_return(s.now)
    assert s.upstream.reason(s.now) == "full"


def test_the_most_hopeful_server_gives_the_reason(scene):
    s = scene({"id": "app:0"}, {"id": "app:1"}, slots_each=2)
    s.put(0, STATE, CRASHED)
    s.put(2, STATE, STARTING)
    assert s.upstream.reason(s.now) == "starting"


def test_since_the_last_server_left(scene):
    s = scene({"id": "app:0"}, {"id": "app:1"}, slots_each=2)
    assert s.upstream.since(s.now) == 0
    s.put(0, STATE, STOPPED)
    s.put(0, SINCE, s.now - 60 * SECOND)
    assert s.upstream.since(s.now) == 0, "one server can answer"
    s.put(2, STATE, CRASHED)
    s.put(2, SINCE, s.now - 5 * SECOND)
    assert s.upstream.since(s.now) == 5 * SECOND


# -- reload and several workers ---------------------------------------------------------------------------------------------------


def test_workers_start_at_different_positions(scene):
    s = scene({"weight": 5}, {}, {})
    assert [s.row(7, upstream=s.worker(column)) for column in range(4)] == ["aabacaa", "abacaaa", "bacaaaa", "acaaaab"]


def test_a_reload_carries_the_rotation_on(scene):
    s = scene({"weight": 5}, {}, {})
    whole = s.row(4) + s.row(10, upstream=s.worker(0, previous=s.upstream))
    assert whole == "aabacaa" * 2


def test_shares_hold_through_two_workers_and_reloads(scene):
    s = scene({"weight": 2}, {"weight": 1}, columns=2)
    upstreams = [s.worker(0), s.worker(1)]
    picked = Counter()
    for turn in range(3000):
        if turn % 150 == 149:
            upstreams = [s.worker(column, previous) for column, previous in enumerate(upstreams)]
        picked[s.row(1, upstream=upstreams[turn * 7 % 3 % 2])] += 1
    assert picked["a"] == pytest.approx(2000, rel=0.01)
    assert picked["b"] == pytest.approx(1000, rel=0.01)


def test_large_weights_that_become_small_leave_no_long_row(scene):
    heavy = scene({"weight": 1000}, {"weight": 1}, {"weight": 1})
    heavy.row(700)
    light = scene({"weight": 1}, {"weight": 1}, {"weight": 1})
    after = light.row(30, upstream=light.worker(0, previous=heavy.upstream))
    assert all(8 <= after.count(letter) <= 12 for letter in "abc")


def test_a_penalty_survives_the_reload(scene):
    s = scene({"weight": 6, "max_fails": 2}, {})
    s.fail(s.servers[0])
    assert s.worker(0, previous=s.upstream).servers[0].effective == 3


def test_new_servers_join_and_old_ones_leave(scene):
    s = scene({}, {})
    s.row(1)
    wider = scene({}, {}, {})
    assert sorted(wider.row(3, upstream=wider.worker(0, previous=s.upstream))) == ["a", "b", "c"]
    narrow = scene({"id": "b:1"})
    assert narrow.row(2, upstream=narrow.worker(0, previous=s.upstream)) == "bb"


OTHER_WORKER = """
import json, sys
from gapura.balance.upstream import Upstream
from gapura.board import Board
fd, plan, now = int(sys.argv[1]), json.loads(sys.argv[2]), int(sys.argv[3])
upstream = Upstream(plan, Board(fd), 1)
server = next(s for s in upstream.servers if s.id == "a:1")
server.eligible(now)
print(server.eligible(now), upstream.board.total(server.slot, 0), flush=True)
upstream.failed(server, server.slot, now, now, True)
for _ in range(1000):
    claimed = upstream.claim(now)
    upstream.answered(claimed, claimed.slot, now, now, 5)
"""


def test_two_processes_share_a_board_by_its_descriptor(scene):
    s = scene({"max_fails": 2}, {}, columns=2)
    a = s.upstream.claim(s.now)
    assert a.id == "a:1"
    s.fail(a)
    done = subprocess.run(
        [sys.executable, "-P", "-c", OTHER_WORKER, str(s.board.fd), json.dumps(s.plan), str(s.now)],
        pass_fds=[s.board.fd],
        capture_output=True,
        text=True,
        timeout=90,
        check=True,
        env={"PATH": os.environ["PATH"]},
    )
    assert done.stdout.split() == ["True", "1"]
    assert a.benched(s.now), "one failure here and one there reach max_fails = 2"
    b = s.servers[1]
    assert (s.upstream.total(b, SERVED), s.upstream.total(b, CONNS)) == (1000, 1000)
    assert cell(s, 0, FAILED_AT, 1) == s.now
