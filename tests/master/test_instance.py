"""One instance: real processes, the facts on the board, what is left of its tree."""

from __future__ import annotations

import os
import signal
import socket
import time
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from gapura import board as b
from gapura.master.instance import Ground, Instance
from gapura.master.run import Run
from gapura.procs import tree

from .conftest import APP, alive, app_plan, finish, free_port, turn_until


class Care:
    """An instance under test, with the part of the master that reaps."""

    def __init__(self, ground: Ground) -> None:
        self.ground = ground
        self.instances: list[Instance] = []
        self.history: list[tuple[str, ...]] = []
        ground.changed = lambda: self.history.append(tuple(self.states()))
        ground.loop.every(0.01, self.reap)

    def instance(self, *words: str, **changes: Any) -> Instance:
        made = Instance(self.ground, app_plan(command=" ".join([*APP, *words]), **changes), 0, [0, 1])
        self.instances.append(made)
        return made

    def reap(self) -> None:
        for instance in self.instances:
            for run in instance.runs:
                try:
                    pid, raw = os.waitpid(run.pid, os.WNOHANG)
                except ChildProcessError:
                    continue
                if pid:
                    instance.ended(pid, os.waitstatus_to_exitcode(raw))

    def until(self, instance: Instance, state: str, seconds: float = 60.0) -> None:
        turn_until(self.ground.loop, lambda: instance.lifecycle.state == state, seconds)

    def states(self) -> list[str]:
        return [b.STATES[self.ground.board.cells[self.ground.board.slot(slot) + b.STATE]] for slot in (0, 1)]

    def port(self, slot: int) -> int:
        port: int = self.ground.board.cells[self.ground.board.slot(slot) + b.PORT]
        return port


@pytest.fixture
def care(ground: Ground) -> Iterator[Care]:
    care = Care(ground)
    yield care
    for instance in care.instances:
        for run in instance.runs:
            tree.kill_trees([(run.pid, run.mark, run.started)])
            if os.path.exists(f"/proc/{run.pid}"):
                try:
                    os.waitpid(run.pid, 0)
                except ChildProcessError:
                    pass
        instance.close(remove=True)


def ask(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=60) as answer:
        text: str = answer.read().decode()
        return text


def test_it_is_ready_when_it_answers(care: Care) -> None:
    instance = care.instance("--late", "0.2")
    instance.start()
    care.until(instance, "starting")
    assert care.states() == ["starting", "free"]
    care.until(instance, "ready")
    run = instance.run
    assert run is not None
    assert care.states() == ["ready", "free"]
    assert care.port(0) == run.port
    assert ask(run.port).startswith(f"0 {run.pid}")
    ready_at = care.ground.board.cells[care.ground.board.slot(0) + b.READY_AT]
    assert 0 < time.monotonic_ns() - ready_at < 5e9


def test_an_answer_of_500_counts_only_after_three_seconds(care: Care) -> None:
    instance = care.instance("--status", "503")
    instance.start()
    turn_until(care.ground.loop, lambda: instance.run is not None and "503" in instance.run.trouble)
    assert instance.run is not None
    instance.run.launched_at -= 3.0
    care.until(instance, "ready")


def test_somebody_else_on_its_port_is_not_readiness(care: Care) -> None:
    port = free_port()
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", port))
        stranger.listen()
        stranger.setblocking(False)
        instance = care.instance("--late", "30", port=port, start_timeout=0.6)
        instance.start()

        def answer() -> bool:
            try:
                client, _ = stranger.accept()
            except BlockingIOError:
                return instance.cause is not None
            with client:
                client.sendall(b"HTTP/1.0 200 OK\r\n\r\n")
            return False

        turn_until(care.ground.loop, answer)
    assert instance.cause is not None
    assert f"port {port} is held by pid {os.getpid()}" in instance.cause.text


def test_a_crash_is_on_the_board_and_it_comes_back_on_its_port(care: Care) -> None:
    instance = care.instance()
    instance.start()
    care.until(instance, "ready")
    assert instance.run is not None
    port, pid = instance.run.port, instance.run.pid
    killed = time.monotonic_ns()
    os.kill(pid, signal.SIGKILL)
    turn_until(care.ground.loop, lambda: instance.lifecycle.restarts == 1)
    assert ("backoff", "free") in care.history
    returns = care.ground.board.cells[care.ground.board.slot(0) + b.RETURNS_AT]
    assert killed + 0.1e9 <= returns
    care.until(instance, "ready")
    assert instance.run is not None
    assert (instance.run.port, instance.lifecycle.restarts) == (port, 1)
    assert instance.run.pid != pid


def test_a_launch_under_way_is_not_settled_by_an_earlier_crash(care: Care) -> None:
    instance = care.instance("--late", "0.3")
    instance.start()
    care.until(instance, "ready")
    assert instance.run is not None
    os.kill(instance.run.pid, signal.SIGKILL)
    care.until(instance, "starting")
    assert instance.cause is not None
    assert not instance.settled
    care.until(instance, "ready")
    assert instance.settled


def test_care_that_fails_is_taken_up_again(care: Care, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    instance = care.instance()
    instance.start()
    care.until(instance, "ready")
    assert instance.run is not None
    first = instance.run.pid

    def fail(*_: object) -> list[int]:
        monkeypatch.undo()
        raise OSError(24, "too many open files")

    monkeypatch.setattr(tree, "signal_tree", fail)
    os.kill(first, signal.SIGKILL)
    turn_until(care.ground.loop, lambda: instance.run is not None and instance.run.pid != first and instance.run.ready)
    assert "care for film:0 failed" in caplog.text


def test_a_crash_loop_ends_as_crashed_with_cause_and_last_lines(care: Care) -> None:
    instance = care.instance("--fail", max_restarts=2)
    instance.start()
    care.until(instance, "crashed")
    turn_until(care.ground.loop, lambda: instance.run is None)
    assert instance.cause is not None
    assert "status 3" in instance.cause.text
    assert instance.last_lines[-1] == "this app fails"
    assert care.states() == ["crashed", "free"]


def told(care: Care) -> list[str]:
    """The types of all events from now on."""
    types: list[str] = []

    def tell(type: str, subject: str, text: str, /, *, severity: str = "", **data: Any) -> None:
        assert subject == "film:0"
        assert text.startswith(("film:0: ", "film:0 "))
        types.append(type)

    care.ground.tell = tell
    return types


def test_a_crash_loop_is_told_once(care: Care) -> None:
    types = told(care)
    instance = care.instance("--fail", max_restarts=5)
    instance.start()
    care.until(instance, "crashed")
    turn_until(care.ground.loop, lambda: "app.given_up" in types)
    assert types == [*["app.crashed"] * 3, "app.crash_loop", *["app.crashed"] * 2, "app.given_up"]


def test_a_loop_is_one_although_it_is_ready_in_between(care: Care) -> None:
    types = told(care)
    instance = care.instance()
    instance.start()
    for number in range(1, 6):
        turn_until(care.ground.loop, lambda number=number: types.count("app.ready") == number)
        assert instance.run is not None
        os.kill(instance.run.pid, signal.SIGKILL)
    turn_until(care.ground.loop, lambda: types.count("app.crashed") == 5)
    assert types.count("app.crash_loop") == 1


def test_what_can_never_be_started_is_given_up_too(care: Care) -> None:
    types = told(care)
    instance = care.instance(max_restarts=2)
    instance.app["command"] = "no-such-command-here"
    instance.start()
    care.until(instance, "crashed")
    assert types == ["app.crashed", "app.crashed", "app.given_up"]


def test_restarts_and_stops_are_no_crashes(care: Care) -> None:
    types = told(care)
    instance = care.instance()
    instance.start()
    care.until(instance, "ready")
    care.ground.loop.start("renewal", instance.renew(instance.app))
    turn_until(care.ground.loop, lambda: types.count("app.ready") == 2)
    task = care.ground.loop.start("stop", instance.stop())
    turn_until(care.ground.loop, lambda: task.done)
    assert types == ["app.ready", "app.ready"]


def test_a_command_that_is_not_there(care: Care) -> None:
    instance = care.instance(max_restarts=1)
    instance.app["command"] = "no-such-command-here"
    instance.start()
    care.until(instance, "crashed")
    assert instance.cause is not None
    assert instance.cause.text == "command not found: no-such-command-here"
    assert instance.run is None


def test_not_ready_in_time(care: Care) -> None:
    instance = care.instance("--late", "30", start_timeout=0.2, autorestart=False)
    instance.start()
    turn_until(care.ground.loop, lambda: instance.cause is not None and instance.run is None)
    assert instance.cause is not None
    assert instance.cause.text.startswith("not ready after 0 s")
    assert instance.lifecycle.state == "stopped"


def test_stop_drains_before_it_signals(care: Care) -> None:
    cells = care.ground.board.cells
    cells[b.H_USED] = 1
    tunnel = care.ground.board.column(care.ground.board.slot(0), b.CONNS, 0)
    instance = care.instance()
    instance.start()
    care.until(instance, "ready")
    assert instance.run is not None
    pid = instance.run.pid
    cells[tunnel] = 1
    task = care.ground.loop.start("stop", instance.stop())
    turn_until(care.ground.loop, lambda: care.states()[0] == "stopping")
    for _ in range(10):
        care.ground.loop.turn(0.01)
    assert alive(pid)
    cells[tunnel] = 0
    turn_until(care.ground.loop, lambda: task.done)
    assert not alive(pid)
    assert (instance.lifecycle.state, care.states()) == ("stopped", ["stopped", "free"])


def test_what_ignores_the_signal_is_killed_with_its_grandchildren(care: Care) -> None:
    instance = care.instance("--deaf", "--fork", stop_timeout=0.3)
    instance.start()
    care.until(instance, "ready")
    run = instance.run
    assert run is not None
    members = run.members()
    assert len(members) >= 2
    finish(care.ground.loop, instance.stop())
    assert [pid for pid in members if alive(pid)] == []


def test_a_dead_wrapper_leaves_nothing(care: Care) -> None:
    instance = care.instance()
    instance.app["command"] = f"sh -c '{' '.join(APP)}; true'"
    instance.start()
    care.until(instance, "ready")
    run = instance.run
    assert run is not None
    (inner,) = [pid for pid in run.members() if pid != run.pid]
    os.kill(run.pid, signal.SIGKILL)
    turn_until(care.ground.loop, lambda: not alive(inner))


def test_renew_with_a_chosen_port_overlaps(care: Care) -> None:
    instance = care.instance()
    instance.start()
    care.until(instance, "ready")
    old = instance.run
    assert old is not None
    care.history.clear()
    assert finish(care.ground.loop, instance.renew(app_plan(env={"COLOUR": "red"}))) is True
    assert all("ready" in states for states in care.history), care.history
    new = instance.run
    assert new is not None
    assert (new.slot, new.port != old.port, alive(old.pid)) == (1, True, False)
    assert ask(new.port).endswith("red")
    assert care.states() == ["free", "ready"]
    assert instance.lifecycle.restarts == 1


def test_renew_keeps_the_old_one_when_the_new_one_is_never_ready(care: Care) -> None:
    instance = care.instance()
    instance.start()
    care.until(instance, "ready")
    old = instance.run
    broken = app_plan(command=" ".join([*APP, "--fail"]))
    assert finish(care.ground.loop, instance.renew(broken)) is False
    assert instance.run is old
    assert care.states() == ["ready", "free"]
    assert instance.cause is not None


def test_the_old_one_dies_while_the_new_one_starts(care: Care) -> None:
    instance = care.instance()
    instance.start()
    care.until(instance, "ready")
    assert instance.run is not None
    task = care.ground.loop.start("renew", instance.renew(app_plan(command=" ".join([*APP, "--late", "0.3"]))))
    turn_until(care.ground.loop, lambda: instance.other is not None)
    os.kill(instance.run.pid, signal.SIGKILL)
    turn_until(care.ground.loop, lambda: task.done)
    assert task.result is True
    assert care.states() == ["free", "ready"]
    assert instance.lifecycle.state == "ready"
    assert len(instance.runs) == 1


def test_renew_with_a_fixed_port_never_reads_as_stopped(care: Care) -> None:
    port = free_port()
    instance = care.instance(port=port)
    instance.start()
    care.until(instance, "ready")
    assert instance.run is not None
    old = instance.run.pid
    care.history.clear()
    assert finish(care.ground.loop, instance.renew(app_plan(port=port))) is True
    assert instance.run is not None
    assert instance.run.pid != old
    assert {states[0] for states in care.history} == {"ready", "stopping", "backoff", "starting"}


def test_a_stop_ends_a_renewal_under_way(care: Care) -> None:
    instance = care.instance()
    instance.start()
    care.until(instance, "ready")
    renewal = care.ground.loop.start("renew", instance.renew(app_plan(command=" ".join([*APP, "--late", "30"]))))
    turn_until(care.ground.loop, lambda: instance.other is not None)
    pids = [run.pid for run in instance.runs]
    renewal.cancel()
    finish(care.ground.loop, instance.stop())
    assert [pid for pid in pids if alive(pid)] == []
    assert care.states() == ["stopped", "free"]


def test_an_instance_is_adopted_by_pid_and_start_time(care: Care, ground: Ground) -> None:
    first = care.instance()
    first.start()
    care.until(first, "ready")
    run = first.run
    assert run is not None
    first.close(remove=False)
    care.instances.clear()
    other = Ground(ground.loop, ground.board, ground.ports, list, lambda: None, ground.pipes, ground.logs, 1024)
    second = Instance(other, app_plan(), 0, [0, 1])
    wrong = Run(run.app, run.pid, run.started + 1, run.mark, run.port, 0)
    assert not second.adopt(wrong, "ready", 0)
    assert second.adopt(Run(run.app, run.pid, run.started, run.mark, run.port, 0), "ready", 4)
    assert (second.lifecycle.state, second.lifecycle.restarts, care.states()[0]) == ("ready", 4, "ready")
    os.kill(run.pid, signal.SIGKILL)
    turn_until(ground.loop, lambda: second.cause is not None)
    os.waitpid(run.pid, 0)
    care.instances.append(second)
    turn_until(ground.loop, lambda: second.lifecycle.restarts == 5)
    care.until(second, "ready")
