from __future__ import annotations

import json
import os
import pwd
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

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


# -- texts in the place of files -------------------------------------------------------------------------------------------------

RUNS = '[sites."a.b"]\nrespond = "x"\n'


def ask(verb: str, file: str, **job: object) -> tuple[int, dict[str, Any]]:
    command = [sys.executable, "-P", "-m", "gapura.config", verb, file]
    done = subprocess.run(command, input=json.dumps(job), capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr == ""
    return done.returncode, json.loads(done.stdout)


def ours(text: str) -> str:
    return f'{text}[edge]\nhttp = 8080\nuser = "{pwd.getpwuid(os.geteuid()).pw_name}"\n'


def test_a_text_makes_a_plan_and_the_file_stays(configure: Configure) -> None:
    file = configure(ours(RUNS))
    text = ours(RUNS.replace("a.b", "c.d"))
    status, answer = ask("try", file, texts={file: text})
    assert (status, answer["plan"]["sites"][0]["hosts"], answer["texts"]) == (0, ["c.d"], {file: text})
    assert Path(file).read_text() == ours(RUNS)


def test_a_check_tells_problems_and_the_difference(configure: Configure) -> None:
    file = configure(ours(RUNS))
    _, answer = ask("check", file, texts={file: "[edge]\nworkers = 0\n"}, running={file: ours(RUNS)})
    [problem] = answer["problems"]
    assert (problem["line"], problem["column"], problem["text"]) == (2, 11, "workers = 0")
    assert "+workers = 0\n" in answer["diff"]
    assert "plan" not in answer
    _, answer = ask("check", file, running={file: ours(RUNS)})
    assert answer["plan"]["sites"][0]["hosts"] == ["a.b"]
    assert answer["diff"] == ""


@pytest.mark.parametrize("text", ["\ud800", "x" * (2 << 20), "a = " + "[" * 60_000, "=", "\0"])
def test_bad_texts_are_problems(configure: Configure, text: str) -> None:
    file = configure(ours(RUNS))
    for verb in ("try", "check"):
        assert len(ask(verb, file, texts={file: text})[1]["problems"]) == 1


def test_from_the_api_nothing_is_read_that_the_file_does_not_name(configure: Configure) -> None:
    """What the loader says of a file would tell its content."""
    file = configure(ours(RUNS), secret="not = a = variable\n")
    guard = ask("try", file)[1]["plan"]
    app = '[apps.x]\ncommand = "true"\n'
    for verb in ("try", "check"):
        text = ours(RUNS + app + 'env_file = "secret"\n')
        _, answer = ask(verb, file, texts={file: text}, running={file: ours(RUNS)}, guard=guard)
        [problem] = answer["problems"]
        assert problem["message"] == "this is not taken from the API: another file: secret"
        assert (problem["line"], problem["text"]) == (5, 'env_file = "secret"')
        assert "variable" not in json.dumps(answer["problems"])
        _, answer = ask(verb, file, texts={file: ours(RUNS + app)}, running={file: ours(RUNS)}, guard=guard)
        assert [problem["message"] for problem in answer["problems"]] == ["this is not taken from the API: another app"]


def test_a_server_that_is_added(configure: Configure) -> None:
    file = configure(ours('[upstreams.api]\nservers = ["10.0.0.1:80"]\n'))
    plan = ask("load", file)[1]["plan"]
    status, answer = ask("server", file, plan=plan, upstream="api", server={"address": "10.0.0.2", "weight": 2})
    assert (status, answer["server"]["id"], answer["server"]["weight"]) == (0, "10.0.0.2:80", 2)
    status, answer = ask("server", file, plan=plan, upstream="api", server={"address": "10.0.0.2", "weight": 0})
    assert (status, answer["problems"][0]["message"]) == (78, "weight must be from 1 to 10000")
