"""Who listens on a port."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gapura.procs import ports, tree
from gapura.procs.ports import command_of, listens, port_owner, ports_of

from .conftest import Launched, script, until

Run = Callable[..., Launched]
Printed = Callable[[int], list[str]]

SERVER = """
import socket, time
s = socket.create_server(("{host}", 0), family=socket.{family})
print(s.getsockname()[1], flush=True)
time.sleep(600)
"""


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock


@pytest.mark.parametrize(
    ("family", "host"), [("AF_INET", "127.0.0.1"), ("AF_INET", "0.0.0.0"), ("AF_INET6", "::1"), ("AF_INET6", "::")]
)
def test_the_holder_of_a_port(run: Run, printed: Printed, tmp_path: Path, family: str, host: str) -> None:
    process, mark = run(script(tmp_path, SERVER.format(host=host, family=family)))
    port = int(printed(1)[0])
    owner = port_owner(port)
    assert owner is not None
    assert owner[0] == process.pid
    assert owner[1].endswith(".py")
    assert listens(tree.members(process.pid, mark), port)
    assert not listens([os.getpid()], port)
    assert not listens([], port)
    assert ports_of(tree.members(process.pid, mark)) == [port]


def test_the_socket_may_be_held_by_a_descendant(run: Run, printed: Printed, tmp_path: Path) -> None:
    process, mark = run(f"sh -c '{script(tmp_path, SERVER.format(host='127.0.0.1', family='AF_INET'))}; true'")
    port = int(printed(1)[0])
    assert listens(tree.members(process.pid, mark), port)
    assert not listens([process.pid], port)


def test_a_free_port_has_no_holder(listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    assert port_owner(port) is not None
    listener.close()
    assert port_owner(port) is None
    assert not listens([os.getpid()], port)


def test_a_connection_is_no_listener(listener: socket.socket) -> None:
    """Neither one that was accepted on the port, nor the one at its other end."""
    port = listener.getsockname()[1]
    with socket.create_connection(listener.getsockname()) as client, listener.accept()[0] as accepted:
        listener.close()
        assert accepted.getsockname()[1] == client.getpeername()[1] == port
        assert port_owner(port) is None
        assert port_owner(client.getsockname()[1]) is None
        assert port not in ports_of([os.getpid()])


@pytest.mark.parametrize("owner", [None, (1, "another")])
def test_a_program_that_hides_its_descriptors(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch, owner: tuple[int, str] | None
) -> None:
    """It is believed to listen unless somebody else is seen to."""

    def hidden(pid: int) -> Iterator[bytes]:
        raise PermissionError

    monkeypatch.setattr(ports, "_open_sockets", hidden)
    monkeypatch.setattr(ports, "port_owner", lambda port: owner)
    assert listens([12345], listener.getsockname()[1]) == (owner is None)


@pytest.mark.parametrize("port", [0, 65535, 65536, -1])
def test_ports_that_nobody_can_hold(port: int) -> None:
    assert not listens([os.getpid()], port)


def test_the_command_of_a_process_is_one_printable_line(run: Run) -> None:
    process, _ = run("sleep 600")
    until(lambda: command_of(process.pid) == "sleep 600")
    process, _ = run(f"sh -c 'sleep 600; : \x1b[31m {'x' * 1000}'")
    until(lambda: "sleep" in command_of(process.pid))
    text = command_of(process.pid)
    assert text.isprintable()
    assert "\\x1b" in text
    assert len(text) == 200
    assert text.endswith("…")
    assert command_of(2**22 + 1) == ""
