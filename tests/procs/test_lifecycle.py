"""The table of states, back-off, crash loops: an instance's life without a process."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gapura.board import STATES
from gapura.procs import lifecycle
from gapura.procs.lifecycle import BACKOFF, CRASHED, MOVES, READY, STARTING, STOPPED, STOPPING, Lifecycle, delay


def ready(now: float = 0.0, **settings: int) -> Lifecycle:
    life = Lifecycle(bool(settings.get("autorestart", True)), settings.get("max_restarts", 0))
    life.start_asked(now)
    life.launched(now)
    life.became_ready(now)
    return life


def crash(life: Lifecycle, now: float) -> float | None:
    """Launch when due and crash at once."""
    life.launched(now)
    return life.exited(now)


def test_the_states_are_those_of_the_board() -> None:
    assert set(MOVES) == set(STATES) - {"free"}


def test_start_launch_ready() -> None:
    life = Lifecycle(True, 0)
    assert (life.state, life.since, life.restarts) == (STOPPED, 0.0, 0)
    assert life.start_asked(1.0)
    assert (life.state, life.returns_at) == (BACKOFF, 1.0)  # it may return, so requests wait for it
    life.launched(1.5)
    assert (life.state, life.since, life.returns_at) == (STARTING, 1.5, 0.0)
    life.became_ready(2.0)
    assert (life.state, life.ready_at, life.restarts, life.failures) == (READY, 2.0, 0, 0)


def test_back_off_doubles_up_to_15_seconds() -> None:
    life = ready()
    delays = [life.exited(1.0)] + [crash(life, 2.0 + i) for i in range(9)]
    assert delays == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 15.0, 15.0])
    assert life.returns_at == 10.0 + 15.0
    assert life.restarts == 9
    assert delay(10_000) == 15.0


def test_thirty_seconds_ready_forgive_earlier_failures() -> None:
    life = ready()
    for now in (1.0, 2.0, 3.0):
        life.exited(now)
        life.launched(now)
        life.became_ready(now)
    assert life.exited(3.0 + 29.9) == pytest.approx(0.8)
    life.launched(40.0)
    life.became_ready(40.0)
    assert life.exited(70.0) == pytest.approx(0.1)
    assert life.failures == 1


def test_a_long_start_forgives_nothing() -> None:
    life = ready()
    life.exited(1.0)
    life.launched(2.0)
    assert life.exited(100.0) == pytest.approx(0.2)


def test_max_restarts_consecutive_failures_end_in_crashed() -> None:
    life = ready(max_restarts=3)
    assert life.exited(1.0) is not None
    assert crash(life, 2.0) is not None
    assert crash(life, 3.0) is None
    assert (life.state, life.failures) == (CRASHED, 3)
    assert life.start_asked(9.0)
    assert (life.state, life.failures) == (BACKOFF, 0)


def test_zero_never_gives_up() -> None:
    life = ready()
    life.exited(0.5)
    for now in range(1, 500):
        assert crash(life, float(now)) is not None


def test_without_autorestart_an_end_is_the_end() -> None:
    life = ready(autorestart=False)
    assert life.exited(1.0) is None
    assert life.state == STOPPED


def test_stop_of_a_running_one_ends_in_stopped_and_is_no_failure() -> None:
    life = ready()
    assert life.stop_asked(1.0)
    assert life.state == STOPPING
    assert life.stop_asked(1.1)
    assert life.exited(2.0) is None
    assert (life.state, life.failures) == (STOPPED, 0)
    assert not life.stop_asked(3.0)
    assert life.state == STOPPED


@pytest.mark.parametrize("state", [BACKOFF, CRASHED])
def test_stop_without_a_process_is_stopped_at_once(state: str) -> None:
    life = ready(max_restarts=1 if state == CRASHED else 0)
    life.exited(1.0)
    assert life.state == state
    assert not life.stop_asked(2.0)
    assert (life.state, life.returns_at) == (STOPPED, 0.0)


def test_start_while_stopping_launches_after_the_end() -> None:
    life = ready()
    life.stop_asked(1.0)
    assert not life.start_asked(1.5)
    assert life.exited(2.0) == 0.0
    assert (life.state, life.failures) == (BACKOFF, 0)


def test_a_later_stop_takes_the_start_back() -> None:
    life = ready()
    life.stop_asked(1.0)
    life.start_asked(1.1)
    life.stop_asked(1.2)
    assert life.exited(2.0) is None
    assert life.state == STOPPED


def test_an_end_that_the_master_asked_for_is_no_failure() -> None:
    life = ready()
    assert life.exited(1.0, asked=True) == 0.0
    assert (life.state, life.failures) == (BACKOFF, 0)


def test_start_of_a_running_one_changes_nothing() -> None:
    life = ready()
    assert not life.start_asked(5.0)
    assert (life.state, life.since) == (READY, 0.0)


def test_a_replacement_keeps_it_ready() -> None:
    life = ready()
    life.became_ready(50.0)
    assert (life.state, life.ready_at) == (READY, 50.0)


def test_a_crash_loop_is_three_failures_in_a_window_that_slides() -> None:
    life = ready()
    life.exited(10.0)
    crash(life, 50.0)
    assert not life.looping(50.0)
    crash(life, 140.0)
    assert not life.looping(140.0)  # the first one has left the window
    crash(life, 141.0)
    assert life.looping(141.0)
    assert life.looping(170.0)
    assert not life.looping(171.0)


@pytest.mark.parametrize(
    ("state", "forbidden"),
    [
        (STOPPED, "became_ready"),
        (STOPPED, "exited"),
        (READY, "launched"),
        (BACKOFF, "became_ready"),
        (BACKOFF, "exited"),
        (CRASHED, "launched"),
        (CRASHED, "exited"),
        (STOPPING, "launched"),
        (STOPPING, "became_ready"),
    ],
)
def test_what_the_table_does_not_permit_is_refused(state: str, forbidden: str) -> None:
    life = Lifecycle(True, 1 if state == CRASHED else 0)
    if state != STOPPED:
        life.start_asked(0.0)
        life.launched(0.0)
    if state in (READY, STOPPING):
        life.became_ready(0.0)
    if state == STOPPING:
        life.stop_asked(0.0)
    if state in (BACKOFF, CRASHED):
        life.exited(0.0)
    assert life.state == state
    with pytest.raises(RuntimeError, match=f"cannot go from {state}"):
        getattr(life, forbidden)(1.0)
    assert life.state == state


def test_it_needs_no_machine() -> None:
    """The floor of the module: a pure table loads neither loops nor sockets nor processes."""
    code = f"import sys; import {lifecycle.__name__}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-P", "-S", "-c", "import sys; sys.path[:0] = sys.argv[1:]; " + code, *sys.path],
                            capture_output=True, text=True, check=True).stdout.split()  # fmt: skip
    assert not {"asyncio", "socket", "ssl", "subprocess", "threading", "pydantic"}.intersection(loaded)


class Life(RuleBasedStateMachine):
    """Any order of events that a master can cause: whatever happens, the promises hold."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.life = Lifecycle(True, 4)
        self.process = False
        self.seen = STOPPED

    @rule(seconds=st.floats(0.0, 40.0))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def start(self) -> None:
        assert self.life.start_asked(self.now) == (self.life.state == BACKOFF)

    @rule()
    def stop(self) -> None:
        assert self.life.stop_asked(self.now) == self.process
        assert self.life.state in (STOPPING, STOPPED)

    @precondition(lambda self: self.life.state == BACKOFF)
    @rule()
    def launch_when_due(self) -> None:
        self.now = max(self.now, self.life.returns_at)
        self.life.launched(self.now)
        self.process = True

    @precondition(lambda self: self.life.state == STARTING)
    @rule()
    def answers(self) -> None:
        self.life.became_ready(self.now)

    @precondition(lambda self: self.process)
    @rule(asked=st.booleans())
    def ends(self, asked: bool) -> None:
        failures, state = self.life.failures, self.life.state
        seconds = self.life.exited(self.now, asked)
        self.process = False
        assert (seconds is None) == (self.life.state in (STOPPED, CRASHED))
        if asked or state == STOPPING:
            assert self.life.failures <= failures
        if seconds is not None:
            assert 0.0 <= seconds <= 15.0
            assert self.life.returns_at == self.now + seconds

    @invariant()
    def a_process_exists_in_three_states_only(self) -> None:
        assert self.process == (self.life.state in (STARTING, READY, STOPPING))

    @invariant()
    def only_permitted_moves(self) -> None:
        reachable = {self.seen} | MOVES[self.seen] | {further for state in MOVES[self.seen] for further in MOVES[state]}
        assert self.life.state in reachable
        self.seen = self.life.state

    @invariant()
    def times_fit_the_state(self) -> None:
        assert (self.life.ready_at > 0.0) <= (self.life.state == READY)
        assert (self.life.returns_at > 0.0) <= (self.life.state == BACKOFF)
        assert self.life.since <= self.now
        assert self.life.failures <= 4


TestLife = Life.TestCase
