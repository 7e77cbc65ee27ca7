"""Lines for a syslog server: a real socket on the other side, which may be slow, gone, or back."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gapura.config.syslog import parse_syslog
from gapura.edge import syslog
from gapura.edge.syslog import MOST, Syslog

from .edge import Edge

Told = list[tuple[str, int, str]]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[socket.socket]:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sock.bind(str(tmp_path / "log"))
    sock.settimeout(60)
    yield sock
    sock.close()


def output(tmp_path: Path, told: Told, options: str = "", loop: Any = None) -> Syslog:
    path = f"syslog:{tmp_path}/log{options}"
    return Syslog(path, parse_syslog(path), loop, lambda *words: told.append(words))


def test_a_line_for_this_machine(tmp_path: Path, server: socket.socket) -> None:
    log = output(tmp_path, [])
    log.lines.append(b"one line\n")
    log.flush()
    assert re.fullmatch(rb"<190>[A-Z][a-z]{2} [ 123]\d \d\d:\d\d:\d\d gapura\[\d+\]: one line", server.recv(999))
    log.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "localhost"])
async def test_a_line_for_another_machine(host: str, loop: asyncio.AbstractEventLoop) -> None:
    family = socket.AF_INET6 if host == "[::1]" else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as server:
        try:
            server.bind((host.strip("[]") if host != "localhost" else "127.0.0.1", 0))
        except OSError:
            pytest.skip("no IPv6 here")
        server.setblocking(False)
        path = f"syslog:udp://{host}:{server.getsockname()[1]}?facility=local0&severity=notice&tag=shop"
        log = Syslog(path, parse_syslog(path), loop, lambda *words: None)
        log.lines.append(b"one line\n")
        deadline = loop.time() + 5
        while True:
            log.flush()
            try:
                data = server.recv(999)
                break
            except BlockingIOError:
                assert loop.time() < deadline
                await asyncio.sleep(0.005)
        log.close()
    pattern = rb"<133>1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d \S+ shop \d+ access - one line"
    assert re.fullmatch(pattern, data)


def test_a_server_that_is_slow_costs_lines_which_are_told(
    tmp_path: Path, server: socket.socket, caplog: pytest.LogCaptureFixture
) -> None:
    told: Told = []
    log = output(tmp_path, told)
    for number in range(3 * MOST // 1000):
        log.lines.append(b"%06d%b\n" % (number, b"x" * 1000))
    log.flush()
    assert len(told) == 1
    assert log.lost > MOST // 1100
    assert told[0][2] == "the server takes no more"
    got = 0
    server.setblocking(False)
    while log._waiting:
        try:
            while server.recv(9999):
                got += 1
        except BlockingIOError:
            log.flush()
    while True:
        try:
            got += bool(server.recv(9999))
        except BlockingIOError:
            break
    lost = told[1][1]
    assert told[1][2] == ""
    assert got + lost == 3 * MOST // 1000
    assert f"{lost} lines for {log.path} were dropped: the server takes no more" in caplog.text
    log.close()


async def test_a_burst_is_sent_as_the_server_takes_it(
    tmp_path: Path, server: socket.socket, loop: asyncio.AbstractEventLoop
) -> None:
    """More lines than the socket's queue has room for, but not more than may wait."""
    log = output(tmp_path, [], loop=loop)
    for number in range(1000):
        log.lines.append(b"%d\n" % number)
    log.flush()
    server.setblocking(False)
    seen: list[bytes] = []
    while len(seen) < 1000:
        seen.append((await loop.sock_recv(server, 999)).rpartition(b" ")[2])
    assert seen == [b"%d" % number for number in range(1000)]
    log.close()


def test_a_server_that_goes_and_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(syslog, "_PATIENCE", 0.0)
    told: Told = []
    log = output(tmp_path, told)
    log.lines.append(b"1\n")
    log.flush()  # nobody there
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(tmp_path / "log"))
        server.settimeout(60)
        log.flush()
        assert server.recv(999).endswith(b": 1")
    log.lines.append(b"2\n")
    log.flush()  # gone
    (tmp_path / "log").unlink()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(tmp_path / "log"))
        server.settimeout(60)
        log.flush()
        assert server.recv(999).endswith(b": 2")
    assert told == []
    log.close()


def test_a_long_line_is_cut(tmp_path: Path, server: socket.socket) -> None:
    log = output(tmp_path, [])
    log.lines.append(b"x" * 20_000 + b"\n")
    log.flush()
    assert len(server.recv(99_999)) == syslog.LONGEST
    log.close()


async def test_a_site_that_logs_there(edge: Edge, tmp_path: Path, server: socket.socket) -> None:
    text = f'[sites."*"]\nrespond = "hi"\naccess_log = {{ path = "syslog:{tmp_path}/log", format = "$status $uri" }}\n'
    await edge.start(text)
    await (await edge.client()).ask("/x?y")
    edge.worker.logs.flush()
    assert server.recv(999).endswith(b": 200 /x")
    edge.say({"type": "reopen"})
    await (await edge.client()).ask("/z")
    edge.worker.logs.flush()
    assert server.recv(999).endswith(b": 200 /z")


async def test_a_name_that_cannot_be_one_costs_lines_and_nothing_else(loop: asyncio.AbstractEventLoop) -> None:
    plan = {**parse_syslog("syslog:udp://logs.example.com"), "host": "x" * 70 + ".example"}
    log = Syslog("syslog:…", plan, loop, lambda path, lost, reason: None)  # type: ignore[arg-type]
    log.lines.append(b"one line\n")
    log.flush()
    while log._resolving is not None:
        await asyncio.sleep(0)
    assert "cannot be resolved" in log.reason
    log.close()
