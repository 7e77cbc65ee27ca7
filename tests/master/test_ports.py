"""Chosen ports."""

from __future__ import annotations

import socket

from gapura.master.ports import Ports


def test_no_port_twice() -> None:
    ports = Ports()
    given = [ports.choose("127.0.0.1") for _ in range(50)]
    assert len(set(given)) == 50


def test_a_wish_is_granted_unless_somebody_listens() -> None:
    ports = Ports()
    port = ports.choose("127.0.0.1")
    assert ports.choose("127.0.0.1", port) == port
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", port))
        sock.listen()
        assert ports.choose("127.0.0.1", port) != port


def test_a_port_that_was_given_back_may_be_given_again(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    numbers = iter([1000, 1000, 1001, 1000])
    monkeypatch.setattr("gapura.master.ports._from_kernel", lambda host: next(numbers))
    ports = Ports()
    assert ports.choose("127.0.0.1") == 1000
    assert ports.choose("127.0.0.1") == 1001
    ports.give_back(1000)
    assert ports.choose("127.0.0.1") == 1000
