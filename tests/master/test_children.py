"""Workers and control: brought to a generation, watched, replaced. The children are real processes that speak the messages."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gapura import board as b
from gapura.board import Board
from gapura.config.plan import Plan
from gapura.master import children as module
from gapura.master.children import Children, how
from gapura.master.loop import Loop
from gapura.master.sockets import Sockets

from .conftest import FAKE, finish, free_port, make_plan, turn_until

Make = Callable[..., Children]


@pytest.fixture
def make(loop: Loop, board: Board) -> Iterator[Make]:
    made: list[Children] = []
    sockets = Sockets()

    def new(behaviour: str = "good") -> Children:
        argv = {"worker": [*FAKE, "worker", behaviour], "control": [*FAKE, "control", "good"]}
        children = Children(loop, board, sockets, argv)
        made.append(children)

        def reap() -> None:
            for child in children.crew[:]:
                if child.started_here and os.waitpid(child.pid, os.WNOHANG)[0]:
                    children.ended(child, 9)

        loop.every(0.01, reap)
        return children

    yield new
    for children in made:
        children.kill()
    turn_until(loop, lambda: not any(children.crew for children in made))
    sockets.close(sockets.addresses)


def serve(children: Children, plan: Plan, generation: int = 1) -> None:
    children.sockets.bind(plan["edge"]["http"], plan["edge"]["workers"], "f")
    assert finish(children.loop, children.prepare(generation, plan)) == ""
    children.sockets.open(16)
    finish(children.loop, children.commit(generation, plan))


def generations(children: Children) -> list[int]:
    cells = children.board.cells
    return [cells[children.board.process(child.row) + b.P_GENERATION] for child in children.workers]


def test_all_reach_a_generation(make: Make, tmp_path: Path) -> None:
    children = make()
    serve(children, make_plan(tmp_path, port=free_port(), workers=2))
    assert [worker.committed for worker in children.workers] == [1, 1]
    assert children.control is not None
    assert children.control.committed == 1
    assert children.board.cells[b.H_GENERATION] == 1
    assert children.columns() == [0, 1]


def test_a_dead_worker_is_replaced_and_gets_the_committed_plan_first(make: Make, tmp_path: Path) -> None:
    children = make()
    serve(children, make_plan(tmp_path, port=free_port()))
    dead = children.workers[0]
    cell = children.board.column(children.board.slot(0), b.CONNS, dead.column)
    children.board.cells[children.board.slot(0) + b.STATE] = b.READY
    children.board.cells[cell] = 5
    os.kill(dead.pid, signal.SIGKILL)
    turn_until(children.loop, lambda: bool(children.workers) and children.workers[0].committed == 1 and dead.gone)
    assert children.workers[0].pid != dead.pid
    assert children.board.cells[cell] == 0


def test_control_is_replaced(make: Make, tmp_path: Path) -> None:
    children = make()
    serve(children, make_plan(tmp_path))
    dead = children.control
    assert dead is not None
    os.kill(dead.pid, signal.SIGKILL)
    turn_until(children.loop, lambda: dead.gone and children.control is not None and children.control.committed == 1)


def test_a_refusal_is_an_answer(make: Make, tmp_path: Path) -> None:
    children = make("refuses")
    serve(children, make_plan(tmp_path))
    assert finish(children.loop, children.prepare(2, make_plan(tmp_path))) == "this worker refuses"
    children.abort(2)
    assert children.board.cells[b.H_GENERATION] == 1


def test_nobody_ready_in_time(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.5)
    children = make("mute")
    assert "no worker was ready" in finish(children.loop, children.prepare(1, make_plan(tmp_path)))


def test_a_busy_machine_is_waited_for() -> None:
    """A worker imports for half a second; with a load of 20 on two cores that takes ten, and `up` must not give up on it."""
    assert module.PATIENCE >= 10


def test_a_hung_worker_is_replaced(make: Make, tmp_path: Path) -> None:
    children = make("hangs")
    children.loop.every(0.1, children.watchdog)
    serve(children, make_plan(tmp_path))
    hung = children.workers[0]
    turn_until(children.loop, lambda: hung.gone)
    assert not os.path.exists(f"/proc/{hung.pid}")


def test_a_machine_that_stood_still_kills_nobody(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    children = make()
    serve(children, make_plan(tmp_path))
    for child in children.crew:
        monkeypatch.setattr(child, "hung", lambda *_: True)
    children._checked -= 5.0
    children.watchdog()
    assert all(not child.gone for child in children.crew)


def test_more_and_fewer_workers(make: Make, tmp_path: Path) -> None:
    children = make()
    port = free_port()
    for generation, workers in enumerate((1, 3, 2), start=1):
        serve(children, make_plan(tmp_path, port=port, workers=workers), generation)
        turn_until(children.loop, lambda n=workers: len(children.crew) == n + 1)  # type: ignore[misc]
        assert [worker.seat for worker in children.workers] == list(range(workers))
        turn_until(children.loop, lambda g=generation: set(generations(children)) == {g})  # type: ignore[misc]


def test_a_worker_dies_between_prepare_and_commit(make: Make, tmp_path: Path) -> None:
    children = make()
    plan = make_plan(tmp_path, workers=2)
    serve(children, plan)
    assert finish(children.loop, children.prepare(2, plan)) == ""
    os.kill(children.workers[0].pid, signal.SIGKILL)
    finish(children.loop, children.commit(2, plan))
    turn_until(children.loop, lambda: generations(children) == [2, 2])


def test_the_end_leaves_nobody(make: Make, tmp_path: Path) -> None:
    children = make()
    serve(children, make_plan(tmp_path, workers=2))
    pids = [child.pid for child in children.crew]
    finish(children.loop, children.end(True, 2.0))
    assert children.crew == []
    assert not any(os.path.exists(f"/proc/{pid}") for pid in pids)


def test_fewer_workers_while_one_of_those_that_stay_is_dead(make: Make, tmp_path: Path) -> None:
    children = make()
    serve(children, make_plan(tmp_path, workers=2))
    one = make_plan(tmp_path, workers=1)
    assert finish(children.loop, children.prepare(2, one)) == ""
    staying, leaving = children.workers
    staying.kill()
    turn_until(children.loop, lambda: staying.gone)
    finish(children.loop, children.commit(2, one))
    turn_until(children.loop, lambda: leaving.gone and generations(children) == [2])
    assert [worker.seat for worker in children.workers] == [0]


def test_a_replaced_worker_lives_on_and_at_the_end_the_drain_timeout_counts(make: Make, tmp_path: Path) -> None:
    children = make()
    serve(children, make_plan(tmp_path, workers=2))
    told: list[tuple[str, object]] = []
    for child in children.workers:
        child.tell = lambda kind, **fields: told.append((kind, fields.get("limit")))  # type: ignore[method-assign]
    children.release(children.workers[1])
    children.release(children.workers[0], None)
    assert told == [("unlisten", None), ("drain", 86400.0), ("unlisten", None), ("drain", None)]


def test_the_worker_that_was_replaced_first_makes_room(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    children = make()
    serve(children, make_plan(tmp_path, workers=2))
    first, second = children.workers
    first.draining = second.draining = True
    monkeypatch.setattr(children, "columns", lambda: list(range(b.COLUMNS)))
    assert children._free_column() is None
    turn_until(children.loop, lambda: first.gone)
    assert not second.gone


def test_nobody_queues_while_the_end_is_awaited(make: Make, tmp_path: Path) -> None:
    children = make()
    plan = make_plan(tmp_path, port=free_port())
    serve(children, plan)
    finish(children.loop, children.end(True, 2.0))
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", plan["edge"]["http"][0]["port"]), 1.0)


@pytest.mark.parametrize(
    "message", [{}, {"type": "prepared"}, {"type": "committed", "generation": "2"}, {"type": 7, "generation": 2}]
)
def test_malformed_messages_say_nothing(message: dict[str, object], make: Make, tmp_path: Path) -> None:
    children = make()
    serve(children, make_plan(tmp_path))
    children.workers[0].hear(message)
    assert (children.workers[0].prepared, children.workers[0].committed) == (1, 1)


def test_children_that_cannot_be_started_are_tried_again(make: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    children = make()
    good, children.argv = children.argv, {"worker": ["/not/there"], "control": ["/not/there"]}
    task = children.loop.start("prepare", children.prepare(1, make_plan(tmp_path)))
    turn_until(children.loop, lambda: "cannot be started" in caplog.text)
    children.argv = good
    turn_until(children.loop, lambda: task.done)
    assert task.result == ""


def test_how_a_child_ended() -> None:
    assert [how(None), how(-9), how(3)] == ["without a word", "by signal 9", "with status 3"]
