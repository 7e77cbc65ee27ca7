from __future__ import annotations

import json
import os
import pwd
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gapura.config.__main__ import main

Configure = Callable[..., str]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "gapura.config", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_a_plan_is_printed(configure: Configure) -> None:
    us = pwd.getpwuid(os.geteuid()).pw_name
    file = configure(f'[sites."a.b"]\nrespond = "x"\n[edge]\nuser = "{us}"\n')
    done = run("load", file)
    assert (done.returncode, done.stderr) == (0, "")
    document = json.loads(done.stdout)
    assert document["plan"]["file"] == file
    assert document["warnings"] == []


def test_problems_are_printed(configure: Configure) -> None:
    done = run("load", configure("[edge]\nworkers = 0\n"))
    assert (done.returncode, done.stderr) == (78, "")
    [problem] = json.loads(done.stdout)["problems"]
    assert (problem["line"], problem["column"], problem["warning"]) == (2, 11, False)


@pytest.mark.parametrize("raw", [b"\xff", b"\0", b"[" * 60_000, b"a = " + b"[" * 60_000, b"=" * 100, b"x" * (2 << 20)])
def test_bad_files_give_no_traceback(tmp_path: Path, capsys: pytest.CaptureFixture[str], raw: bytes) -> None:
    (tmp_path / "gapura.toml").write_bytes(raw)
    assert main(["load", str(tmp_path / "gapura.toml")]) == 78
    assert len(json.loads(capsys.readouterr().out)["problems"]) == 1


@pytest.mark.parametrize("arguments", [[], ["load"], ["x", "y"], ["load", "a", "b"]])
def test_usage(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    assert main(arguments) == 2
    assert "usage" in capsys.readouterr().err
