"""`gapura diff`: what a reload would change."""

from __future__ import annotations

import json
from typing import Any

from .conftest import FakeMaster

DIFF = "--- gapura.toml (running)\n+++ gapura.toml\n@@ -1 +1 @@\n-a\n+b\n"
PROBLEM = {
    "message": "it is wrong",
    "file": "gapura.toml",
    "line": 2,
    "column": 1,
    "text": "x",
    "hint": "",
    "width": 1,
    "warning": False,
}


def answer(master: FakeMaster, **found: Any) -> None:
    plain: dict[str, Any] = {"valid": True, "problems": [], "changes": [], "diff": "", "overrides": []}
    master.says["config_check"] = [master.ok(**plain | found)]


def test_lines_and_what_they_do(master: FakeMaster, gapura: Any) -> None:
    answer(master, diff=DIFF, changes=["site a.b added"], overrides=["upstream api: server x added by a command"])
    done = gapura("diff")
    assert done.out == DIFF + "site a.b added\nstays: upstream api: server x added by a command\n"
    assert (done.status, master.commands("config_check")) == (0, [{}])


def test_nothing(master: FakeMaster, gapura: Any) -> None:
    answer(master)
    assert gapura("diff").out == "Nothing would change: what runs is what gapura.toml says.\n"


def test_what_a_reload_would_refuse(master: FakeMaster, gapura: Any) -> None:
    answer(master, valid=False, problems=[PROBLEM], diff=DIFF, overrides=["x"])
    done = gapura("diff")
    assert (done.status, done.out) == (78, DIFF)
    assert "gapura.toml:2:1: it is wrong" in done.err


def test_json(master: FakeMaster, gapura: Any) -> None:
    answer(master, changes=["site a.b added"])
    assert json.loads(gapura("diff", "--json").out)["changes"] == ["site a.b added"]


def test_nobody_runs(folder: Any, gapura: Any) -> None:
    done = gapura("diff")
    assert done.status == 1
    assert "gapura is not running here" in done.err.lower()
