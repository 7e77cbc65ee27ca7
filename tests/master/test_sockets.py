"""Listening sockets: bound once, one per worker, never shared with a stranger."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest

from gapura.config.plan import ListenPlan
from gapura.errors import ConfigError
from gapura.master.sockets import Sockets

from .conftest import free_port


def listen(host: str, port: int) -> ListenPlan:
    return {"host": host, "port": port, "tls": False}


@pytest.fixture
def sockets() -> Iterator[Sockets]:
    sockets = Sockets()
    yield sockets
    sockets.abort()
    sockets.close(sockets.addresses)


def connects(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def test_each_worker_has_a_socket_of_its_own(sockets: Sockets) -> None:
    port = free_port()
    sockets.bind([listen("127.0.0.1", port)], 3, "f")
    sockets.open(16)
    inodes = {os.fstat(sock.fileno()).st_ino for seat in range(3) for _, sock in sockets.share(seat)}
    assert len(inodes) == 3
    assert sockets.share(3) == []


def test_nothing_is_accepted_before_open(sockets: Sockets) -> None:
    port = free_port()
    sockets.bind([listen("127.0.0.1", port)], 1, "f")
    assert not connects(port)
    sockets.open(16)
    assert connects(port)


def test_a_second_bind_keeps_what_is_there(sockets: Sockets) -> None:
    port = free_port()
    for workers in (1, 2):
        sockets.bind([listen("127.0.0.1", port)], workers, "f")
        sockets.open(16)
    assert [len(sockets.share(seat)) for seat in (0, 1)] == [1, 1]
    sockets.trim(1)
    assert [len(sockets.share(seat)) for seat in (0, 1)] == [1, 0]


def test_a_taken_port_names_its_holder_and_binds_nothing(sockets: Sockets) -> None:
    other = free_port()
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        with pytest.raises(ConfigError) as caught:
            sockets.bind([listen("127.0.0.1", other), listen("127.0.0.1", port)], 2, "gapura.toml")
    (problem,) = caught.value.problems
    assert problem.message.startswith(f"port {port} is in use by pid {os.getpid()}, ")
    assert problem.hint
    sockets.open(16)
    assert sockets.addresses == []


def test_a_port_that_others_share_is_taken_as_well(sockets: Sockets) -> None:
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        with pytest.raises(ConfigError, match="is in use"):
            sockets.bind([listen("127.0.0.1", holder.getsockname()[1])], 1, "f")


def test_an_address_of_another_machine(sockets: Sockets) -> None:
    with pytest.raises(ConfigError, match=r"this machine does not have the address 192\.0\.2\.1"):
        sockets.bind([listen("192.0.2.1", free_port())], 1, "f")


def test_ipv4_and_ipv6_share_a_port(sockets: Sockets) -> None:
    port = free_port()
    sockets.bind([listen("0.0.0.0", port), listen("::", port)], 1, "f")
    sockets.open(16)
    assert ("0.0.0.0", port) in sockets.addresses


def test_a_missing_family_is_left_out_when_the_other_works(sockets: Sockets, monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.socket

    def no_ipv6(family: int = -1, *rest: int, **named: int) -> socket.socket:
        if family == socket.AF_INET6:
            raise OSError(97, "Address family not supported by protocol")
        return real(family, *rest, **named)

    monkeypatch.setattr("gapura.master.sockets.socket.socket", no_ipv6)
    port = free_port()
    sockets.bind([listen("::", port), listen("0.0.0.0", port)], 1, "f")
    sockets.open(16)
    assert sockets.addresses == [("0.0.0.0", port)]
    with pytest.raises(ConfigError):
        sockets.bind([listen("::", free_port())], 1, "f")


def test_a_wider_address_on_a_port_of_ours(sockets: Sockets) -> None:
    port = free_port()
    for host in ("127.0.0.1", "0.0.0.0"):
        sockets.bind([listen(host, port)], 1, "f")
        sockets.open(16)
    sockets.close([("127.0.0.1", port)])
    assert connects(port)


def test_an_adopted_socket_is_not_bound_again(sockets: Sockets) -> None:
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        port = sock.getsockname()[1]
        sockets.adopt(("127.0.0.1", port), os.dup(sock.fileno()))
    sockets.bind([listen("127.0.0.1", port)], 1, "f")
    sockets.open(16)
    assert len(sockets.share(0)) == 1
    assert connects(port)


def test_a_rehearsal_asks_only_for_what_is_not_held(sockets: Sockets) -> None:
    held, free = free_port(), free_port()
    sockets.bind([listen("127.0.0.1", held)], 2, "f")
    sockets.open(16)
    Sockets.rehearse([listen("127.0.0.1", held), listen("127.0.0.1", free)], [("127.0.0.1", held)], "f")
    with pytest.raises(ConfigError):
        Sockets.rehearse([listen("127.0.0.1", held)], [("127.0.0.1", free)], "f")
    sockets.bind([listen("127.0.0.1", free)], 1, "f")


def accepted(sockets: Sockets, port: int, count: int = 90) -> list[int]:
    """How many of so many connections each seat's socket gets."""
    clients = [socket.create_connection(("127.0.0.1", port)) for _ in range(count)]
    numbers = []
    for seat in range(10):
        for _, sock in sockets.share(seat):
            numbers.append(0)
            while True:
                try:
                    sock.accept()[0].close()
                except BlockingIOError:
                    break
                numbers[-1] += 1
    for client in clients:
        client.close()
    return numbers


def test_a_seat_that_goes_gets_no_new_connections(sockets: Sockets) -> None:
    port = free_port()
    sockets.bind([listen("127.0.0.1", port)], 3, "f")
    sockets.open(128)
    assert not sockets.narrow(3)
    assert sockets.narrow(1)
    assert accepted(sockets, port) == [90, 0, 0]
    sockets.trim(1)
    assert not sockets.narrow(1)
    sockets.bind([listen("127.0.0.1", port)], 3, "f")
    sockets.open(128)
    numbers = accepted(sockets, port)
    assert sum(numbers) == 90
    assert all(numbers)


def test_adopted_sockets_are_not_told_apart(sockets: Sockets) -> None:
    port = free_port()
    earlier = Sockets()
    earlier.bind([listen("127.0.0.1", port)], 2, "f")
    earlier.open(128)
    for seat in (1, 0):
        for address, sock in earlier.share(seat):
            sockets.adopt(address, os.dup(sock.fileno()))
    earlier.close(earlier.addresses)
    assert not sockets.narrow(1)
    assert all(accepted(sockets, port))
