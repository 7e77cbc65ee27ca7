"""Commands and replies over the control socket."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import pytest

from gapura import ipc
from gapura.cli import talk
from gapura.cli.place import place_of
from gapura.errors import CommandError

from .conftest import FakeMaster


@pytest.fixture
def here(folder: Path) -> Any:
    return place_of(str(folder / "gapura.toml"))


def test_arguments_go_and_the_result_comes(master: FakeMaster, here: Any) -> None:
    master.says["scale"] = [master.ok(app="shop", instances=[])]
    assert talk.ask(here, "scale", app="shop", instances=3) == {"app": "shop", "instances": []}
    assert master.heard == [{"type": "command", "name": "scale", "app": "shop", "instances": 3}]


def test_progress_is_told_as_it_comes(master: FakeMaster, here: Any) -> None:
    master.says["restart"] = [{"type": "progress", "text": "one"}, {"type": "progress", "text": "two"}, master.ok(done=True)]
    told: list[str] = []
    assert talk.ask(here, "restart", told.append) == {"done": True}
    assert told == ["one", "two"]


def test_the_masters_error_arrives_whole(master: FakeMaster, here: Any) -> None:
    problem = {"message": "wrong", "file": "f", "line": 3, "column": 1, "text": "x", "hint": "", "width": 1, "warning": False}
    master.says["reload"] = [{"type": "reply", "ok": False, "error": "no", "hint": "do", "status": 78, "problems": [problem]}]
    with pytest.raises(CommandError) as caught:
        talk.ask(here, "reload")
    error = caught.value
    assert (error.message, error.hint, error.exit_status, error.problems[0].line) == ("no", "do", 78, 3)


def test_an_error_without_a_reason_is_an_error_all_the_same(master: FakeMaster, here: Any) -> None:
    master.says["reload"] = [{"type": "reply"}]
    with pytest.raises(CommandError, match="gave no reason"):
        talk.ask(here, "reload")


def test_a_master_that_dies_in_the_middle(master: FakeMaster, here: Any) -> None:
    master.says["restart"] = [{"type": "progress", "text": "one"}]
    with pytest.raises(CommandError, match="ended before it answered"):
        talk.ask(here, "restart", lambda _: None)


def test_a_master_that_says_nothing(here: Any) -> None:
    os.makedirs(here.run)
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(ipc.socket_path(here.run))
        silent.listen()
        with pytest.raises(CommandError, match="has not answered") as caught:
            talk.ask(here, "status", timeout=0.05)
    assert caught.value.hint == "its log is .gapura/logs/gapura.log"


def test_nobody_answers_on_a_socket_that_was_left(here: Any) -> None:
    os.makedirs(here.run)
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(ipc.socket_path(here.run))
    with pytest.raises(CommandError, match="not running here any more"):
        talk.ask(here, "status")
    assert talk.running_status(here) is None


def test_another_users_socket(here: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(folder: str) -> ipc.Channel:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(ipc, "connect", refused)
    with pytest.raises(CommandError, match="belongs to another user"):
        talk.ask(here, "status")


def test_a_folder_too_deep_for_a_socket_name(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["a-folder-with-a-long-name"] * 6)
    deep.mkdir(parents=True)
    master = FakeMaster(deep / ".gapura")
    try:
        assert talk.ask(place_of(str(deep / "gapura.toml")), "status")["version"] == "9.9.9"
    finally:
        master.close()
