"""Apps: what a plan wants, operations in their turn."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gapura import board as b
from gapura.errors import CommandError
from gapura.master.fleet import Fleet
from gapura.master.instance import Ground
from gapura.master.slots import Slots

from .conftest import APP, alive, app_plan, finish, make_plan, turn_until


@pytest.fixture
def fleet(ground: Ground) -> Iterator[Fleet]:
    fleet = Fleet(ground, [])

    def reap() -> None:
        for run in [run for instance in fleet.instances for run in instance.runs if not run.ended]:
            pid, raw = os.waitpid(run.pid, os.WNOHANG)
            if pid:
                fleet.reaped(pid, os.waitstatus_to_exitcode(raw))

    ground.loop.every(0.01, reap)
    yield fleet
    finish(ground.loop, fleet.end())


def settle(fleet: Fleet, folder: Path, *apps: Any) -> None:
    plan = make_plan(folder, *apps)
    slots = Slots(fleet.ground.board, list, inherited=True)
    slots.give(plan, 1)
    tasks = fleet.settle(plan)
    turn_until(fleet.ground.loop, lambda: all(task.done for task in tasks))


def ready(fleet: Fleet, name: str = "film") -> None:
    turn_until(fleet.ground.loop, lambda: all(item.lifecycle.state == "ready" for item in fleet.apps[name]))


def pids(fleet: Fleet, name: str = "film") -> list[int]:
    return [item.run.pid for item in fleet.apps[name] if item.run is not None]


def silent(text: str) -> None:
    pass


def test_a_plan_starts_scales_rolls_and_removes(fleet: Fleet, tmp_path: Path) -> None:
    settle(fleet, tmp_path, app_plan(instances=2))
    ready(fleet)
    two = pids(fleet)
    settle(fleet, tmp_path, app_plan(instances=3, stop_timeout=2.0))
    ready(fleet)
    assert pids(fleet)[:2] == two
    assert len(pids(fleet)) == 3
    settle(fleet, tmp_path, app_plan(instances=1))
    assert pids(fleet) == two[:1]
    assert not alive(two[1])
    settle(fleet, tmp_path, app_plan(instances=1, env={"COLOUR": "red"}))
    assert pids(fleet) != two[:1]
    settle(fleet, tmp_path)
    assert fleet.instances == []
    assert list(Path(fleet.ground.pipes).iterdir()) == []


def test_restart_replaces_one_after_the_other(fleet: Fleet, tmp_path: Path) -> None:
    settle(fleet, tmp_path, app_plan(instances=2))
    ready(fleet)
    before, said, least = pids(fleet), [], 2
    task = fleet.restart("film", None, said.append)

    def watch() -> bool:
        nonlocal least
        least = min(least, sum(run.ready for item in fleet.apps["film"] for run in item.runs if not run.ended))
        return task.done

    turn_until(fleet.ground.loop, watch)
    assert (task.result, least) == ("", 2)
    assert set(before).isdisjoint(pids(fleet))
    assert said == ["film:0 is being replaced", "film:0 is ready", "film:1 is being replaced", "film:1 is ready"]


def test_a_failing_roll_stops_at_the_first(fleet: Fleet, tmp_path: Path) -> None:
    settle(fleet, tmp_path, app_plan(instances=2))
    ready(fleet)
    before = pids(fleet)
    settle(fleet, tmp_path, app_plan(instances=2, command=" ".join([*APP, "--fail"])))
    assert pids(fleet) == before


def test_stop_ends_a_restart_under_way(fleet: Fleet, tmp_path: Path) -> None:
    settle(fleet, tmp_path, app_plan())
    ready(fleet)
    for item in fleet.apps["film"]:
        item.app["command"] = " ".join([*APP, "--late", "30"])
    restart = fleet.restart("film", None, silent)
    turn_until(fleet.ground.loop, lambda: fleet.apps["film"][0].other is not None)
    stop = fleet.stop("film", None, silent)
    turn_until(fleet.ground.loop, lambda: stop.done)
    assert restart.cancelled
    assert [item.lifecycle.state for item in fleet.apps["film"]] == ["stopped"]


def test_start_says_why_it_failed(fleet: Fleet, tmp_path: Path) -> None:
    settle(fleet, tmp_path, app_plan(command=" ".join([*APP, "--fail"]), max_restarts=1))
    task = fleet.start("film", 0, silent)
    turn_until(fleet.ground.loop, lambda: task.done)
    assert "film:0" in task.result
    assert "status 3" in task.result


def test_too_much_memory_means_a_new_process(fleet: Fleet, tmp_path: Path) -> None:
    settle(fleet, tmp_path, app_plan(command=" ".join([*APP, "--grow", "50000000"]), max_memory=30_000_000))
    ready(fleet)
    before = pids(fleet)
    fleet.watch_memory()
    turn_until(fleet.ground.loop, lambda: pids(fleet) != before and len(fleet.apps["film"][0].runs) == 1)
    assert not alive(before[0])


def test_what_was_stopped_stays_stopped_under_a_new_master(ground: Ground, tmp_path: Path) -> None:
    saved = {"app": "film", "index": 0, "state": "stopped", "port": 4000, "runs": []}
    fleet = Fleet(ground, [saved])
    settle(fleet, tmp_path, app_plan())
    assert fleet.instances[0].lifecycle.state == "stopped"
    assert fleet.instances[0].run is None


@pytest.mark.parametrize("entry", [{}, {"pid": "x"}, {"pid": 1, "started": 1, "port": 1, "slot": 1, "mark": "m", "app": {}}])
def test_a_malformed_state_is_not_believed(entry: dict[str, Any], ground: Ground, tmp_path: Path) -> None:
    fleet = Fleet(ground, [{"app": "film", "index": 0, "state": "ready", "runs": [entry]}])
    settle(fleet, tmp_path, app_plan(command="no-such-command-here", autorestart=False))
    turn_until(ground.loop, lambda: fleet.instances[0].cause is not None)


@pytest.mark.parametrize(
    ("name", "index", "words"), [("nope", None, "no app nope"), ("film", 7, "no instance 7"), ("film", -1, "no instance -1")]
)
def test_commands_for_what_is_not_there(name: str, index: int | None, words: str, fleet: Fleet, tmp_path: Path) -> None:
    settle(fleet, tmp_path, app_plan())
    with pytest.raises(CommandError, match=words):
        fleet.stop(name, index, silent)


def test_stop_of_one_leaves_the_stop_of_another_alone(fleet: Fleet, tmp_path: Path) -> None:
    settle(fleet, tmp_path, app_plan(command=" ".join([*APP, "--deaf"]), instances=2, stop_timeout=0.5))
    ready(fleet)
    before = pids(fleet)
    fleet.stop("film", 0, silent)
    turn_until(fleet.ground.loop, lambda: fleet.apps["film"][0].lifecycle.state == "stopping")
    stop = fleet.stop("film", 1, silent)
    turn_until(fleet.ground.loop, lambda: stop.done)
    assert [item.lifecycle.state for item in fleet.apps["film"]] == ["stopped", "stopped"]
    assert not any(alive(pid) for pid in before)


def test_stop_of_one_ends_what_a_restart_had_begun_with_another(fleet: Fleet, tmp_path: Path) -> None:
    settle(fleet, tmp_path, app_plan(instances=2))
    ready(fleet)
    before = pids(fleet)
    fleet.plans["film"] = app_plan(command=" ".join([*APP, "--late", "30"]), instances=2)
    first = fleet.apps["film"][0]
    fleet.restart("film", None, silent)
    turn_until(fleet.ground.loop, lambda: first.other is not None)
    begun = first.other
    stop = fleet.stop("film", 1, silent)
    turn_until(fleet.ground.loop, lambda: stop.done)
    assert begun is not None
    assert not alive(begun.pid)
    assert (first.lifecycle.state, first.other, pids(fleet)) == ("ready", None, before[:1])


def test_an_instance_comes_back_while_it_leaves(fleet: Fleet, tmp_path: Path) -> None:
    """It waits for the one that has its slots and pipes, whatever is stopped meanwhile."""
    deaf = {"command": " ".join([*APP, "--deaf"]), "stop_timeout": 0.5}
    plans = {count: make_plan(tmp_path, app_plan(instances=count, **deaf)) for count in (1, 2)}
    slots = Slots(fleet.ground.board, list)
    for plan in plans.values():
        slots.give(plan, 1)
    fleet.settle(plans[2])
    ready(fleet)
    before = pids(fleet)
    fleet.settle(plans[1])
    fleet.settle(plans[2])
    stop = fleet.stop("film", 0, silent)
    turn_until(fleet.ground.loop, lambda: stop.done and fleet.apps["film"][1].lifecycle.state == "ready")
    assert not any(alive(pid) for pid in before)
    returned = fleet.apps["film"][1].run
    assert returned is not None
    assert fleet.ground.board.cells[fleet.ground.board.slot(returned.slot) + b.STATE] == b.READY
    assert (Path(fleet.ground.pipes) / "film-1.out").exists()
    assert len(fleet.instances) == 2


@pytest.mark.parametrize("most", [0, 1])
def test_a_crashing_app_is_started_at_once_when_its_command_changes(fleet: Fleet, tmp_path: Path, most: int) -> None:
    settle(fleet, tmp_path, app_plan(command=" ".join([*APP, "--fail"]), instances=2, max_restarts=most))
    state = "crashed" if most else "backoff"
    failures = 1 if most else 4  # then the next launch is 0.8 s away
    turn_until(
        fleet.ground.loop,
        lambda: all(i.lifecycle.state == state and i.lifecycle.failures >= failures for i in fleet.instances),
    )
    settle(fleet, tmp_path, app_plan(instances=2, max_restarts=most))
    assert [item.lifecycle.state for item in fleet.instances] == ["ready", "ready"]


def test_a_stopped_app_follows_the_plan_when_it_is_started(fleet: Fleet, tmp_path: Path) -> None:
    settle(fleet, tmp_path, app_plan())
    ready(fleet)
    stop = fleet.stop("film", None, silent)
    turn_until(fleet.ground.loop, lambda: stop.done)
    settle(fleet, tmp_path, app_plan(env={"COLOUR": "red"}))
    assert fleet.instances[0].lifecycle.state == "stopped"
    start = fleet.start("film", None, silent)
    turn_until(fleet.ground.loop, lambda: start.done)
    assert fleet.instances[0].run is not None
    assert fleet.instances[0].run.app["env"] == {"COLOUR": "red"}


def test_restart_tries_the_plan_again_that_a_roll_gave_up(fleet: Fleet, tmp_path: Path) -> None:
    settle(fleet, tmp_path, app_plan(instances=2))
    ready(fleet)
    gate = tmp_path / "gate"
    guarded = f"sh -c 'test -e {gate} && exec {' '.join(APP)}'"
    settle(fleet, tmp_path, app_plan(instances=2, command=guarded))
    assert [item.app["command"] for item in fleet.instances] == [" ".join(APP)] * 2
    gate.touch()
    task = fleet.restart("film", None, silent)
    turn_until(fleet.ground.loop, lambda: task.done)
    assert (task.result, [item.app["command"] for item in fleet.instances]) == ("", [guarded] * 2)


@pytest.mark.parametrize(("again", "state"), [(False, "stopped"), (True, "backoff")])
def test_what_was_being_stopped_is_stopped_for_a_new_master(fleet: Fleet, tmp_path: Path, again: bool, state: str) -> None:
    settle(fleet, tmp_path, app_plan(command=" ".join([*APP, "--deaf"]), stop_timeout=0.5))
    ready(fleet)
    (instance,) = fleet.instances
    fleet.ground.loop.start("stop", instance.stop(again=again))
    turn_until(fleet.ground.loop, lambda: instance.lifecycle.state == "stopping")
    (saved,) = fleet.describe()
    other = Fleet(fleet.ground, [{**saved, "runs": []}])
    fresh = other._create(instance.app, 0, instance.slots)
    assert fresh.lifecycle.state == state
    fresh.close(remove=False)


def test_the_end_is_that_of_an_earlier_masters_processes_too(fleet: Fleet, tmp_path: Path) -> None:
    settle(fleet, tmp_path, app_plan(command=" ".join([*APP, "--deaf"]), stop_timeout=0.3))
    ready(fleet)
    (pid,) = pids(fleet)
    fleet.instances[0].close(remove=False)
    successor = Fleet(fleet.ground, fleet.describe())
    finish(fleet.ground.loop, successor.end())
    assert not alive(pid)


def test_pipes_of_apps_that_left_while_there_was_no_master_are_deleted(ground: Ground, tmp_path: Path) -> None:
    pipes = Path(ground.pipes)
    for name in ("old-0.in", "old-0.out", "kept-0.in"):
        os.mkfifo(pipes / name)
    fleet = Fleet(ground, [{"app": "old", "index": 0, "state": "ready", "runs": []}])
    settle(fleet, tmp_path)
    assert [path.name for path in pipes.iterdir()] == ["kept-0.in"]
