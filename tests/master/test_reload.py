"""The one door: a change is a transaction, and changes wait for each other."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from gapura import board as b
from gapura.config.plan import Plan
from gapura.errors import CommandError, ConfigError, Problem
from gapura.master.loop import Task
from gapura.master.reload import with_instances

from .conftest import FAKE, House, app_plan, finish, free_port, make_plan, server_plan, turn_until, upstream_plan


def state(house: House, slot: int) -> str:
    return b.STATES[house.door.board.cells[house.door.board.slot(slot) + b.STATE]]


def test_each_reload_is_a_generation_with_its_own_addresses(house: House, tmp_path: Path) -> None:
    one, two = free_port(), free_port()
    house.reload(make_plan(tmp_path, port=one, api=upstream_plan("api", ["10.0.0.1:80"])))
    assert house.door.sockets.addresses == [("127.0.0.1", one)]
    said = house.reload(make_plan(tmp_path, port=two, api=upstream_plan("api", ["10.0.0.2:80"])))
    assert house.door.generation == 2
    assert house.door.sockets.addresses == [("127.0.0.1", two)]
    assert f"listens on 127.0.0.1:{two}" in said


def test_a_broken_file_changes_nothing(house: House, tmp_path: Path) -> None:
    house.reload(make_plan(tmp_path))
    house.plan = ConfigError([Problem("wrong", file="gapura.toml", line=3)])
    with pytest.raises(ConfigError, match=r"gapura\.toml:3"):
        finish(house.loop, house.door.reload())
    assert (house.door.generation, house.door.board.cells[b.H_GENERATION]) == (1, 1)


def test_a_file_that_says_nothing_any_more_changes_nothing(house: House, tmp_path: Path) -> None:
    """An editor that truncates and then writes, or a full disk."""
    house.reload(make_plan(tmp_path, app_plan()))
    with pytest.raises(CommandError, match="has neither sites nor apps any more"):
        house.reload(make_plan(tmp_path))
    assert house.door.generation == 1
    assert list(house.fleet.apps) == ["film"]


def test_a_taken_port_changes_nothing(house: House, tmp_path: Path) -> None:
    import socket

    house.reload(make_plan(tmp_path, api=upstream_plan("api", ["10.0.0.1:80"])))
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        house.plan = make_plan(tmp_path, port=holder.getsockname()[1], api=upstream_plan("api", ["10.0.0.2:80"]))
        with pytest.raises(ConfigError, match="is in use by pid"):
            finish(house.loop, house.door.reload())
    assert house.door.generation == 1
    assert house.door.plan is not None
    assert house.door.plan["upstreams"]["api"]["servers"][0]["id"] == "10.0.0.1:80"


def test_workers_that_refuse_abort_it_and_slots_come_back(house: House, tmp_path: Path) -> None:
    house.children.argv = {"worker": [*FAKE, "worker", "refuses"], "control": house.children.argv["control"]}
    house.reload(make_plan(tmp_path, api=upstream_plan("api", ["10.0.0.1:80"])))
    house.plan = make_plan(tmp_path, port=free_port(), api=upstream_plan("api", ["10.0.0.2:80"]))
    with pytest.raises(CommandError) as caught:
        finish(house.loop, house.door.reload())
    assert caught.value.hint == "this worker refuses"
    assert house.door.generation == 1
    assert (state(house, 0), state(house, 1)) == ("ready", "free")
    assert house.door.sockets.addresses == []


def test_changes_wait_for_each_other(house: House, tmp_path: Path) -> None:
    house.plan = make_plan(tmp_path)
    order: list[int] = []

    def done(task: Task) -> None:
        order.append(house.door.generation)

    tasks = [house.door.enter(f"reload {n}", house.door.reload(), done) for n in range(3)]
    turn_until(house.loop, lambda: all(task.done for task in tasks))
    assert order == [1, 2, 3]


def test_scale_holds_until_the_file_says_something_else(house: House, tmp_path: Path) -> None:
    house.reload(make_plan(tmp_path, app_plan()))
    finish(house.loop, house.door.scale("film", 3))
    assert len(house.fleet.apps["film"]) == 3
    house.reload(make_plan(tmp_path, app_plan()))
    assert len(house.fleet.apps["film"]) == 3
    house.reload(make_plan(tmp_path, app_plan(instances=2)))
    assert len(house.fleet.apps["film"]) == 2
    assert house.door.scaled == {}


@pytest.mark.parametrize(("app", "number"), [("nope", 2), ("film", 0), ("film", -1)])
def test_scales_that_make_no_sense(app: str, number: int, house: House, tmp_path: Path) -> None:
    house.reload(make_plan(tmp_path, app_plan()))
    with pytest.raises(CommandError):
        finish(house.loop, house.door.scale(app, number))


def with_site(plan: Plan) -> Plan:
    site: Any = {"hosts": ["a.example"], "routes": [], "tls": None, "closed": None}
    return {**plan, "sites": [site]}


def closed(house: House) -> bool:
    assert house.door.plan is not None
    return bool(house.door.plan["sites"][0]["closed"])


def test_maintenance_holds_until_it_is_ended(house: House, tmp_path: Path) -> None:
    house.reload(with_site(make_plan(tmp_path)))
    assert finish(house.loop, house.door.close_sites(["a.example"], 0.0, "")) == ["site a.example is in maintenance"]
    assert closed(house)
    house.reload(with_site(make_plan(tmp_path, api=upstream_plan("api", ["10.0.0.1:80"]))))
    assert closed(house)
    assert finish(house.loop, house.door.open_sites(["a.example"])) == ["site a.example is open again"]
    assert not closed(house)


def test_maintenance_with_an_end_is_over_then(house: House, tmp_path: Path) -> None:
    house.reload(with_site(make_plan(tmp_path)))
    finish(house.loop, house.door.close_sites(["a.example"], time.time() + 0.1, ""))
    finish(house.loop, house.door.close_sites(["a.example"], time.time() + 0.2, "longer"))
    turn_until(house.loop, lambda: not closed(house))


def test_maintenance_that_workers_refuse_does_not_hold(house: House, tmp_path: Path) -> None:
    house.children.argv = {"worker": [*FAKE, "worker", "refuses"], "control": house.children.argv["control"]}
    house.reload(with_site(make_plan(tmp_path)))
    with pytest.raises(CommandError, match="was not taken up"):
        finish(house.loop, house.door.close_sites(["a.example"], 0.0, ""))
    assert not closed(house)
    assert house.door.maintenance.closed == {}


def test_maintenance_of_a_site_that_is_not_there(house: House, tmp_path: Path) -> None:
    house.reload(with_site(make_plan(tmp_path)))
    with pytest.raises(CommandError, match=r"there is no site b\.example"):
        finish(house.loop, house.door.open_sites(["b.example"]))
    assert house.door.generation == 1


def test_a_name_with_other_addresses_is_a_new_generation(house: House, tmp_path: Path) -> None:
    upstream = upstream_plan("api", ["10.0.0.1:80"])
    template = server_plan("")
    upstream["servers"][0].update(name="db.test:80")
    upstream["names"] = [{"host": "db.test", "port": 80, "server": template}]
    house.reload(make_plan(tmp_path, api=upstream))
    message = {"upstream": "api", "host": "db.test", "port": 80, "addresses": ["10.0.0.1", "10.0.0.2"]}
    finish(house.loop, house.door.resolve(message))
    assert house.door.plan is not None
    assert [server["id"] for server in house.door.plan["upstreams"]["api"]["servers"]] == ["10.0.0.1:80", "10.0.0.2:80"]
    assert house.door.generation == 2
    finish(house.loop, house.door.resolve(message))
    assert house.door.generation == 2


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"upstream": "nope", "host": "x", "port": 1, "addresses": []},
        {"upstream": "api", "host": "x", "port": 1, "addresses": []},
        {"upstream": "api", "host": "x", "port": "p", "addresses": []},
        {"upstream": "api", "host": "x", "port": 1, "addresses": None},
    ],
)
def test_resolved_names_that_are_not_ours(message: dict[str, Any], house: House, tmp_path: Path) -> None:
    house.reload(make_plan(tmp_path, api=upstream_plan("api", ["10.0.0.1:80"])))
    finish(house.loop, house.door.resolve(message))
    assert house.door.generation == 1


@pytest.mark.parametrize("scaled", [None, [], {"film": 3}, {"film": ["a", 1]}, {"film": [1]}])
def test_a_malformed_memory_is_not_believed(scaled: object, house: House) -> None:
    house.door.remember("seven", scaled)
    assert (house.door.generation, house.door.scaled) == (0, {})
    house.door.remember(7, {"film": [1, 2]})
    assert (house.door.generation, house.door.scaled) == (7, {"film": (1, 2)})


def test_before_the_first_plan_nothing_runs(house: House) -> None:
    with pytest.raises(CommandError, match="still starting"):
        _ = house.door.running


def test_other_numbers_of_instances(tmp_path: Path) -> None:
    plan = make_plan(tmp_path, app_plan(instances=2))
    more, fewer = with_instances(plan, "film", 4), with_instances(plan, "film", 1)
    assert [server["id"] for server in more["upstreams"]["film"]["servers"]] == [f"film:{n}" for n in range(4)]
    assert [server["id"] for server in fewer["upstreams"]["film"]["servers"]] == ["film:0"]
    assert (plan["apps"]["film"]["instances"], more["apps"]["film"]["instances"]) == (2, 4)


def test_the_master_imports_none_of_its_childrens_code() -> None:
    code = "import sys, gapura.master.main; print([n for n in sys.modules if n.split('.')[0] in ('asyncio', 'pydantic', 'click', 'ssl', 'subprocess', 'uvloop') or n.startswith(('gapura.edge', 'gapura.control', 'gapura.config.load'))])"  # noqa: E501
    with os.popen(f'{sys.executable} -P -c "{code}"') as output:
        assert output.read().strip() == "[]"


def test_a_closed_door_drops_what_is_under_way(house: House, tmp_path: Path) -> None:
    house.plan = make_plan(tmp_path)
    tasks = [house.door.enter("change", house.door.reload(), lambda task: None) for _ in range(2)]
    turn_until(house.loop, lambda: bool(house.children.crew))
    house.door.close()
    assert [task.cancelled for task in tasks] == [True, True]
    assert house.door.plan is None
