"""Commands that change single servers and the text: their arguments, and what they answer."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from gapura.board import ADMIN, CONNS, ENABLED
from gapura.errors import CommandError, ConfigError
from gapura.master.change_commands import ChangeCommands, guarded

from .conftest import House, finish, make_plan, turn_until, upstream_plan

A, B = "10.0.0.1:80", "10.0.0.2:80"
NOBODY: Any = None


class Desk:
    """Commands for a door with one upstream."""

    def __init__(self, house: House, folder: Path) -> None:
        self.house, self.door = house, house.door
        house.reload(make_plan(folder, api={**upstream_plan("api", [A, B]), "names": []}))
        self.said: list[str] = []

    def give(self, name: str, answer: dict[str, Any] | None = None, **message: Any) -> dict[str, Any]:
        argv = [sys.executable, "-S", "-c", f"print({json.dumps(answer or {})!r})"]
        steps = ChangeCommands(self.door, argv).all()[name](message, self.said.append, NOBODY)
        result: dict[str, Any] = finish(self.house.loop, steps)
        return result


@pytest.fixture
def desk(house: House, tmp_path: Path) -> Desk:
    return Desk(house, tmp_path)


def test_all_have_their_names() -> None:
    commands = ChangeCommands(NOBODY_DOOR).all()
    assert set(commands) == {
        *("server_add", "server_remove", "server_weight", "server_reset"),
        *("config_text", "config_check", "config_put"),
    }


NOBODY_DOOR: Any = type("Door", (), {"loop": None})()


def test_weight_and_reset(desk: Desk) -> None:
    done = desk.give("server_weight", upstream="api", server=A, weight=3, generation=1)
    assert done["generation"] == 2
    assert done["server"] == A
    assert done["changes"] == [f"upstream api: server {A}: weight 1 → 3"]
    assert done["overrides"] == [f"upstream api: server {A} has weight 3 by a command, the file says 1"]
    assert done["problem"] == ""
    assert desk.give("server_reset", upstream="api")["overrides"] == []


def test_add(desk: Desk) -> None:
    server = {"id": "10.0.0.3:80", "host": "10.0.0.3", "port": 80, "path": "", "named": False, "weight": 1, "backup": False}
    server |= {"max_fails": None, "fail_timeout": None, "max_conns": None, "addresses": []}
    done = desk.give("server_add", {"server": server, "warnings": []}, upstream="api", address="10.0.0.3:80", weight=None)
    assert (done["server"], done["changes"]) == ("10.0.0.3:80", ["upstream api: server 10.0.0.3:80 added"])


def test_remove_drains_first(desk: Desk) -> None:
    done = desk.give("server_remove", upstream="api", server=A, seconds=5)
    assert done["changes"] == [f"upstream api: server {A} removed"]
    assert desk.said == [f"{A} gets no new requests; those under way are waited for"]
    with pytest.raises(CommandError, match="would be left"):
        desk.give("server_remove", upstream="api", server=B)
    assert desk.give("server_remove", upstream="api", server=B, force=True, seconds=0)["changes"]


def test_of_two_who_remove_it_one_does(desk: Desk) -> None:
    commands, said = ChangeCommands(desk.door), desk.said.append
    message = {"upstream": "api", "server": A, "seconds": 60}
    tasks = [desk.house.loop.start(f"removal {number}", commands.server_remove(message, said, NOBODY), None) for number in range(3)]
    turn_until(desk.house.loop, lambda: all(task.done for task in tasks))
    assert [task.error is None for task in tasks] == [True, False, False]
    assert "is being removed already" in str(tasks[1].error)
    desk.give("server_reset", upstream="api")
    slot = desk.door.running["upstreams"]["api"]["servers"][0]["slots"][0]
    assert desk.door.board.cells[desk.door.board.slot(slot) + ADMIN] == ENABLED


def test_a_reload_may_take_it_meanwhile(desk: Desk, tmp_path: Path) -> None:
    """What was drained for a removal that comes to nothing is used again."""
    board, slot = desk.door.board, desk.door.running["upstreams"]["api"]["servers"][0]["slots"][0]
    under_way = board.column(board.slot(slot), CONNS, 0)
    board.cells[under_way] = 1
    steps = ChangeCommands(desk.door).server_remove({"upstream": "api", "server": A, "seconds": 60}, desk.said.append, NOBODY)
    task = desk.house.loop.start("removal", steps, None)
    turn_until(desk.house.loop, lambda: bool(desk.said))
    desk.house.reload(make_plan(tmp_path, api={**upstream_plan("api", [B]), "names": []}))
    board.cells[under_way] = 0
    turn_until(desk.house.loop, lambda: task.done)
    assert isinstance(task.error, CommandError)
    assert f"api has no server {A}" in task.error.message


@pytest.mark.parametrize(
    ("name", "message", "error"),
    [
        ("server_add", {}, "lacks upstream"),
        ("server_add", {"upstream": "api"}, "lacks address"),
        ("server_add", {"upstream": "api", "address": 5}, "lacks address"),
        ("server_add", {"upstream": "api", "address": A, "generation": "1"}, "generation must be a number"),
        ("server_add", {"upstream": "nope", "address": A}, "there is no upstream nope"),
        ("server_weight", {"upstream": "api", "server": A}, "which weight"),
        ("server_weight", {"upstream": "api", "server": A, "weight": "3"}, "weight must be a number"),
        ("server_weight", {"upstream": "api", "server": A, "weight": True}, "weight must be a number"),
        ("server_weight", {"upstream": "api", "server": A, "weight": 0}, "a weight of 0 is none"),
        ("server_weight", {"upstream": "api", "server": A, "weight": 1 << 80}, "from 1 to 10000"),
        ("server_weight", {"upstream": "api", "weight": 3}, "lacks server"),
        ("server_remove", {"upstream": "api"}, "lacks server"),
        ("server_remove", {"upstream": "api", "server": A, "seconds": -1}, "seconds must be a number from 0"),
        ("server_remove", {"upstream": "api", "server": A, "seconds": float("nan")}, "seconds must be a number from 0"),
        ("server_remove", {"upstream": "api", "server": A, "seconds": "5"}, "seconds must be a number from 0"),
        ("server_remove", {"upstream": "api", "server": "x"}, "api has no server x"),
        ("server_reset", {"upstream": 5}, "lacks upstream"),
        ("config_check", {"text": 5}, "text must be a text"),
        ("config_put", {}, "lacks text"),
        ("config_put", {"text": None}, "lacks text"),
        ("config_put", {"text": "x", "file": "/etc/passwd"}, "is no file of this configuration"),
        ("config_put", {"text": "x", "generation": 1.5}, "generation must be a number"),
        ("config_check", {"text": "x", "file": "/etc/passwd"}, "is no file of this configuration"),
    ],
)
def test_bad_arguments(desk: Desk, name: str, message: dict[str, Any], error: str) -> None:
    with pytest.raises((CommandError, ConfigError), match=error):
        desk.give(name, **message)
    assert desk.door.generation == 1


def test_the_text_is_answered(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "gapura.toml").write_text("text")
    desk.door.texts = {str(tmp_path / "gapura.toml"): "text"}
    assert desk.give("config_text")["text"] == "text"


def test_a_root_master_takes_no_socket_from_the_api(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(CommandError, match="UNIX sockets are not taken") as caught:
        desk.give("server_add", upstream="api", address="unix:/run/docker.sock", delegated=True)
    assert caught.value.code == "forbidden"


def test_only_a_root_master_guards_and_only_against_control(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert guarded({"delegated": True})
    assert not guarded({})
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert not guarded({"delegated": True})
