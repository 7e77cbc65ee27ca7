"""The config process, as the master sees it."""

from __future__ import annotations

import json
import os
import pwd
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.conftest import descriptors

from gapura.errors import CommandError, ConfigError
from gapura.master import loader
from gapura.master.loader import load
from gapura.master.loop import Loop

from ..conftest import own_children
from .conftest import finish


@pytest.fixture(autouse=True)
def reaped() -> Iterator[None]:
    """The master's reaper is not here: what a test has started is waited for."""
    before = own_children()
    yield
    for pid in own_children() - before:
        os.waitpid(pid, 0)


def printing(text: str) -> list[str]:
    return [sys.executable, "-S", "-c", f"print({text!r})"]


def test_a_real_file(loop: Loop, tmp_path: Path) -> None:
    file = tmp_path / "gapura.toml"
    us = pwd.getpwuid(os.geteuid()).pw_name
    file.write_text(f'[sites."x.localhost"]\nrespond = "hello"\n[edge]\nhttp = "127.0.0.1:8080"\nuser = "{us}"\n')
    plan, warnings, texts = finish(loop, load(loop, str(file)))
    assert plan["sites"][0]["hosts"] == ["x.localhost"]
    assert warnings == []
    assert texts == {str(file): file.read_text()}


def test_a_text_in_the_place_of_the_files(loop: Loop, tmp_path: Path) -> None:
    file = tmp_path / "gapura.toml"
    file.write_text('[sites."x.localhost"]\nrespond = "hello"\n')
    us = pwd.getpwuid(os.geteuid()).pw_name
    text = f'[sites."y.localhost"]\nrespond = "hello"\n[edge]\nhttp = "127.0.0.1:8080"\nuser = "{us}"\n'
    loaded = finish(loop, load(loop, str(file), job={"texts": {str(file): text}}))
    assert loaded.plan["sites"][0]["hosts"] == ["y.localhost"]
    assert loaded.texts == {str(file): text}
    assert "x.localhost" in file.read_text()


def test_every_problem_arrives(loop: Loop, tmp_path: Path) -> None:
    file = tmp_path / "gapura.toml"
    file.write_text('[sites."x.localhost"]\nproxy = "nowhere"\ncolour = 1\n')
    with pytest.raises(ConfigError) as caught:
        finish(loop, load(loop, str(file)))
    assert {problem.line for problem in caught.value.problems} == {2, 3}


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (printing("no json"), "could not be loaded"),
        (printing(""), "could not be loaded"),
        (printing("[]"), "could not be loaded"),
        (printing('{"problems": [{"colour": 1}]}'), "could not be loaded"),
        (printing(json.dumps({"plan": {"format": 99}})), "another version"),
        (["/not/there"], "cannot be loaded: command not found"),
    ],
)
def test_a_config_process_that_fails(argv: list[str], message: str, loop: Loop) -> None:
    with pytest.raises(CommandError, match=message):
        finish(loop, load(loop, "f", argv))


def test_no_plan_and_no_problem_is_a_problem(loop: Loop) -> None:
    with pytest.raises(ConfigError, match="could not be loaded"):
        finish(loop, load(loop, "f", printing("{}")))


def test_no_descriptor_is_left_open(loop: Loop) -> None:
    before = descriptors()
    with pytest.raises(CommandError):
        finish(loop, load(loop, "f", printing("x")))
    assert descriptors() == before


def test_a_config_process_that_takes_too_long_is_ended(loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loader, "PATIENCE", 0.3)
    script = "import os, sys, time; os.symlink(str(os.getpid()), sys.argv[-1]); time.sleep(60)"
    with pytest.raises(CommandError, match="takes longer than"):
        finish(loop, load(loop, str(tmp_path / "pid"), [sys.executable, "-S", "-c", script]))
    _, status = os.waitpid(int(os.readlink(tmp_path / "pid")), 0)
    assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL
