"""What looks at the board and verdicts of checks change in a server's health. No sockets, and a clock that the tests turn."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from typing import Any, cast

import pytest

from gapura.board import (
    ADMIN,
    BACKOFF,
    DISABLED,
    DOWN_AT,
    HEALTH,
    HEALTHY,
    HIT_AT,
    PORT,
    READY,
    READY_AT,
    REFUSED,
    SERVED,
    SIZE,
    STATE,
    UNHEALTHY,
    Board,
)
from gapura.config.plan import HealthPlan, ServerPlan, UpstreamPlan
from gapura.control.check import Check
from gapura.control.watch import BESIDE, Watch

MS = 1_000_000
S = 1000 * MS
START = 1000 * S

HEALTH_PLAN: HealthPlan = {
    "path": "/",
    "host": "alvin.xyz",
    "interval": 1.0,
    "timeout": 1.0,
    "misses": 2,
    "hits": 1,
    "fast_interval": 0.2,
}


def server_plan(number: int, **words: Any) -> ServerPlan:
    plan = {
        "id": f"10.0.0.{number}:3000",
        "host": f"10.0.0.{number}",
        "port": 3000,
        "path": "",
        "name": "",
        "weight": 1,
        "max_fails": 1,
        "fail_timeout": 10.0,
        "max_conns": 0,
        "backup": False,
        "down": False,
        "slots": [number],
    }
    return cast(ServerPlan, plan | words)


class Bench:
    """An upstream of two servers on a real board, watched, with a clock that stands until it is turned."""

    def __init__(self, app: bool = False, **health: Any) -> None:
        self.board = Board.create(1)
        self.cells = self.board.cells
        self.cells[3] = 1  # one worker column is in use
        self.now = START
        self.servers = [server_plan(0), server_plan(1)]
        plan = cast(HealthPlan, HEALTH_PLAN | health)
        upstream = cast(UpstreamPlan, {"name": "api", "app": app, "servers": self.servers, "health": plan, "tls": None})
        self.watches = []
        for number, server in enumerate(self.servers):
            at = self.board.slot(number)
            self.cells[at + STATE] = READY
            self.cells[at + READY_AT] = START - S
            self.watches.append(Watch(self.board, upstream, plan, server, number, START))
        first, second = self.watches
        first.peers, second.peers = [second], [first]
        self.first, self.second = first, second

    def cell(self, cell: int, watch: Watch | None = None) -> int:
        return int(self.cells[(watch or self.first).offset + cell])

    def put(self, cell: int, value: int, watch: Watch | None = None) -> None:
        self.cells[(watch or self.first).offset + cell] = value

    def serve(self, watch: Watch | None = None) -> None:
        """A worker counts an answer of the server."""
        self.cells[self.board.column((watch or self.first).offset, SERVED, 0)] += 1

    def check(self, watch: Watch | None = None, connected: bool = True) -> Check:
        """A check that begins now."""
        watch = watch or self.first
        check = Check(cast(Any, None), self.now, lambda _: None)
        check.connected = connected
        watch.under_way.append(check)
        return check

    def end(self, check: Check, status: int = 0, watch: Watch | None = None) -> None:
        """The check comes to its verdict now."""
        check.status, check.reason = status, "" if status else "connection refused"
        (watch or self.first).judge(check, self.now)

    def probe(self, status: int, watch: Watch | None = None) -> None:
        """A check begins and ends a millisecond later."""
        check = self.check(watch)
        self.now += MS
        self.end(check, status, watch)

    def close(self) -> None:
        self.board.close()
        os.close(self.board.fd)


@pytest.fixture
def bench() -> Iterator[Bench]:
    one = Bench()
    yield one
    one.close()


def begins(watch: Watch, start: int, end: int, step: int = 10 * MS) -> list[int]:
    """When checks begin between two times, in ms after `start`, if none of them is ever answered."""
    found = []
    for now in range(start, end, step):
        if watch.look(now):
            found.append((now - start) // MS)
            check = Check(cast(Any, None), now, lambda _: None)
            check.connected = True
            watch.under_way.append(check)
    return found


@pytest.mark.parametrize("status", [200, 204, 301, 404, 499, 101])
def test_any_answer_below_500_is_a_hit(bench: Bench, status: int) -> None:
    for _ in range(3):
        bench.probe(status)
    assert bench.cell(HEALTH) == HEALTHY


@pytest.mark.parametrize("status", [500, 503, 599, 0])
def test_two_misses_take_a_server_out_and_one_hit_brings_it_back(bench: Bench, status: int) -> None:
    bench.probe(status)
    assert bench.cell(HEALTH) == HEALTHY
    bench.probe(status)
    assert bench.cell(HEALTH) == UNHEALTHY
    assert bench.cell(HIT_AT) == 0
    bench.probe(200)
    assert bench.cell(HEALTH) == HEALTHY
    assert bench.cell(HIT_AT) == bench.now


def test_misses_count_in_a_row_only(bench: Bench) -> None:
    for _ in range(4):
        bench.probe(0)
        bench.probe(200)
    assert bench.cell(HEALTH) == HEALTHY


def test_so_many_hits_as_the_plan_says() -> None:
    bench = Bench(hits=3, misses=1)
    bench.probe(0)
    health = []
    for _ in range(3):
        bench.probe(200)
        health.append(bench.cell(HEALTH))
    assert health == [UNHEALTHY, UNHEALTHY, HEALTHY]
    bench.close()


def test_a_server_that_hangs_is_out_within_2_3_seconds() -> None:
    """The worst moment to hang: just after a check was answered, so that the next one begins a whole interval later."""
    bench = Bench()
    watch = bench.first
    assert watch.look(START)
    hang = bench.now = START
    begun = begins(watch, START + 10 * MS, START + 2 * S)
    second = [at + 10 for at in begun][:2]
    assert second[0] == 1000
    assert second[1] - second[0] <= BESIDE // MS + 10
    for check in watch.under_way[:2]:
        bench.now = check.began + S
        bench.end(check)
    assert bench.cell(HEALTH) == UNHEALTHY
    assert bench.now - hang <= 2.3 * S
    bench.close()


def test_a_check_begins_every_interval_while_all_is_well(bench: Bench) -> None:
    times = []
    for now in range(START, START + 5 * S, 10 * MS):
        if bench.first.look(now):
            times.append((now - START) // MS)
            bench.now = now
            bench.probe(200)
    assert times == [0, 1000, 2000, 3000, 4000]


def test_checks_do_not_catch_up_after_a_pause(bench: Bench) -> None:
    assert bench.first.look(START)
    assert bench.first.look(START + 60 * S)
    assert not bench.first.look(START + 60 * S + 10 * MS)


def test_a_server_that_is_out_is_asked_every_fast_interval(bench: Bench) -> None:
    bench.probe(0)
    bench.probe(0)
    times = [now - bench.now for now in range(bench.now, bench.now + S, 10 * MS) if bench.first.look(now)]
    assert {later - sooner for sooner, later in itertools.pairwise(times)} == {200 * MS}


def test_a_hung_server_that_is_out_is_not_flooded_with_connections(bench: Bench) -> None:
    bench.probe(0)
    bench.probe(0)
    assert len(begins(bench.first, bench.now, bench.now + 900 * MS)) == 1
    bench.first.forget()
    bench.check(connected=False)  # a SYN that nobody answers costs the server nothing: another try may be the lucky one
    assert bench.first.look(bench.now + 1100 * MS)


def test_misses_never_take_the_last_eligible_server(bench: Bench) -> None:
    bench.put(STATE, BACKOFF, bench.second)
    for _ in range(5):
        bench.probe(0)
    assert bench.cell(HEALTH) == HEALTHY
    bench.put(STATE, READY, bench.second)
    bench.probe(0)
    assert bench.cell(HEALTH) == UNHEALTHY, "as soon as another one can answer, the next miss takes it out"


@pytest.mark.parametrize(
    ("cell", "value"),
    [(STATE, BACKOFF), (ADMIN, DISABLED), (HEALTH, UNHEALTHY), (DOWN_AT, START)],
)
def test_a_peer_that_is_not_eligible_does_not_count(bench: Bench, cell: int, value: int) -> None:
    bench.put(cell, value, bench.second)
    bench.probe(0)
    bench.probe(0)
    assert bench.cell(HEALTH) == HEALTHY


def test_a_backup_counts_as_a_peer_and_a_server_marked_down_does_not(bench: Bench) -> None:
    bench.servers[1]["down"] = True
    bench.probe(0)
    bench.probe(0)
    assert bench.cell(HEALTH) == HEALTHY
    bench.servers[1]["down"] = False
    bench.servers[1]["backup"] = True
    bench.probe(0)
    assert bench.cell(HEALTH) == UNHEALTHY


def test_an_answer_to_real_traffic_while_a_check_waits_makes_up_for_it(bench: Bench) -> None:
    for _ in range(5):
        check = bench.check()
        bench.now += S
        bench.serve()
        bench.end(check)
    assert bench.cell(HEALTH) == HEALTHY


def test_an_answer_to_real_traffic_brings_a_server_back(bench: Bench) -> None:
    bench.first.look(bench.now)
    bench.probe(0)
    bench.probe(0)
    bench.serve()
    bench.now += 50 * MS
    bench.first.look(bench.now)
    assert bench.cell(HEALTH) == HEALTHY
    assert bench.cell(HIT_AT) == bench.now


def test_counters_cleared_after_a_workers_death_are_no_answer(bench: Bench) -> None:
    bench.serve()
    bench.first.look(bench.now)
    bench.now += MS
    bench.probe(0)
    bench.probe(0)
    bench.cells[bench.board.column(bench.first.offset, SERVED, 0)] = 0
    bench.first.look(bench.now)
    assert bench.cell(HEALTH) == UNHEALTHY


def test_a_hit_lifts_the_bench_of_a_refused_connection_at_once(bench: Bench) -> None:
    bench.put(DOWN_AT, bench.now | REFUSED)
    bench.now += MS
    bench.probe(200)
    assert bench.cell(HIT_AT) == bench.now
    again = bench.now
    bench.probe(200)
    assert bench.cell(HIT_AT) == again, "written once"


def test_a_hit_does_not_lift_the_bench_of_a_bad_answer(bench: Bench) -> None:
    bench.put(DOWN_AT, bench.now & ~REFUSED)
    bench.now += MS
    bench.probe(200)
    assert bench.cell(HIT_AT) == 0


def test_a_check_begun_before_the_failure_proves_nothing(bench: Bench) -> None:
    check = bench.check()
    bench.now += MS
    bench.put(DOWN_AT, bench.now | REFUSED)
    bench.now += MS
    bench.end(check, 200)
    assert bench.cell(HIT_AT) == 0


def test_a_benched_server_is_asked_at_the_fast_rhythm(bench: Bench) -> None:
    assert bench.first.look(START)
    bench.put(DOWN_AT, START + MS)
    assert not bench.first.look(START + 150 * MS)
    assert bench.first.look(START + 360 * MS)


def test_a_check_begun_before_the_instance_was_ready_does_not_count(bench: Bench) -> None:
    bench.probe(0)
    check = bench.check()
    bench.now += MS
    bench.put(READY_AT, bench.now)
    bench.now += MS
    bench.end(check)
    assert bench.cell(HEALTH) == HEALTHY
    bench.probe(0)
    assert bench.cell(HEALTH) == HEALTHY, "the miss of the process before does not count either"


def test_a_new_process_begins_healthy() -> None:
    bench = Bench(app=True)
    bench.probe(0)
    bench.probe(0)
    assert bench.cell(HEALTH) == UNHEALTHY
    bench.put(STATE, BACKOFF)
    assert not bench.first.look(bench.now)
    assert bench.cell(HEALTH) == HEALTHY
    bench.close()


def test_an_instance_is_asked_only_while_it_is_ready() -> None:
    bench = Bench(app=True)
    bench.put(STATE, BACKOFF)
    assert begins(bench.first, START, START + 3 * S) == []
    bench.put(PORT, 4567)
    bench.put(STATE, READY)
    bench.put(READY_AT, START + 3 * S)
    assert bench.first.look(START + 3 * S + MS)
    assert bench.first.address() == ("10.0.0.0", 4567)
    bench.close()


def test_want_of_descriptors_here_is_not_the_servers_fault(bench: Bench) -> None:
    for _ in range(3):
        check = bench.check()
        check.ours = True
        bench.end(check)
    assert bench.cell(HEALTH) == HEALTHY


def test_only_health_and_hit_at_are_ever_written() -> None:
    """One writer per cell: control owns these two."""
    bench = Bench()
    before = bytes(bench.cells.cast("B")[:SIZE])
    bench.probe(0)
    bench.probe(0)
    bench.probe(200)
    bench.first.look(bench.now + 5 * S)
    changed = {
        offset // 8
        for offset in range(0, SIZE, 8)
        if before[offset : offset + 8] != bytes(bench.cells[offset // 8 : offset // 8 + 1])
    }
    assert changed <= {bench.first.offset + HEALTH, bench.first.offset + HIT_AT}
    bench.close()
