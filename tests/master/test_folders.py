"""The state folders: whose they are, who gets in."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import pytest

from gapura.errors import CommandError
from gapura.master import folders

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give files away")


@pytest.fixture
def plan(tmp_path: Path) -> Any:
    state = tmp_path / ".gapura"
    logs = state / "logs"
    return {
        "edge": {"user": "", "log_files": [{"path": str(logs / name), "rotate": None} for name in ("access.log", "error.log")]},
        "paths": {"run": str(state), "logs": str(logs), "lib": str(state / "lib")},
    }


def mode(path: str | Path) -> int:
    return stat.S_IMODE(os.stat(path).st_mode)


def test_they_are_made_for_us_alone(plan: Any) -> None:
    folders.make(plan["paths"])
    folders.admit(plan)
    made = [*plan["paths"].values(), folders.pipes(plan["paths"])]
    assert [mode(folder) for folder in made] == [0o700] * 4
    assert os.listdir(plan["paths"]["logs"]) == []
    folders.make(plan["paths"])


@pytest.mark.parametrize(("before", "after"), [(0o777, 0o755), (0o770, 0o750), (0o755, 0o755), (0o700, 0o700)])
def test_others_lose_the_right_to_write_there(plan: Any, before: int, after: int) -> None:
    run = Path(plan["paths"]["run"])
    run.mkdir()
    run.chmod(before)
    folders.make(plan["paths"])
    assert mode(run) == after


@pytest.mark.parametrize("name", ["run", "logs", "lib"])
@pytest.mark.parametrize("kind", ["link", "dangling link", "file"])
def test_what_is_no_folder_is_refused(plan: Any, name: str, kind: str, tmp_path: Path) -> None:
    path = Path(plan["paths"][name])
    path.parent.mkdir(exist_ok=True)
    if kind == "file":
        path.touch()
    else:
        path.symlink_to(tmp_path if kind == "link" else "nowhere")
    with pytest.raises(CommandError, match="is not a folder of its own") as caught:
        folders.make(plan["paths"])
    assert caught.value.hint
    assert not (tmp_path / "nowhere").exists()


@as_root
def test_a_folder_of_somebody_else_is_refused(plan: Any) -> None:
    folders.make(plan["paths"])
    os.chown(plan["paths"]["run"], 65534, -1)
    with pytest.raises(CommandError, match="belongs to nobody, and Gapura runs as root") as caught:
        folders.make(plan["paths"])
    assert "rm -r" in caught.value.hint


@as_root
def test_the_edges_user_gets_through_and_has_its_logs(plan: Any) -> None:
    plan["edge"]["user"] = "nobody"
    folders.make(plan["paths"])
    folders.admit(plan)
    run, logs, lib = plan["paths"].values()
    assert [mode(folder) for folder in (run, logs, lib)] == [0o711, 0o711, 0o700]
    for name in ("access.log", "error.log"):
        facts = os.stat(f"{logs}/{name}")
        assert (facts.st_uid, stat.S_IMODE(facts.st_mode)) == (65534, 0o640)


@as_root
def test_a_file_with_another_name_is_not_given_away(plan: Any, tmp_path: Path) -> None:
    plan["edge"]["user"] = "nobody"
    folders.make(plan["paths"])
    secret = tmp_path / "secret"
    secret.touch(0o600)
    os.link(secret, plan["edge"]["log_files"][0]["path"])
    with pytest.raises(CommandError, match="the file has another name as well"):
        folders.admit(plan)
    assert secret.stat().st_uid == 0


@as_root
def test_a_log_that_is_a_link_is_not_followed(plan: Any, tmp_path: Path) -> None:
    plan["edge"]["user"] = "nobody"
    folders.make(plan["paths"])
    secret = tmp_path / "secret"
    secret.touch(0o600)
    Path(plan["edge"]["log_files"][0]["path"]).symlink_to(secret)
    with pytest.raises(OSError, match="symbolic links"):
        folders.admit(plan)
    assert secret.stat().st_uid == 0
