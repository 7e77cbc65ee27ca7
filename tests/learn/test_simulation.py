"""The simulation: shares, failures and waiting are what the real policies make of them."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gapura.balance.server import Server
from gapura.learn.scenario import POLICIES, Fault, Scenario
from gapura.learn.simulation import BEGIN, SECOND, Request, Result, Simulation, play, quantile

SMALL = Scenario(requests=600, rate=60.0)


def one(scenario: Scenario, policy: str = "round_robin") -> Result:
    return play(scenario, (policy,))[0]


class Watched(Simulation):
    """Keeps when which server was picked, in seconds."""

    def __init__(self, scenario: Scenario, policy: str) -> None:
        super().__init__(scenario, policy)
        self.picked: list[tuple[float, int]] = []

    def _claim(self, request: Request) -> Server | None:
        server = super()._claim(request)
        if server is not None:
            self.picked.append(((self.now - BEGIN) / SECOND, server.index))
        return server


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=6).map(tuple), st.integers(0, 99))
def test_weighted_round_robin_shares_are_exact(weights: tuple[int, ...], seed: int) -> None:
    rounds = 20
    scenario = Scenario(weights=weights, cores=weights, requests=sum(weights) * rounds, seed=seed)
    assert [part.answered for part in one(scenario).servers] == [weight * rounds for weight in weights]


@pytest.mark.parametrize("policy", POLICIES)
def test_the_same_seed_gives_the_same_result(policy: str) -> None:
    scenario = replace(SMALL, slow={1: 3.0}, faults=(Fault(2, 3.0, 6.0), Fault(0, 5.0, hung=True)))
    assert one(scenario, policy) == one(scenario, policy)
    assert one(scenario, policy) != one(replace(scenario, seed=2), policy)


@pytest.mark.parametrize("policy", POLICIES)
def test_every_request_is_answered_once_or_is_an_error(policy: str) -> None:
    scenario = replace(SMALL, faults=tuple(Fault(number, 3.0, 8.0) for number in range(4)), checks=False)
    result = one(scenario, policy)
    assert sum(part.answered for part in result.servers) + result.errors == scenario.requests
    assert result.errors


@pytest.mark.parametrize("policy", POLICIES)
def test_a_visitor_does_not_see_that_one_server_dies(policy: str) -> None:
    result = one(replace(SMALL, faults=(Fault(2, 3.0),)), policy)
    assert result.errors == 0
    assert result.retried >= 1


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("checks", [True, False])
def test_a_dead_server_is_probed_at_most_once_in_each_fail_timeout(policy: str, checks: bool) -> None:
    scenario = Scenario(requests=3000, rate=100.0, faults=(Fault(2, 5.0),), fail_timeout=4.0, checks=checks)
    watched = Watched(scenario, policy)
    watched.play()
    after = [moment for moment, server in watched.picked if server == 2 and moment > 5.0]
    assert all(later - earlier >= 4.0 for earlier, later in itertools.pairwise(after))
    assert len(after) <= (1 if checks else 7)


def test_without_another_try_each_failure_is_an_error() -> None:
    scenario = replace(SMALL, faults=(Fault(2, 3.0),), retries=False, checks=False, fail_timeout=1.0)
    result = one(scenario)
    assert result.errors == sum(part.failed for part in result.servers) > 1
    assert result.retried == 0


def test_health_checks_bring_a_server_back_before_fail_timeout() -> None:
    fault = replace(SMALL, faults=(Fault(2, 2.0, 3.0),), fail_timeout=60.0)
    assert one(fault).servers[2].answered > one(replace(fault, checks=False)).servers[2].answered * 2


def test_health_checks_end_the_darkness_after_all_have_died() -> None:
    dark = replace(SMALL, faults=tuple(Fault(number, 2.0, 4.0) for number in range(4)))
    assert one(dark).errors == 0
    assert one(replace(dark, checks=False)).errors > 0


def test_health_checks_find_a_server_that_hangs() -> None:
    hanging = replace(SMALL, faults=(Fault(2, 3.0, hung=True),))
    assert one(hanging).longest < 5.0
    assert one(replace(hanging, checks=False)).longest > 59.0, "until read_timeout"
    assert one(replace(hanging, checks=False)).errors == 0


def test_a_lone_server_that_hangs_ends_in_errors() -> None:
    lone = Scenario(weights=(1,), cores=(1,), requests=50, rate=50.0, faults=(Fault(0, 0.5, hung=True),))
    for checks in (True, False):
        result = one(replace(lone, checks=checks))
        assert result.errors + result.servers[0].answered == 50
        assert result.errors


def test_a_slow_server_gets_less_from_policies_that_look() -> None:
    slow = Scenario(slow={1: 3.0})
    blind, looking = one(slow), one(slow, "least_conn")
    assert blind.servers[1].share == 0.25
    assert looking.servers[1].share < 0.2
    assert looking.p99 < blind.p99 / 10


def test_visitors_come_from_all_over() -> None:
    """Neighbouring networks fall on the same server by ip_hash, which would tell nothing of it."""
    shares = [part.share for part in one(Scenario(weights=(1,) * 10, cores=(1,) * 10, clients=1000), "ip_hash").servers]
    assert min(shares) > 0.05


def test_the_course_tells_when_a_server_was_used() -> None:
    course = one(Scenario(faults=(Fault(2, 10.0),))).servers[2].course
    assert all(course[:23])
    assert not any(course[26:])


@pytest.mark.parametrize(
    ("times", "part", "expected"),
    [([], 0.5, 0), ([7], 0.99, 7), ([1, 2], 0.5, 1), (list(range(1, 101)), 0.99, 99), ([1, 2], 1.0, 2)],
)
def test_quantiles_are_nearest_ranks(times: list[int], part: float, expected: int) -> None:
    assert quantile([time * SECOND for time in times], part) == expected
