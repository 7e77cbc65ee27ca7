"""As whom workers run, and what stands in the way."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gapura.config import reach
from gapura.config.findings import Findings
from gapura.config.load import examine
from gapura.config.reach import check_app_folders, edge_user, first_obstacle

Configure = Callable[..., str]
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


class Answer:
    """What came of a file: the user, and what was said."""

    def __init__(self, file: str) -> None:
        loaded = examine(file)
        findings = Findings(loaded.sources)
        self.user = edge_user(findings, loaded.plan)
        check_app_folders(findings, loaded.plan)
        self.errors = [f"{problem.line}: {problem.message}" for problem in findings.problems]
        self.warnings = [problem.message for problem in findings.warnings]
        assert all(problem.hint for problem in [*findings.problems, *findings.warnings])


@pytest.fixture
def root(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Root starts Gapura; the answer says which paths have which obstacle for everybody else."""
    obstacles: dict[str, str] = {}
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(
        reach, "first_obstacle", lambda user, paths: next((text for path, text in obstacles.items() if path in paths), "")
    )
    return obstacles


def test_root_takes_nobody_unless_told_otherwise(configure: Configure, root: dict[str, str]) -> None:
    assert Answer(configure("")).user == "nobody"
    assert Answer(configure('[edge]\nuser = "daemon"\n')).user == "daemon"
    answer = Answer(configure('[edge]\nuser = "root"\n'))
    assert (answer.user, answer.errors, answer.warnings) == ("", [], [])


def test_where_nobody_cannot_reach_the_program_workers_stay_root_and_it_is_said(configure: Configure, root: dict[str, str]) -> None:
    root[reach.__file__] = "nobody may not enter the folder /root"
    answer = Answer(configure(""))
    assert (answer.user, answer.errors) == ("", [])
    assert answer.warnings == ["workers run as root, because as nobody they cannot: nobody may not enter the folder /root"]


def test_a_user_who_was_asked_for_is_never_replaced_by_root(configure: Configure, root: dict[str, str]) -> None:
    root[reach.__file__] = "daemon may not enter the folder /root"
    assert Answer(configure('[edge]\nuser = "daemon"\n')).errors == [
        "2: workers cannot run as daemon: daemon may not enter the folder /root"
    ]
    assert Answer(configure('[edge]\nuser = "no-such-user"\n')).errors == ['2: there is no user "no-such-user" on this machine']


def test_a_folder_that_workers_cannot_enter_is_told(configure: Configure, root: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "build").mkdir()
    root[str(tmp_path / "build")] = "nobody may not enter the folder /root"
    answer = Answer(configure('[sites."a.b"]\nfiles = "build"\n'))
    assert answer.errors == ["2: workers run as nobody, and nobody may not enter the folder /root"]


def test_a_folder_that_an_app_cannot_enter_is_told(configure: Configure, root: dict[str, str], tmp_path: Path) -> None:
    root[str(tmp_path)] = "daemon may not enter the folder /root"
    answer = Answer(configure('[apps.a]\ncommand = "true"\nuser = "daemon"\n'))
    assert [line.partition(": ")[2] for line in answer.errors] == [
        "the app runs as daemon, and daemon may not enter the folder /root"
    ]


def test_who_is_not_root_stays_who_he_is(configure: Configure, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    assert Answer(configure("")).user == ""
    answer = Answer(configure('[edge]\nuser = "nobody"\n'))
    assert (answer.user, answer.errors) == ("", [])
    assert answer.warnings == ["only root can run something as another user"]


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that everybody may enter, and one in it that only root may."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "closed" / "build").mkdir(parents=True)
        (folder / "closed").chmod(0o700)
        yield folder


@as_root
def test_real_folders(open_folder: Path) -> None:
    closed = open_folder / "closed"
    assert first_obstacle("nobody", [str(open_folder), "/bin/sh"]) == ""
    assert first_obstacle("nobody", [str(open_folder), str(closed / "build")]) == f"nobody may not enter the folder {closed}"
    (open_folder / "link").symlink_to(closed / "build")
    assert first_obstacle("nobody", [str(open_folder / "link")]) != ""
    closed.chmod(0o755)
    assert first_obstacle("nobody", [str(open_folder / "link")]) == ""
    secret = open_folder / "secret"
    secret.touch(0o600)
    assert first_obstacle("nobody", [str(secret)]) == f"nobody may not read {secret}"
    assert first_obstacle("no-such-user", ["/"]) == "there is no user no-such-user"


def test_a_file_of_passwords_that_workers_may_not_read(configure: Configure, root: dict[str, str], tmp_path: Path) -> None:
    text = """
[sites."a.example"]
respond = "x"
basic_auth = "people"
[[sites."a.example".routes]]
path = "/b"
respond = "y"
[[sites."a.example".routes]]
path = "/c"
respond = "y"
jwt = { keys = "key" }
"""
    file = configure(text, people="", key="x" * 32)
    assert Answer(file).errors == []
    root[str(tmp_path / "people")] = "nobody may not read people"
    root[str(tmp_path / "key")] = "nobody may not read key"
    answer = Answer(file)
    assert [error.partition(": ")[2] for error in answer.errors] == [
        "workers run as nobody, and nobody may not read people", "workers run as nobody, and nobody may not read key",
    ]  # fmt: skip
