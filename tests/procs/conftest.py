"""Real processes for tests: launched through the code itself, and their trees ended whatever happens."""

from __future__ import annotations

import os
import signal
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gapura.config.plan import AppPlan
from gapura.procs import launch, tree
from gapura.procs.output import Output

App = Callable[..., AppPlan]
Launched = tuple[launch.Process, str]


def until(condition: Callable[[], object], seconds: float = 60.0) -> None:
    """Wait for a condition, at most so long."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the condition did not come true"
        time.sleep(0.005)


def script(folder: Path, text: str) -> str:
    """The command that runs a Python program with this text."""
    path = folder / f"{uuid.uuid4().hex}.py"
    path.write_text(text)
    return f"{sys.executable} -S {path}"


@pytest.fixture
def app(tmp_path: Path) -> App:
    """Makes the plan of an app."""

    def make(command: str, **other: object) -> AppPlan:
        plan: AppPlan = {
            "name": "shop", "command": command, "directory": str(tmp_path), "instances": 1, "port": 0, "host": "127.0.0.1",
            "env": {}, "user": "", "stop_signal": "SIGTERM", "stop_timeout": 5.0, "drain_timeout": 5.0, "start_timeout": 30.0,
            "autorestart": True, "max_restarts": 0, "max_memory": 0, "ready_path": "/", "log_size": 0, "log_files": 0,
        }  # fmt: skip
        plan.update(other)  # type: ignore[typeddict-item]
        return plan

    return make


@pytest.fixture
def output(tmp_path: Path) -> Iterator[Output]:
    """The output of one instance."""
    made = Output("shop-0", str(tmp_path / "pipes"), str(tmp_path / "logs"), 0, 0)
    yield made
    made.close(remove=True)


@pytest.fixture
def run(app: App, output: Output) -> Iterator[Callable[..., Launched]]:
    """Launches a command as an instance; answers the process and its mark. Its tree is ended after the test."""
    launched: list[Launched] = []

    def start(command: str, port: int = 3000, nofile_soft: int = 0, **other: object) -> Launched:
        plan = app(command, **other)
        mark = uuid.uuid4().hex
        argv, env = launch.command_line(plan, port), launch.environment(plan, 0, port, mark)
        process = launch.spawn(
            argv, plan["directory"], env, plan["user"], output.stdin_fd, output.output_fd, nofile_soft
        )  # fmt: skip
        launched.append((process, mark))
        return process, mark

    yield start
    for process, mark in launched:
        assert tree.kill_trees([(process.pid, mark, process.started)], patience=5.0) == []
        try:
            os.waitpid(process.pid, 0)
        except ChildProcessError:
            pass  # the test has reaped it


@pytest.fixture
def printed(output: Output) -> Callable[[int], list[str]]:
    """Waits until so many lines have been printed, and answers them."""

    def wait(count: int) -> list[str]:
        until(lambda: output.read(time.monotonic()) * 0 or len(output.tail()) >= count)
        return output.tail()

    return wait


def reap(process: launch.Process) -> int:
    """Wait for the end of a process; its exit status, negative for a signal."""
    return os.waitstatus_to_exitcode(os.waitpid(process.pid, 0)[1])


def stop(pid: int) -> None:
    """SIGKILL, for clean-up."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
