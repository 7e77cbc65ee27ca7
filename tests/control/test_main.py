"""The control process itself, executed as the master executes it and spoken to as the master speaks to it."""

from __future__ import annotations

import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gapura import ipc
from gapura.board import (
    CONTROL_ROW,
    DOWN_AT,
    H_USED,
    HEALTH,
    HEALTHY,
    HIT_AT,
    P_BEAT,
    P_GENERATION,
    PORT,
    READY,
    READY_AT,
    REFUSED,
    STATE,
    UNHEALTHY,
    Board,
)
from gapura.metrics import Metrics
from gapura.records import Records

HEALTH_PLAN = {"path": "/", "host": "x", "interval": 0.1, "timeout": 0.3, "misses": 2, "hits": 1, "fast_interval": 0.05}
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


def until(true: Callable[[], object], within: float = 60.0) -> None:
    """Wait for a condition; AssertionError when it does not come true."""
    end = time.monotonic() + within
    while not true():
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.01)


class Server:
    """A server on a port of its own, which answers as long as `answers` is set, and otherwise hangs."""

    def __init__(self) -> None:
        self.answers = threading.Event()
        self.answers.set()
        self.sock = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.sock.getsockname()[1]
        self.checks = 0
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            self.answers.wait()
            try:
                client, _ = self.sock.accept()
            except OSError:
                return
            with client:
                self.answers.wait()
                try:
                    client.recv(4096)
                    client.sendall(ANSWER)
                    self.checks += 1
                except OSError:
                    pass

    def close(self) -> None:
        self.answers.set()
        self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()


class Master:
    """What a master is to control: a channel, a board and plans."""

    def __init__(self, run: Path) -> None:
        self.run = run
        self.board = Board.create(1)
        self.cells = self.board.cells
        self.cells[H_USED] = 1
        self.channel, theirs = ipc.pair()
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "gapura.control", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stderr=subprocess.PIPE,
            )
        self.messages: list[ipc.Message] = []
        self.shared = {"board": self.board.fd, "records": Records.create().fd, "metrics": Metrics.create().fd}
        welcome = {"type": "welcome", "column": -1, "heartbeat": 0.05, "memories": list(self.shared)}
        self.channel.send(welcome, tuple(self.shared.values()))
        self.generation = 0

    def plan(self, ports: list[int], app: bool = False, health: dict[str, Any] | None = HEALTH_PLAN) -> dict[str, Any]:
        """A plan with one upstream of servers on these ports, slots numbered from 0."""
        servers = [
            {
                "id": f"api:{slot}" if app else f"127.0.0.1:{port}",
                "host": "127.0.0.1",
                "port": 0 if app else port,
                "path": "",
                "name": "",
                "max_fails": 1,
                "fail_timeout": 10.0,
                "max_conns": 0,
                "backup": False,
                "down": False,
                "slots": [slot],
            }
            for slot, port in enumerate(ports)
        ]
        for slot, port in enumerate(ports):
            at = self.board.slot(slot)
            self.cells[at + PORT] = port
            self.cells[at + READY_AT] = time.monotonic_ns()
            self.cells[at + STATE] = READY
        apps = {"api": {"log_size": 0, "log_files": 1}} if app else {}
        return {
            "paths": {"run": str(self.run), "logs": str(self.run / "logs"), "lib": ""},
            "edge": {"acme": None, "user": ""},
            "sites": [],
            "apps": apps,
            "upstreams": {"api": {"name": "api", "app": app, "servers": servers, "names": [], "health": health, "tls": None}},
        }

    def commit(self, plan: dict[str, Any]) -> None:
        self.generation += 1
        self.channel.send({"type": "prepare", "generation": self.generation, "plan": plan})
        self.expect("prepared")
        self.channel.send({"type": "commit", "generation": self.generation})
        self.expect("committed")

    def expect(self, kind: str, channel: ipc.Channel | None = None) -> ipc.Message:
        """The next message of this kind."""
        channel = channel or self.channel
        end = time.monotonic() + 60
        while True:
            for message in self.messages:
                if message["type"] == kind:
                    self.messages.remove(message)
                    return message
            assert select.select([channel], [], [], max(0, end - time.monotonic()))[0], f"no {kind}"
            for message, fds in channel.receive():
                message["fds"] = fds
                self.messages.append(message)

    def cell(self, slot: int, cell: int) -> int:
        return int(self.cells[self.board.slot(slot) + cell])

    def row(self, cell: int) -> int:
        return int(self.cells[self.board.process(CONTROL_ROW) + cell])

    def close(self) -> None:
        self.channel.close()
        self.process.kill()
        self.process.wait()
        assert self.process.stderr
        self.process.stderr.close()
        self.board.close()
        for fd in self.shared.values():
            os.close(fd)


@pytest.fixture
def master(tmp_path: Path) -> Iterator[Master]:
    run = tmp_path / "run"
    run.mkdir()
    one = Master(run)
    yield one
    one.close()


@pytest.fixture
def servers() -> Iterator[list[Server]]:
    both = [Server(), Server()]
    yield both
    for server in both:
        server.close()


def test_it_says_hello_beats_and_stops(master: Master) -> None:
    assert master.expect("hello")["role"] == "control"
    until(lambda: master.row(P_BEAT))
    first = master.row(P_BEAT)
    until(lambda: master.row(P_BEAT) > first)
    master.channel.send({"type": "stop"})
    assert master.process.wait(20) == 0


def test_a_generation_is_served_only_when_committed(master: Master, servers: list[Server]) -> None:
    master.commit(master.plan([servers[0].port]))
    assert master.row(P_GENERATION) == 1
    master.channel.send({"type": "prepare", "generation": 2, "plan": master.plan([servers[1].port])})
    master.expect("prepared")
    master.channel.send({"type": "abort", "generation": 2})
    master.channel.send({"type": "commit", "generation": 2})
    seen = servers[0].checks
    until(lambda: servers[0].checks > seen + 2)
    assert servers[1].checks == 0
    assert master.row(P_GENERATION) == 1


@pytest.mark.parametrize(
    "message",
    [
        {"type": "prepare"},
        {"type": "prepare", "generation": 9, "plan": None},
        {"type": "prepare", "generation": 9, "plan": {}},
        {"type": "prepare", "generation": "x", "plan": {"upstreams": {}}},
        {"type": "commit"},
        {"type": "commit", "generation": 77},
        {"type": "abort"},
        {"type": "welcome"},
        {"type": "no such thing"},
        {"type": None},
        {},
    ],
)
def test_a_strange_message_does_no_harm(master: Master, servers: list[Server], message: dict[str, Any]) -> None:
    master.channel.send(message)
    master.commit(master.plan([servers[0].port]))
    until(lambda: servers[0].checks)


def test_a_hung_server_leaves_and_returns(master: Master, servers: list[Server]) -> None:
    master.commit(master.plan([server.port for server in servers]))
    until(lambda: all(server.checks for server in servers))
    servers[0].answers.clear()
    until(lambda: master.cell(0, HEALTH) == UNHEALTHY)
    assert master.cell(1, HEALTH) == HEALTHY
    back = time.monotonic_ns()
    servers[0].answers.set()
    until(lambda: master.cell(0, HEALTH) == HEALTHY)
    assert master.cell(0, HIT_AT) >= back


def test_a_refused_server_that_answers_is_off_the_bench(master: Master, servers: list[Server]) -> None:
    master.commit(master.plan([servers[0].port]))
    mark = time.monotonic_ns() | REFUSED
    master.cells[master.board.slot(0) + DOWN_AT] = mark
    until(lambda: master.cell(0, HIT_AT) > mark)


def test_an_instance_is_asked_on_the_port_of_the_board(master: Master, servers: list[Server]) -> None:
    master.commit(master.plan([servers[0].port], app=True))
    until(lambda: servers[0].checks)
    at = master.board.slot(0)
    master.cells[at + PORT] = servers[1].port
    master.cells[at + READY_AT] = time.monotonic_ns()
    until(lambda: servers[1].checks)


def test_checks_turned_off_by_a_reload_leave_the_server_healthy(master: Master, servers: list[Server]) -> None:
    ports = [server.port for server in servers]
    master.commit(master.plan(ports))
    servers[0].answers.clear()
    until(lambda: master.cell(0, HEALTH) == UNHEALTHY)
    master.commit(master.plan(ports, health=None))
    assert master.cell(0, HEALTH) == HEALTHY


def test_what_is_known_of_a_server_outlives_a_reload(master: Master, servers: list[Server]) -> None:
    ports = [server.port for server in servers]
    master.commit(master.plan(ports))
    servers[0].answers.clear()
    until(lambda: master.cell(0, HEALTH) == UNHEALTHY)
    plan = master.plan(ports)
    master.commit(plan | {"paths": {**plan["paths"], "lib": "/elsewhere"}})
    assert master.cell(0, HEALTH) == UNHEALTHY
    servers[0].answers.set()
    until(lambda: master.cell(0, HEALTH) == HEALTHY)


def test_a_name_that_resolves_is_told(master: Master) -> None:
    plan = master.plan([1])
    plan["upstreams"]["api"]["names"] = [{"host": "127.0.0.9", "port": 3000, "server": {}}]
    master.commit(plan)
    told = master.expect("resolved")
    assert (told["upstream"], told["host"], told["port"], told["addresses"]) == ("api", "127.0.0.9", 3000, ["127.0.0.9"])


def control_socket(run: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(ipc.socket_path(str(run)))
    listener.listen()
    return listener


def test_an_orphan_goes_on_and_finds_the_new_master(master: Master, servers: list[Server]) -> None:
    master.commit(master.plan([server.port for server in servers]))
    master.channel.close()
    seen = servers[0].checks
    until(lambda: servers[0].checks > seen + 2)
    servers[0].answers.clear()
    until(lambda: master.cell(0, HEALTH) == UNHEALTHY)
    servers[0].answers.set()
    with control_socket(master.run) as listener:
        listener.settimeout(60)
        channel = ipc.Channel(listener.accept()[0])
        orphan = master.expect("orphan", channel)
        assert {key: orphan[key] for key in ("role", "pid", "column", "generation", "addresses", "draining")} == {
            "role": "control",
            "pid": master.process.pid,
            "column": -1,
            "generation": 1,
            "addresses": [],
            "draining": False,
        }
        (fd,) = orphan["fds"]
        board = Board(fd)
        until(lambda: board.cells[board.slot(0) + HEALTH] == HEALTHY)
        board.close()
        os.close(fd)
        channel.send({"type": "stop"})
        assert master.process.wait(20) == 0
        channel.close()


def test_an_orphan_keeps_apps_from_blocking_and_hands_their_pipes_over(master: Master, servers: list[Server]) -> None:
    from gapura.procs.output import Output

    pipes, logs = master.run / "pipes", master.run / "logs"
    logs.mkdir()
    output = Output("api-0", str(pipes), str(logs), 0, 1)
    writer = os.dup(output.output_fd)
    master.channel.send({"type": "output", "name": "gone-0"}, output.lent)
    master.channel.send({"type": "output", "name": "gone-0"})
    master.channel.send({"type": "output", "name": "api-0"}, output.lent)
    master.commit(master.plan([servers[0].port], app=True))
    master.channel.close()
    os.set_blocking(writer, False)
    log = logs / "api-0.log"

    def written() -> bool:
        try:
            os.write(writer, b"a line of the app\n")
        except BlockingIOError:
            pass
        return log.exists() and log.stat().st_size > 4 << 20

    end = time.monotonic() + 60
    while not written():
        assert time.monotonic() < end, "the pipe is not read"
    with control_socket(master.run) as listener:
        listener.settimeout(60)
        channel = ipc.Channel(listener.accept()[0])
        master.expect("orphan", channel)
        while output.read(0.0):
            pass
        os.write(writer, b"for the new master\n")
        assert select.select([output.fileno()], [], [], 20)[0]
        assert output.read(0.0) == len(b"for the new master\n"), "nobody else reads the pipe any more"
        channel.send({"type": "stop"})
        assert master.process.wait(20) == 0
        channel.close()
    os.close(writer)
    output.close(remove=True)


def test_an_orphan_whose_run_folder_is_gone_ends(master: Master, servers: list[Server]) -> None:
    master.commit(master.plan([servers[0].port]))
    shutil.rmtree(master.run)
    master.channel.close()
    assert master.process.wait(20) == 0


def test_an_orphan_without_a_plan_ends(master: Master) -> None:
    master.expect("hello")
    master.channel.close()
    assert master.process.wait(20) == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGPIPE])
def test_signals_meant_for_the_master_do_not_end_it(master: Master, servers: list[Server], number: signal.Signals) -> None:
    master.commit(master.plan([servers[0].port]))
    master.process.send_signal(number)
    seen = servers[0].checks
    until(lambda: servers[0].checks > seen + 1)


def test_it_stays_small() -> None:
    heavy = "heavy = {'pydantic', 'uvloop', 'click', 'rich', 'acme', 'josepy', 'cryptography', 'requests', 'dns'}"
    code = f"import sys, gapura.control.__main__; {heavy}; print(*(set(sys.modules) & heavy))"
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
