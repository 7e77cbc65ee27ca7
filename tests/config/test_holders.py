from __future__ import annotations

import contextlib
import os
import socket

import pytest

from gapura.config.holders import Holder, command_of, holder


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
    after = holder(port)
    assert after is None or after.pid != os.getpid()


def test_ipv6_is_seen() -> None:
    with contextlib.closing(socket.socket(socket.AF_INET6)) as sock:
        try:
            sock.bind(("::1", 0))
        except OSError:
            pytest.skip("no IPv6 on this machine")
        sock.listen()
        found = holder(sock.getsockname()[1])
        assert found is not None
        assert found.pid == os.getpid()


def test_a_holder_that_cannot_be_seen() -> None:
    assert str(Holder(0, "")) == "a process of another user"
    assert command_of(0) == ""
