"""Clients that take nothing, and bodies that trickle in. What follows from it is in test_downstream and test_sending."""

from __future__ import annotations

import contextlib
import socket
from types import SimpleNamespace
from typing import Any, cast

import pytest

from gapura.edge.deadlines import MINIMUM_RATE, expire_sending, trickles
from gapura.edge.downstream import Downstream


class Transport:
    """A transport with `waiting` bytes of its own before a socket."""

    def __init__(self, sock: socket.socket | None, waiting: int) -> None:
        self.sock = sock
        self.waiting = waiting
        self.aborted = False

    def get_write_buffer_size(self) -> int:
        return self.waiting

    def get_extra_info(self, name: str) -> socket.socket | None:
        assert name == "socket"
        return self.sock

    def abort(self) -> None:
        self.aborted = True


def connection(transport: Transport | None = None, **words: Any) -> Downstream:
    return cast(Downstream, SimpleNamespace(transport=transport, worker=SimpleNamespace(send_ns=7, body_ns=10**9), **words))


def test_who_takes_nothing_between_two_looks_is_cut_off() -> None:
    transport = Transport(None, 100)
    client = connection(transport, outstanding=0, deadline=0)
    expire_sending(client, 50)
    assert (client.outstanding, client.deadline, transport.aborted) == (100, 57, False)
    transport.waiting = 99
    expire_sending(client, 60)
    assert (client.outstanding, client.deadline, transport.aborted) == (99, 67, False)
    expire_sending(client, 70)
    assert transport.aborted


def test_what_waits_in_the_kernel_counts() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as theirs:
        ours, _ = server.accept()
        with ours:
            ours.setblocking(False)
            sent = 0
            with contextlib.suppress(BlockingIOError):
                while True:
                    sent += ours.send(bytes(1 << 16))
            client = connection(Transport(ours, 0), outstanding=0, deadline=0)
            expire_sending(client, 1)
            assert 0 < client.outstanding <= sent
            assert theirs.recv(1) == b"\0"


@pytest.mark.parametrize(
    ("seen", "seconds", "paused", "slow"),
    [(0, 1, False, False), (0, 3, False, True), (3 * MINIMUM_RATE, 3, False, False), (0, 3, True, False)],
)
def test_a_body_that_trickles(seen: int, seconds: int, paused: bool, slow: bool) -> None:
    client = connection(exchange=SimpleNamespace(body_seen=seen), body_paused=paused, since=0)
    assert trickles(client, seconds * 10**9) is slow
    assert not trickles(connection(exchange=None, body_paused=False, since=0), 10**11)
