"""Slots: stable over reloads, two for an instance, freed only when nobody uses them."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from gapura import board as b
from gapura.board import Board
from gapura.config.plan import Plan
from gapura.errors import CommandError
from gapura.master.slots import Quiet, Slots

from .conftest import app_plan, make_plan, upstream_plan


def plan_of(folder: Path, *servers: str) -> Plan:
    return make_plan(folder, api=upstream_plan("api", list(servers)))


def slots_of(plan: Plan, upstream: str = "api") -> dict[str, list[int]]:
    return {server["id"]: server["slots"] for server in plan["upstreams"][upstream]["servers"]}


def commit(slots: Slots, plan: Plan) -> None:
    slots.give(plan, time.monotonic_ns())
    slots.settle(plan, time.monotonic_ns())


def test_a_server_keeps_its_slot_over_reloads(board: Board, tmp_path: Path) -> None:
    slots = Slots(board, list)
    first, second = plan_of(tmp_path, "10.0.0.1:80", "10.0.0.2:80"), plan_of(tmp_path, "10.0.0.3:80", "10.0.0.2:80")
    commit(slots, first)
    commit(slots, second)
    assert slots_of(first)["10.0.0.2:80"] == slots_of(second)["10.0.0.2:80"]
    assert slots_of(second)["10.0.0.3:80"] not in slots_of(first).values()


def test_a_foreign_server_is_ready_at_once_and_an_instance_is_not(board: Board, tmp_path: Path) -> None:
    plan = make_plan(tmp_path, app_plan(instances=2), api=upstream_plan("api", ["10.0.0.1:80"]))
    commit(Slots(board, list), plan)
    (foreign,) = slots_of(plan)["10.0.0.1:80"]
    assert board.cells[board.slot(foreign) + b.STATE] == b.READY
    pairs = slots_of(plan, "film")
    assert [len(pair) for pair in pairs.values()] == [2, 2]
    assert len({slot for pair in pairs.values() for slot in pair}) == 4
    assert all(board.cells[board.slot(slot) + b.STATE] == b.FREE for pair in pairs.values() for slot in pair)


def test_a_slot_in_use_is_not_freed(board: Board, tmp_path: Path) -> None:
    slots = Slots(board, list)
    old, new = plan_of(tmp_path, "10.0.0.1:80"), plan_of(tmp_path, "10.0.0.2:80")
    commit(slots, old)
    (slot,) = slots_of(old)["10.0.0.1:80"]
    board.cells[b.H_USED] = 1
    tunnel = board.column(board.slot(slot), b.CONNS, 0)
    board.cells[tunnel] = 1
    commit(slots, new)
    slots.sweep(set())
    assert board.cells[board.slot(slot) + b.ID] != 0
    assert board.cells[board.slot(slot) + b.STATE] == b.STOPPING
    board.cells[tunnel] = 0
    slots.sweep({slot})
    assert board.cells[board.slot(slot) + b.ID] != 0, "a running instance owns it"
    slots.sweep(set())
    assert not any(board.cells[board.slot(slot) : board.slot(slot) + b.SLOT])


def test_a_server_that_comes_back_while_it_leaves_is_ready_again(board: Board, tmp_path: Path) -> None:
    slots = Slots(board, list)
    plan = plan_of(tmp_path, "10.0.0.1:80")
    commit(slots, plan)
    commit(slots, plan_of(tmp_path, "10.0.0.2:80"))
    again = plan_of(tmp_path, "10.0.0.1:80")
    commit(slots, again)
    slots.sweep(set())
    assert slots_of(again) == slots_of(plan)
    assert board.cells[board.slot(slots_of(again)["10.0.0.1:80"][0]) + b.STATE] == b.READY


def test_an_aborted_plan_gives_its_slots_back(board: Board, tmp_path: Path) -> None:
    slots = Slots(board, list)
    slots.give_back(slots.give(plan_of(tmp_path, "10.0.0.1:80"), 1))
    assert slots.give(plan_of(tmp_path, "10.0.0.9:80"), 1) == [0]


def test_the_board_alone_tells_who_owns_what(board: Board, tmp_path: Path) -> None:
    before = make_plan(tmp_path, app_plan(instances=2), api=upstream_plan("api", ["10.0.0.1:80"]))
    commit(Slots(board, list), before)
    after = make_plan(tmp_path, app_plan(instances=2), api=upstream_plan("api", ["10.0.0.7:80", "10.0.0.1:80"]))
    commit(Slots(board, list, inherited=True), after)
    assert slots_of(before, "film") == slots_of(after, "film")
    assert slots_of(before)["10.0.0.1:80"] == slots_of(after)["10.0.0.1:80"]


def test_a_full_board_refuses_and_takes_nothing(board: Board, tmp_path: Path) -> None:
    slots = Slots(board, list)
    with pytest.raises(CommandError, match="more than 1024 servers"):
        slots.give(plan_of(tmp_path, *(f"10.0.{i // 250}.{i % 250}:80" for i in range(b.SLOTS + 1))), 1)
    assert slots.give(plan_of(tmp_path, "10.9.9.9:80"), 1) == [0]


def test_a_dead_column_is_cleared_on_every_owned_slot(board: Board, tmp_path: Path) -> None:
    slots = Slots(board, list)
    plan = make_plan(tmp_path, app_plan())
    commit(slots, plan)
    cells = [board.column(board.slot(slot), b.CONNS, 3) for slot in slots_of(plan, "film")["film:0"]]
    for cell in cells:
        board.cells[cell] = 7
    slots.clear_column(3)
    assert [board.cells[cell] for cell in cells] == [0, 0]


def test_quiet_wants_two_beats_of_every_worker_and_no_connection(board: Board) -> None:
    beats: list[Any] = [board.process(b.WORKER_ROW + column) + b.P_BEAT for column in (0, 1)]
    board.cells[b.H_USED] = 2
    live = [0, 1]
    quiet = Quiet(board, [5], lambda: live)
    assert not quiet()
    for beat in (1, 2):
        board.cells[beats[0]] = beat
        quiet()
    assert not quiet(), "worker 1 may still hold an exchange that it has not counted"
    live.remove(1)
    assert quiet(), "a dead worker is not waited for"
    board.cells[board.column(board.slot(5), b.CONNS, 0)] = 1
    assert not quiet()


def test_a_server_that_comes_back_is_not_freed_before_the_commit(board: Board, tmp_path: Path) -> None:
    slots = Slots(board, list)
    plan, other = plan_of(tmp_path, "10.0.0.1:80"), plan_of(tmp_path, "10.0.0.2:80")
    commit(slots, plan)
    commit(slots, other)
    again = plan_of(tmp_path, "10.0.0.1:80")
    slots.give(again, 1)
    slots.sweep(set())
    (slot,) = slots_of(again)["10.0.0.1:80"]
    assert board.cells[board.slot(slot) + b.ID] != 0
    slots.settle(other, 1)
    slots.sweep(set())
    assert board.cells[board.slot(slot) + b.ID] == 0, "it was not committed"
