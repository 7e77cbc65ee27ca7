"""Who listens on a port."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from gapura import listening
from gapura.listening import command_of, listens, port_owner

SERVER = """
import os, socket, sys, time
sock = socket.create_server((sys.argv[1], 0), family=socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET)
print(sock.getsockname()[1], flush=True)
sys.stdin.read()
"""

Start = Callable[[str], tuple[int, int]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts a program that listens on an address; its pid and port."""
    started: list[subprocess.Popen[str]] = []

    def server(host: str) -> tuple[int, int]:
        argv = [sys.executable, "-S", "-c", SERVER, host]
        process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout is not None
        return process.pid, int(process.stdout.readline())

    yield server
    for process in started:
        process.communicate()


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock


@pytest.fixture(params=["netlink", "tables"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways to ask: the second is for sandboxes that forbid the first."""
    if request.param == "tables":

        def refuse() -> Iterator[listening.Listener]:
            raise PermissionError

        monkeypatch.setattr(listening, "_ask_kernel", refuse)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "::1", "::"])
def test_the_holder_of_a_port(start: Start, host: str) -> None:
    pid, port = start(host)
    owner = port_owner(port)
    assert owner is not None
    assert owner[0] == pid
    assert owner[1] == command_of(pid)
    assert listens([os.getpid(), pid], port)
    assert not listens([os.getpid()], port)
    assert not listens([], port)


@pytest.mark.usefixtures("way")
def test_a_free_port_has_no_holder(listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    assert port_owner(port) is not None
    listener.close()
    assert port_owner(port) is None
    assert not listens([os.getpid()], port)


@pytest.mark.usefixtures("way")
def test_a_connection_is_no_listener(listener: socket.socket) -> None:
    """Neither one that was accepted on the port, nor the one at its other end."""
    port = listener.getsockname()[1]
    with socket.create_connection(listener.getsockname()) as client, listener.accept()[0] as accepted:
        listener.close()
        assert accepted.getsockname()[1] == client.getpeername()[1] == port
        assert port_owner(port) is None
        assert port_owner(client.getsockname()[1]) is None


def test_more_sockets_than_one_answer_holds() -> None:
    socks = [socket.create_server(("127.0.0.1", 0)) for _ in range(300)]
    try:
        assert {sock.getsockname()[1] for sock in socks} <= {port for port, _ in listening._ask_kernel()}
    finally:
        for sock in socks:
            sock.close()


@pytest.mark.parametrize("owner", [None, (1, "another")])
def test_a_program_that_hides_its_descriptors(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch, owner: tuple[int, str] | None
) -> None:
    """It is believed to listen unless somebody else is seen to."""

    def hidden(pid: int) -> Iterator[bytes]:
        raise PermissionError

    monkeypatch.setattr(listening, "_open_sockets", hidden)
    monkeypatch.setattr(listening, "port_owner", lambda port: owner)
    assert listens([12345], listener.getsockname()[1]) == (owner is None)


@pytest.mark.parametrize("port", [0, 65535, 65536, -1])
def test_ports_that_nobody_can_hold(port: int) -> None:
    assert not listens([os.getpid()], port)


def test_the_command_of_a_process_is_one_printable_line() -> None:
    argv = [sys.executable, "-S", "-c", SERVER, "127.0.0.1", f"\x1b[31m {'x' * 1000}"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        text = command_of(process.pid)
        process.communicate()
    assert text.startswith(f"{sys.executable} -S -c")
    assert text.isprintable()
    assert len(text) == 200
    assert text.endswith("…")
    assert command_of(2**22 + 1) == ""
