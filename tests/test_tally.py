"""The tally: exact over all columns, bounded in memory, fair when there are too many, right when a worker dies."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapura import tally as t
from gapura.tally import Tally

SECOND = 1_000_000_000


class Crowd:
    """Workers with a column each on one tally."""

    def __init__(self, columns):
        self.first = Tally.create()
        self.columns = columns
        self.workers = [Tally(self.first.fd, column) for column in range(columns)]
        self.now = 1_000 * SECOND

    def ask(self, worker, key=7, interval=SECOND // 10, burst=5):
        """Whether a request is let through."""
        tally = self.workers[worker]
        reading = tally.read(key, interval, self.now, self.columns)
        if reading.backlog > burst * interval:
            return False
        tally.charge(key, interval, burst, self.now, self.columns, reading)
        return True

    def close(self):
        for tally in (self.first, *self.workers):
            tally.close()
        os.close(self.first.fd)


@pytest.fixture
def crowd():
    made = []

    def make(columns=2):
        made.append(Crowd(columns))
        return made[-1]

    yield make
    for item in made:
        item.close()


def test_the_first_and_its_burst_pass_whoever_counts_them(crowd):
    crowd = crowd(3)
    assert [crowd.ask(number % 3) for number in range(8)] == [True] * 6 + [False] * 2


def test_one_place_for_each_interval(crowd):
    crowd = crowd(2)
    while crowd.ask(0):
        pass
    passed = 0
    for _ in range(1000):
        crowd.now += SECOND // 100
        passed += crowd.ask(passed % 2)
    assert passed == 100


def test_refusals_cost_nothing(crowd):
    crowd = crowd()
    for _ in range(1000):
        crowd.ask(1, burst=0)
    crowd.now += SECOND // 10
    assert crowd.ask(0, burst=0)


def test_keys_do_not_share(crowd):
    crowd = crowd()
    assert [crowd.ask(0, key, burst=0) for key in (1, 1 + t.RATE_SETS, 2)] == [True] * 3


def test_a_clock_that_lags_in_another_worker_gives_nothing_away(crowd):
    crowd = crowd(2)
    while crowd.ask(0):
        pass
    crowd.now -= 5 * SECOND
    assert not crowd.ask(1)


steps = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3 * SECOND // 10)), max_size=120)


@given(steps, st.integers(0, 10), st.integers(1, 4))
def test_it_is_the_leaking_bucket_of_one_counter(moves, burst, columns):
    """Over any number of workers, step by step the same decisions as one bucket (nginx: limit_req) that sees all requests."""
    crowd = Crowd(columns)
    interval = SECOND // 10
    held, last = 0, None
    try:
        for worker, pause in moves:
            crowd.now += pause
            held = 0 if last is None else max(0, held - (crowd.now - last))
            last = crowd.now
            expected = held <= burst * interval
            assert crowd.ask(worker % columns, interval=interval, burst=burst) == expected
            if expected:
                held += interval
    finally:
        crowd.close()


@given(st.lists(st.tuples(st.sets(st.integers(0, 3), min_size=1), st.integers(0, SECOND // 2)), max_size=60), st.integers(0, 6))
def test_workers_that_decide_in_the_same_instant_overshoot_by_one_each(moves, burst):
    """Any of the workers reads before any of the others has written: never more than rate × time + burst + 1 + the others."""
    crowd = Crowd(4)
    interval = SECOND // 10
    start, passed = crowd.now, []
    try:
        for workers, pause in moves:
            crowd.now += pause
            read = [(crowd.workers[w], crowd.workers[w].read(7, interval, crowd.now, 4)) for w in sorted(workers)]
            for tally, reading in read:
                if reading.backlog <= burst * interval:
                    tally.charge(7, interval, burst, crowd.now, 4, reading)
                    passed.append(crowd.now)
            for since in {start, *passed}:
                within = sum(at >= since for at in passed)
                assert within <= (crowd.now - since) / interval + burst + 1 + 3
    finally:
        crowd.close()


def test_a_flood_of_keys_pushes_out_its_own_kind(crowd):
    """65,536 places; whoever is over the limit stays known while a hundred thousand others ask once."""
    crowd = crowd(2)
    while crowd.ask(0, key=99, interval=60 * SECOND):
        pass
    for number in range(100_000):
        assert crowd.ask(0, key=1000 + number * 7919, interval=60 * SECOND)
    assert crowd.workers[0].forgotten > 0
    assert not crowd.ask(0, key=99, interval=60 * SECOND)
    assert not crowd.ask(1, key=99, interval=60 * SECOND)


def test_an_empty_bucket_makes_room_without_a_word(crowd):
    crowd = crowd(1)
    for number in range(t.WAYS):
        crowd.ask(0, key=5 + number * t.RATE_SETS)
    crowd.now += SECOND
    assert crowd.ask(0, key=5 + 100 * t.RATE_SETS)
    assert crowd.workers[0].forgotten == 0


def test_at_most_so_many_under_way_over_all_workers(crowd):
    crowd = crowd(2)
    one, two = crowd.workers
    assert [one.enter(7, 3, 2), two.enter(7, 3, 2), one.enter(7, 3, 2), two.enter(7, 3, 2)] == [True, True, True, False]
    two.leave(7)
    assert [one.enter(7, 3, 2), one.enter(7, 3, 2)] == [True, False]


def test_more_clients_than_places_are_still_counted_by_their_worker(crowd):
    crowd = crowd(1)
    (one,) = crowd.workers
    keys = [3 + number * t.BUSY_SETS for number in range(t.WAYS + 2)]
    assert all(one.enter(key, 1, 1) for key in keys)
    assert not any(one.enter(key, 1, 1) for key in keys)
    for key in keys:
        one.leave(key)
    assert all(one.enter(key, 1, 1) for key in keys)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 1), st.integers(1, 12)), max_size=80))
def test_what_entered_and_left_adds_up(moves):
    crowd = Crowd(2)
    under_way = []
    try:
        for enters, worker, number in moves:
            key = number * t.BUSY_SETS + 1
            if enters:
                if crowd.workers[worker].enter(key, 100, 2):
                    under_way.append((worker, key))
            elif under_way:
                left = under_way.pop(number % len(under_way))
                crowd.workers[left[0]].leave(left[1])
        for worker, key in under_way:
            crowd.workers[worker].leave(key)
        assert not any(crowd.first.cells[t.BUSY_START : t.BUSY_START + 2 * t.BUSY_COLUMN])
    finally:
        crowd.close()


def test_what_a_dead_worker_had_under_way_is_forgotten_what_it_let_through_is_not(crowd):
    crowd = crowd(2)
    one, two = crowd.workers
    one.enter(7, 1, 2)
    while crowd.ask(0):
        pass
    crowd.first.clear_column(0)
    assert two.enter(7, 1, 2)
    assert not crowd.ask(1)
    assert not one.enter(7, 1, 2)


def test_leaving_twice_does_no_harm(crowd):
    (one,) = crowd(1).workers
    one.leave(7)
    assert one.enter(7, 1, 1)


def test_keys_are_secret_and_zones_apart():
    one, two = Tally.create(), Tally.create()
    try:
        assert one.key(one.zone("a"), b"x") != two.key(two.zone("a"), b"x")
        assert one.key(one.zone("a"), b"x") != one.key(one.zone("b"), b"x")
        assert one.key(one.zone("a"), b"x") == one.key(one.zone("a"), b"x")
        assert one.key(one.zone("a"), b"x" * 100_000)
    finally:
        for tally in (one, two):
            tally.close()
            os.close(tally.fd)


def test_a_new_tally_costs_next_to_nothing():
    tally = Tally.create()
    try:
        assert os.fstat(tally.fd).st_blocks * 512 <= 8192
    finally:
        tally.close()
        os.close(tally.fd)


def test_something_else_is_refused():
    fd = os.memfd_create("other")
    os.ftruncate(fd, t.SIZE)
    try:
        with pytest.raises(ValueError, match="not a tally"):
            Tally(fd)
    finally:
        os.close(fd)


ASKER = """
import sys, time
from gapura.tally import Tally
tally = Tally(int(sys.argv[1]), int(sys.argv[2]))
print("ready", flush=True)
sys.stdin.readline()
passed = 0
until = time.monotonic_ns() + 400_000_000
while (now := time.monotonic_ns()) < until:
    reading = tally.read(7, 10_000_000, now, 3)
    if reading.backlog <= 20 * 10_000_000:
        tally.charge(7, 10_000_000, 20, now, 3, reading)
        passed += 1
print(passed, now)
"""


def test_real_processes_at_full_speed_stay_within_the_limit():
    """Three processes ask as fast as they can: 100 a second and 21 at once, and two more, for the others, at each moment."""
    tally = Tally.create()

    children = [
        subprocess.Popen(
            [sys.executable, "-P", "-c", ASKER, str(tally.fd), str(column)],
            pass_fds=[tally.fd], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for column in range(3)
    ]  # fmt: skip
    try:
        for child in children:
            assert child.stdout.readline() == "ready\n"
        began = time.monotonic_ns()
        for child in children:
            child.stdin.write("go\n")
            child.stdin.flush()
        answers = [child.communicate(timeout=90)[0].split() for child in children]
    finally:
        for child in children:
            child.kill()
            child.wait()
        tally.close()
        os.close(tally.fd)
    seconds = (max(int(now) for _, now in answers) - began) / SECOND
    passed = sum(int(count) for count, _ in answers)
    assert 21 <= passed <= seconds * 100 + 21 + 2
