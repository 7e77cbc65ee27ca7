"""Readiness checks as conversations: what a server says, whole and byte by byte, and what the probe makes of it."""

from __future__ import annotations

import selectors
import socket
import struct
import time
from collections.abc import Iterator

import pytest

from gapura.procs.probe import PATIENCE, Probe


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        sock.settimeout(60)
        yield sock


@pytest.fixture
def probe(server: socket.socket) -> Iterator[Probe]:
    made = Probe("127.0.0.1", server.getsockname()[1], "/health?x=1", "shop.example")
    yield made
    made.close()


def step(probe: Probe) -> int | str | None:
    """Wait until the probe can go on, and let it."""
    with selectors.DefaultSelector() as selector:
        selector.register(probe, probe.wants)
        assert selector.select(10)
    return probe.advance(time.monotonic())


def finish(probe: Probe) -> int | str:
    """Go on until there is a result."""
    while (result := step(probe)) is None:
        pass
    return result


def conversation(probe: Probe, server: socket.socket, *parts: bytes, end: bool = True) -> int | str | None:
    """The server answers in these parts; each is seen by the probe on its own."""
    assert probe.begin(time.monotonic()) is None
    assert step(probe) is None
    connection, _ = server.accept()
    with connection:
        connection.recv(1 << 16)
        for part in filter(None, parts):
            connection.sendall(part)
            result = step(probe)
            if result is not None:
                return result
        if end:
            connection.shutdown(socket.SHUT_WR)
            return finish(probe)
        return probe.advance(time.monotonic())


def test_what_is_asked(probe: Probe, server: socket.socket) -> None:
    assert probe.begin(time.monotonic()) is None
    assert probe.wants == selectors.EVENT_WRITE
    assert step(probe) is None
    assert probe.wants == selectors.EVENT_READ
    connection, _ = server.accept()
    with connection:
        request = connection.recv(1 << 16)
        connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
        assert finish(probe) == 204
    assert request.startswith(b"GET /health?x=1 HTTP/1.1\r\nHost: shop.example\r\n")
    assert request.endswith(b"Connection: close\r\n\r\n")


@pytest.mark.parametrize(
    ("answer", "result"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200),
        (b"HTTP/1.0 404 Not Found\r\n", 404),
        (b"HTTP/1.1 500\r\n\r\n", 500),
        (b"HTTP/1.1 503 Service Unavailable\n\n", 503),
        (b"HTTP/1.1 200 \xff\xfe\r\n\r\n", 200),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", 200),
        (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", 101),
        (b"", "the connection was closed without an answer"),
        (b"HTTP/1.1 2", "the answer broke off"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", "the connection was closed without an answer"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "the answer is not HTTP"),
        (b"\x15\x03\x01\x00\x02\x02\x16", "the answer is not HTTP"),
        (b"HTTP/2 200\r\n\r\n", "the answer is not HTTP"),
        (b"HTTP/1.1 099 X\r\n\r\n", "the answer is not HTTP"),
        (b"HTTP/1.1 2000 X\r\n\r\n", "the answer is not HTTP"),
        (b"HTTP/1.1 abc\r\n\r\n", "the answer is not HTTP"),
        (b"\n\n\n", "the answer is not HTTP"),
        (b"\x00" * 100, "the answer is not HTTP"),
        (b"HTTP/1.1 200 " + b"x" * 20_000, "the answer is not HTTP"),
        (b"HTTP/1.1 100 Continue\r\nX: " + b"x" * 20_000, "the answer is not HTTP"),
    ],
)
def test_what_is_answered(probe: Probe, server: socket.socket, answer: bytes, result: int | str) -> None:
    assert conversation(probe, server, answer) == result
    if len(answer) < 1000:
        assert conversation(probe, server, *(answer[i : i + 1] for i in range(len(answer)))) == result


def test_garbage_behind_the_status_does_not_matter(probe: Probe, server: socket.socket) -> None:
    assert conversation(probe, server, b"HTTP/1.1 200 OK\r\n" + b"\x00\xff" * 3000) == 200


def test_a_server_that_says_nothing(probe: Probe, server: socket.socket) -> None:
    now = time.monotonic()
    probe.begin(now)
    assert probe.deadline == now + PATIENCE
    assert step(probe) is None
    assert probe.advance(now + 0.99) is None
    assert probe.advance(now + 1.0) == "no answer within 1 s"


def test_a_slow_answer_that_is_there_counts_even_late(probe: Probe, server: socket.socket) -> None:
    now = time.monotonic()
    probe.begin(now)
    step(probe)
    connection, _ = server.accept()
    with connection:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        with selectors.DefaultSelector() as selector:
            selector.register(probe, probe.wants)
            assert selector.select(10)
        assert probe.advance(now + 5.0) == 200


def test_a_server_that_does_not_accept() -> None:
    """Its queue is full: the SYN is swallowed."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen(0)
        waiting = []
        try:
            for _ in range(3):
                client = socket.socket()
                client.setblocking(False)
                client.connect_ex(sock.getsockname())
                waiting.append(client)
            probe = Probe("127.0.0.1", sock.getsockname()[1], "/", "x")
            now = time.monotonic()
            assert probe.begin(now) is None
            assert probe.advance(now) is None
            assert probe.advance(now + 1.0) == "no connection within 1 s"
            probe.close()
        finally:
            for client in waiting:
                client.close()


def test_a_reset_in_the_middle(probe: Probe, server: socket.socket) -> None:
    probe.begin(time.monotonic())
    step(probe)
    connection, _ = server.accept()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
    assert finish(probe) == "connection reset by peer"


def test_a_closed_port(probe: Probe, server: socket.socket) -> None:
    server.close()
    result = probe.begin(time.monotonic()) or finish(probe)
    assert result == "connection refused"


@pytest.mark.parametrize(
    ("host", "port"), [("localhost", 80), ("", 80), ("127.0.0.1\0", 80), ("127.0.0.1", 70_000), ("127.0.0.1", -1), (":", 80)]
)
def test_addresses_that_are_none(host: str, port: int) -> None:
    probe = Probe(host, port, "/", "x")
    assert isinstance(probe.begin(0.0), str)
    assert probe.fileno() == -1
    assert isinstance(probe.advance(0.0), str)


def test_ipv6() -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as server:
        probe = Probe("::1", server.getsockname()[1], "/", "x")
        assert conversation(probe, server, b"HTTP/1.1 200 OK\r\n\r\n") == 200
        probe.close()


def test_a_new_beginning_ends_the_old_check(probe: Probe, server: socket.socket) -> None:
    assert conversation(probe, server, b"HTTP/1.1 50", end=False) is None
    assert conversation(probe, server, b"HTTP/1.1 200 OK\r\n\r\n") == 200
    probe.close()
    assert probe.fileno() == -1
    probe.close()


def test_no_descriptors_left_is_a_failure_like_others(probe: Probe, monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(*args: object) -> socket.socket:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(socket, "socket", none_left)
    assert probe.begin(0.0) == "too many open files"
