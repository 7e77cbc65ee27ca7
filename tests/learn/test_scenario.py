"""Scenarios: what people may write, and what not."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gapura.learn.scenario import Fault, Scenario, ScenarioError, faults, numbers, slow_servers


def test_what_people_write() -> None:
    assert numbers("3,1, 1,1", 4, "weights") == (3, 1, 1, 1)
    assert numbers("2", 3, "weights") == (2, 2, 2)
    assert slow_servers(("2", "3x1.5")) == {1: 3.0, 2: 1.5}
    assert faults(("3@10s", "1@2.5-4s")) == (Fault(2, 10.0), Fault(0, 2.5, 4.0))
    assert faults(("1@3s,2@4s",), hung=True) == (Fault(0, 3.0, None, True), Fault(1, 4.0, None, True))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: numbers("3,x", 2, "weights"), "no numbers from 1 to"),
        (lambda: numbers("0", 2, "weights"), "no numbers from 1 to"),
        (lambda: numbers("", 2, "weights"), "no numbers from 1 to"),
        (lambda: numbers("1,2,3", 2, "weights"), "2 servers, but 3 weights"),
        (lambda: numbers("９", 1, "weights"), "no numbers from 1 to"),
        (lambda: slow_servers(("x",)), "no slow server"),
        (lambda: slow_servers(("2x0.5",)), "no slow server"),
        (lambda: slow_servers(("2x9999",)), "no slow server"),
        (lambda: faults(("3",)), "no failure"),
        (lambda: faults(("3@-1",)), "no failure"),
        (lambda: faults(("3@1m",)), "no failure"),
        (lambda: Scenario(weights=()), "1 to 26 servers"),
        (lambda: Scenario(weights=(1,) * 27, cores=(1,) * 27), "1 to 26 servers"),
        (lambda: Scenario(weights=(1, 1)), "2 servers, but 4 numbers of cores"),
        (lambda: Scenario(slow={4: 2.0}), "no server 5"),
        (lambda: Scenario(slow={-1: 2.0}), "no server 0"),
        (lambda: Scenario(faults=(Fault(7, 1.0),)), "no server 8"),
        (lambda: Scenario(faults=(Fault(0, 5.0, 5.0),)), "would be back at 5 s"),
    ],
)
def test_what_cannot_be_played(make: Callable[[], object], said: str) -> None:
    with pytest.raises(ScenarioError, match=said):
        make()
