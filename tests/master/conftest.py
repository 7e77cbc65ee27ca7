"""What the master's tests share: a loop that runs until something is so, plans, a board, small real apps."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gapura.board import Board
from gapura.config.plan import AppPlan, Plan
from gapura.errors import ConfigError
from gapura.master.children import Children
from gapura.master.fleet import Fleet
from gapura.master.instance import Ground
from gapura.master.loop import Loop, Steps
from gapura.master.ports import Ports
from gapura.master.reload import Door
from gapura.master.slots import Slots
from gapura.master.sockets import Sockets

FAKES = Path(__file__).parent / "fakes"
FAKE = [sys.executable, "-P", str(FAKES / "child.py")]
APP = [sys.executable, "-S", "-E", str(FAKES / "app.py")]


def turn_until(loop: Loop, condition: Callable[[], bool], seconds: float = 60.0) -> None:
    """Run the loop until the condition holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "this never happened"
        loop.turn(0.01)


def finish(loop: Loop, steps: Steps[Any], seconds: float = 60.0) -> Any:
    """Run a task to its end; its result."""
    task = loop.start("test", steps, lambda task: None)
    turn_until(loop, lambda: task.done, seconds)
    if task.error is not None:
        raise task.error
    return task.result


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def app_plan(**changes: Any) -> AppPlan:
    plan: dict[str, Any] = {
        "name": "film",
        "command": " ".join(APP),
        "directory": "/",
        "instances": 1,
        "port": 0,
        "host": "127.0.0.1",
        "env": {},
        "user": "",
        "stop_signal": "SIGTERM",
        "stop_timeout": 3.0,
        "drain_timeout": 3.0,
        "start_timeout": 10.0,
        "autorestart": True,
        "max_restarts": 0,
        "max_memory": 0,
        "ready_path": "/",
        "log_size": 1 << 20,
        "log_files": 2,
    }
    return {**plan, **changes}  # type: ignore[typeddict-item, return-value]


def server_plan(name: str, **changes: Any) -> dict[str, Any]:
    server = {"id": name, "host": "127.0.0.1", "port": 9, "path": "", "name": "", "weight": 1, "max_fails": 1, "fail_timeout": 10.0}
    return {**server, "max_conns": 0, "backup": False, "down": False, "slots": [], **changes}


def upstream_plan(name: str, servers: list[str], app: bool = False, **changes: Any) -> dict[str, Any]:
    port = 0 if app else 9
    plan = {"name": name, "app": app, "policy": "round_robin", "servers": [server_plan(item, port=port) for item in servers]}
    return {**plan, "names": [], "health": None, "hold": 3.0, **changes}


def make_plan(folder: Path, *apps: AppPlan, port: int = 0, workers: int = 1, **upstreams: dict[str, Any]) -> Plan:
    """A small plan; without `port` nothing is listened on."""
    run = str(folder / "run")
    listens = [{"host": "127.0.0.1", "port": port, "tls": False}] if port else []
    edge = {
        "http": listens,
        "https": [],
        "workers": workers,
        "user": "",
        "backlog": 64,
        "timeouts": {"drain": 5.0},
        "error_log": "-",
    }
    for app in apps:
        upstreams[app["name"]] = upstream_plan(app["name"], [f"{app['name']}:{i}" for i in range(app["instances"])], app=True)
    return {  # type: ignore[typeddict-item, return-value]
        "format": 1,
        "file": str(folder / "gapura.toml"),
        "folder": str(folder),
        "paths": {"run": run, "logs": str(folder / "logs"), "lib": str(folder / "lib")},
        "edge": {**edge, "access_log": {"path": ""}, "log_files": []},
        "apps": {app["name"]: app for app in apps},
        "upstreams": upstreams,
        "sites": [],
    }


@pytest.fixture
def loop() -> Iterator[Loop]:
    loop = Loop()
    yield loop
    loop.close()


@pytest.fixture
def board() -> Iterator[Board]:
    board = Board.create(time.monotonic_ns())
    yield board
    board.close()
    os.close(board.fd)


@pytest.fixture
def ground(loop: Loop, board: Board, tmp_path: Path) -> Ground:
    """Surroundings of instances without workers."""
    (tmp_path / "pipes").mkdir()
    (tmp_path / "logs").mkdir()
    return Ground(loop, board, Ports(), list, lambda: None, str(tmp_path / "pipes"), str(tmp_path / "logs"), 1024)


def alive(pid: int) -> bool:
    """Whether a process runs (a zombie does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def end(pid: int) -> None:
    """Kill a child of the test and reap it."""
    try:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    except (ProcessLookupError, ChildProcessError):
        pass


class House:
    """A door with real children that only speak the messages, and apps."""

    def __init__(self, ground: Ground) -> None:
        self.loop = ground.loop
        self.plan: Plan | ConfigError = ConfigError([])
        argv = {"worker": [*FAKE, "worker", "good"], "control": [*FAKE, "control", "good"]}
        sockets = Sockets()
        self.children = Children(ground.loop, ground.board, sockets, argv)
        slots = Slots(ground.board, self.children.columns)
        self.fleet = Fleet(ground, [])
        self.door = Door(ground.loop, ground.board, sockets, slots, self.children, self.fleet, self.load)
        ground.loop.every(0.01, self.reap)

    def load(self) -> Steps[Plan]:
        yield from ()
        if isinstance(self.plan, ConfigError):
            raise self.plan
        return self.plan

    def reload(self, plan: Plan) -> list[str]:
        self.plan = plan
        said: list[str] = finish(self.loop, self.door.reload())
        return said

    def reap(self) -> None:
        for child in self.children.crew[:]:
            if os.waitpid(child.pid, os.WNOHANG)[0]:
                self.children.ended(child, 0)
        for run in [run for item in self.fleet.instances for run in item.runs if not run.ended]:
            pid, raw = os.waitpid(run.pid, os.WNOHANG)
            if pid:
                self.fleet.reaped(pid, os.waitstatus_to_exitcode(raw))


@pytest.fixture
def house(ground: Ground) -> Iterator[House]:
    house = House(ground)
    yield house
    finish(house.loop, house.children.end(False, 0.0))
    finish(house.loop, house.fleet.end())
    house.door.sockets.close(house.door.sockets.addresses)
