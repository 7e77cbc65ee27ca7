from __future__ import annotations

import errno
import os
import socket

import pytest

from gapura.config.holders import Holder, bind_error, command_of, holder


@pytest.fixture
def listening() -> tuple[socket.socket, int]:
    sock = socket.create_server(("127.0.0.1", 0))
    return sock, sock.getsockname()[1]


def test_the_holder_of_a_port(listening: tuple[socket.socket, int]) -> None:
    sock, port = listening
    with sock:
        found = holder(port)
        assert found is not None
        assert found.pid == os.getpid()
        assert str(found) == f"pid {os.getpid()} ({command_of(os.getpid())})"
        assert bind_error("127.0.0.1", port) == errno.EADDRINUSE
        assert bind_error("0.0.0.0", port) == errno.EADDRINUSE
    assert bind_error("127.0.0.1", port) == 0
    assert holder(port) is None


def test_ipv6_alone() -> None:
    if bind_error("::1", 0):
        pytest.skip("no IPv6 on this machine")
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as sock:
        port = sock.getsockname()[1]
        assert bind_error("::1", port) == errno.EADDRINUSE
        assert bind_error("127.0.0.1", port) == 0


def test_an_address_of_another_machine() -> None:
    assert bind_error("192.0.2.1", 8080) == errno.EADDRNOTAVAIL


def test_a_holder_that_cannot_be_seen() -> None:
    assert str(Holder(0, "")) == "a process of another user"
    assert command_of(0) == ""
