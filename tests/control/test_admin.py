"""The doors of the admin API before and while it is loaded; tests/journeys/test_admin.py has the rest."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from gapura.config.plan import Plan
from gapura.control import admin as module
from gapura.control.admin import Admin
from gapura.control.api.context import Context


class Server:
    """Takes connections and answers nothing."""

    def __init__(self) -> None:
        self.doors: list[str] = []
        self.clients: list[socket.socket] = []

    def accept(self, door: str, listening: socket.socket) -> None:
        self.doors.append(door)
        self.clients.append(listening.accept()[0])

    def close(self) -> None:
        for client in self.clients:
            client.close()


def listening(path: Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    sock.bind(str(path))
    sock.listen()
    return sock


def visitor(path: Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(str(path))
    sock.setblocking(False)
    return sock


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not true():
            await asyncio.sleep(0.005)


def test_nothing_is_loaded_until_somebody_knocks_and_the_loop_goes_on_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, go_on, loads = Server(), threading.Event(), []

    def load(loop: object, context: object) -> Server:
        loads.append(threading.current_thread())
        assert go_on.wait(60)
        return server

    monkeypatch.setattr(module, "_load", load)

    async def run() -> None:
        admin = Admin(asyncio.get_running_loop(), Context(lambda message: False))
        admin.open(["admin", "dashboard"], [listening(tmp_path / name).detach() for name in ("admin", "dashboard")])
        await asyncio.sleep(0)
        assert loads == []
        clients = [visitor(tmp_path / name) for name in ("admin", "dashboard", "admin")]
        await until(lambda: loads)
        beats = 0
        for _ in range(10):
            await asyncio.sleep(0)
            beats += 1
        assert (beats, server.doors) == (10, [])
        go_on.set()
        await until(lambda: len(server.doors) == 3)
        assert sorted(server.doors) == ["admin", "admin", "dashboard"]
        assert len(loads) == 1
        assert loads[0] is not threading.main_thread()
        admin.close()
        for client in clients:
            client.close()

    asyncio.run(run())


def test_when_it_cannot_be_loaded_nobody_waits_and_the_next_one_tries_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Server()
    outcomes: list[Any] = [ImportError("no module named fastapi"), server]

    def load(loop: object, context: object) -> Any:
        outcome = outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    monkeypatch.setattr(module, "_load", load)

    async def run() -> None:
        loop = asyncio.get_running_loop()
        admin = Admin(loop, Context(lambda message: False))
        admin.open(["admin"], [listening(tmp_path / "a").detach()])
        first = visitor(tmp_path / "a")
        assert await asyncio.wait_for(loop.sock_recv(first, 1), 60) == b""
        second = visitor(tmp_path / "a")
        await until(lambda: server.doors == ["admin"])
        admin.close()
        first.close()
        second.close()

    asyncio.run(run())


def plan(port: int) -> Plan:
    listen = {"host": "127.0.0.1", "port": port} if port else None
    return cast(Plan, {"admin": {"dashboard": True, "listen": listen, "loopback": "", "metrics_from": []}})


def test_a_port_that_is_taken_is_had_when_it_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    """While control is replaced the old one still has it."""
    monkeypatch.setattr(module, "RETRY", 0.01)

    def reachable(port: int) -> bool:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            return False
        return True

    async def run() -> None:
        admin = Admin(asyncio.get_running_loop(), Context(lambda message: False))
        old = socket.create_server(("127.0.0.1", 0), reuse_port=False)
        port = old.getsockname()[1]
        admin.apply(plan(port))
        assert "port" not in admin._sockets
        old.close()
        await until(lambda: "port" in admin._sockets)
        same = admin._sockets["port"]
        admin.apply(plan(port))
        assert admin._sockets["port"] is same
        admin.apply(plan(0))
        assert not reachable(port)
        admin.close()

    asyncio.run(run())
