"""Single servers, changed through the one door without the file."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from gapura import board as b
from gapura.config.overrides import AddedServer
from gapura.errors import CommandError, ConfigError
from gapura.master.overrides import NAME, KeptOverrides
from gapura.master.servers import Servers

from .conftest import FAKE, House, app_plan, finish, make_plan, server_plan, turn_until, upstream_plan

A, B, C = "10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"


def answering(document: dict[str, Any]) -> list[str]:
    """A config process that answers this, and keeps what it was asked."""
    return [sys.executable, "-S", "-c", f"print({json.dumps(document)!r})"]


def added(label: str, **words: Any) -> AddedServer:
    host, _, port = label.rpartition(":")
    plain: Any = {"id": label, "host": host, "port": int(port), "path": "", "named": False, "weight": 1, "backup": False}
    return {**plain, "max_fails": None, "fail_timeout": None, "max_conns": None, "addresses": [], **words}  # type: ignore[no-any-return]


def upstream(*labels: str, **words: Any) -> dict[str, Any]:
    return {**upstream_plan("api", list(labels)), "names": [], **words}


def servers(house: House, **document: Any) -> Servers:
    return Servers(house.door, answering(document))


def add(house: House, label: str, **words: Any) -> list[str]:
    said: list[str] = finish(
        house.loop, servers(house, server=added(label, **words), warnings=[]).add("api", {"address": label}, None)
    )
    return said


def shares(house: House) -> dict[str, int]:
    return {item["id"]: item["weight"] for item in house.door.running["upstreams"]["api"]["servers"]}


def admin(house: House, label: str) -> int:
    [item] = [item for item in house.door.running["upstreams"]["api"]["servers"] if item["id"] == label]
    return house.door.board.cells[house.door.board.slot(item["slots"][0]) + b.ADMIN]


@pytest.fixture
def running(house: House, tmp_path: Path) -> House:
    (tmp_path / "lib").mkdir()
    house.door.overrides = KeptOverrides(str(tmp_path / "lib"))
    house.reload(make_plan(tmp_path, app_plan(), api=upstream(A, B)))
    return house


def test_each_change_is_a_generation_and_told_in_a_sentence(running: House) -> None:
    assert add(running, C, weight=2) == [f"upstream api: server {C} added"]
    weigh = servers(running).weigh("api", A, 3, 2)
    assert finish(running.loop, weigh) == [f"upstream api: server {A}: weight 1 → 3"]
    assert running.door.generation == 3
    assert shares(running) == {A: 3, B: 1, C: 2}
    assert finish(running.loop, servers(running).reset("api", "", False, None)) == [
        f"upstream api: server {C} removed",
        f"upstream api: server {A}: weight 3 → 1",
    ]
    assert shares(running) == {A: 1, B: 1}


def test_it_holds_over_reloads_and_for_the_next_master(running: House, tmp_path: Path) -> None:
    add(running, C)
    finish(running.loop, servers(running).weigh("api", A, 3, None))
    assert running.reload(make_plan(tmp_path, app_plan(), api=upstream(A, B, hold=9.0))) == ["upstream api: hold changed"]
    assert shares(running) == {A: 3, B: 1, C: 1}
    assert KeptOverrides(str(tmp_path / "lib")).said == running.door.overrides.said
    assert (tmp_path / "lib" / NAME).stat().st_mode & 0o777 == 0o600
    said = running.reload(make_plan(tmp_path, app_plan(), api=upstream(A, B, C, hold=9.0)))
    assert said == [f"upstream api: the file has {C} itself now: what was said when it was added is forgotten"]
    assert running.reload(make_plan(tmp_path, app_plan(), api=upstream(A, B, C, hold=9.0))) == []


def test_a_name_that_was_added_follows_its_addresses(running: House, tmp_path: Path) -> None:
    add(running, "db.internal:80", named=True, host="db.internal", addresses=["10.1.0.1"], weight=2)
    assert shares(running) == {A: 1, B: 1, "10.1.0.1:80": 2}
    message = {"upstream": "api", "host": "db.internal", "port": 80, "addresses": ["10.1.0.2", "10.0.0.1"]}
    finish(running.loop, running.door.resolve(message))
    assert shares(running) == {A: 1, B: 1, "10.1.0.2:80": 2}
    generation = running.door.generation
    finish(running.loop, running.door.resolve(message))
    assert running.door.generation == generation, "the same addresses are no change"
    running.reload(make_plan(tmp_path, app_plan(), api=upstream(A, B)))
    assert shares(running) == {A: 1, B: 1, "10.1.0.2:80": 2}


def test_addresses_that_were_found_since_outlive_a_change(house: House, tmp_path: Path) -> None:
    template = {**server_plan("db.internal:80", host="db.internal", port=80), "name": "db.internal:80"}
    named = upstream(A, names=[{"host": "db.internal", "port": 80, "server": template}])
    house.reload(make_plan(tmp_path, api=named))
    finish(house.loop, house.door.resolve({"upstream": "api", "host": "db.internal", "port": 80, "addresses": ["10.1.0.1"]}))
    finish(house.loop, Servers(house.door).weigh("api", "db.internal:80", 5, None))
    assert shares(house) == {A: 1, "10.1.0.1:80": 5}


def test_a_server_is_drained_before_it_leaves(running: House) -> None:
    [first] = [item for item in running.door.running["upstreams"]["api"]["servers"] if item["id"] == A]
    column = running.door.board.column(running.door.board.slot(first["slots"][0]), b.CONNS, 0)
    running.door.board.cells[column] = 1
    task = running.loop.start("drain", servers(running).drain("api", A, False, None, 60.0), None)
    turn_until(running.loop, lambda: admin(running, A) == b.DRAINING)
    assert not task.done
    running.door.board.cells[column] = 0
    turn_until(running.loop, lambda: task.done)
    finish(running.loop, servers(running).remove("api", A, False, None))
    assert shares(running) == {B: 1}
    assert add(running, A) == [f"upstream api: server {A} added"]
    assert admin(running, A) == b.ENABLED, "who adds it again does not want it drained"


def test_a_removal_that_fails_leaves_it_as_it_was(running: House) -> None:
    before = finish(running.loop, servers(running).drain("api", A, False, None, 0.0))
    assert admin(running, A) == b.DRAINING
    servers(running).restore("api", A, before)
    assert admin(running, A) == b.ENABLED


def test_what_may_not_leave_is_not_drained(running: House) -> None:
    finish(running.loop, servers(running).remove("api", A, False, None))
    with pytest.raises(CommandError, match="no server of api would be left"):
        finish(running.loop, servers(running).drain("api", B, False, None, 60.0))
    assert admin(running, B) == b.ENABLED
    finish(running.loop, servers(running).remove("api", B, True, None))
    assert shares(running) == {}


def test_workers_that_refuse_change_nothing(running: House) -> None:
    running.children.argv = {"worker": [*FAKE, "worker", "refuses"], "control": running.children.argv["control"]}
    for child in running.children.workers:
        child.kill()
    with pytest.raises(CommandError, match="was not taken up"):
        finish(running.loop, servers(running).weigh("api", A, 3, None))
    assert (running.door.overrides.said, running.door.generation) == ({}, 1)
    assert shares(running) == {A: 1, B: 1}


def test_another_generation_than_was_looked_at_is_a_conflict(running: House) -> None:
    for steps in (
        servers(running).weigh("api", A, 3, 7),
        servers(running).reset("api", "", False, 7),
        servers(running).remove("api", A, False, 7),
        servers(running).drain("api", A, False, 7, 1.0),
        servers(running, server=added(C), warnings=[]).add("api", {"address": C}, 7),
    ):
        with pytest.raises(CommandError, match="generation 1 serves by now, not 7") as caught:
            finish(running.loop, steps)
        assert caught.value.code == "conflict"
    assert running.door.generation == 1


@pytest.mark.parametrize(("name", "error"), [("nope", "there is no upstream nope"), ("film", "film is an app")])
def test_upstreams_to_which_nothing_can_be_added(running: House, name: str, error: str) -> None:
    with pytest.raises(CommandError, match=error):
        finish(running.loop, Servers(running.door, ["/not/there"]).add(name, {"address": C}, None))


def test_a_server_that_the_rules_refuse(running: House) -> None:
    wrong = servers(running, problems=[{"message": "weight must be from 1 to 10000"}])
    with pytest.raises(ConfigError, match="weight must be"):
        finish(running.loop, wrong.add("api", {"address": C, "weight": 0}, None))
    assert running.door.generation == 1


def test_warnings_are_told(running: House) -> None:
    warned = servers(running, server=added(C), warnings=[{"message": "it does not resolve", "hint": "it is asked again"}])
    said = finish(running.loop, warned.add("api", {"address": C}, None))
    assert said == [f"upstream api: server {C} added", "it does not resolve: it is asked again"]


def test_nothing_can_be_said_before_the_first_generation(house: House) -> None:
    with pytest.raises(CommandError, match="still starting"):
        finish(house.loop, Servers(house.door).weigh("api", A, 3, None))
