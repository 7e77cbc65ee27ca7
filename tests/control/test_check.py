"""One health check against real sockets, whatever stands at the other end."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from tests.authority import Authority

from gapura.control import check as module
from gapura.control.check import Address, Check, request

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(coroutine, 90))


async def verdict(address: Address, timeout: float = 5.0) -> Check:
    """The check after its verdict."""
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[Check] = loop.create_future()
    Check(loop, time.monotonic_ns(), outcome.set_result).begin(address, request("/health?x=1", "alvin.xyz"), timeout)
    return await outcome


@contextlib.asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[tuple[str, int]]:
    server = await asyncio.start_server(handler, "127.0.0.1", 0)
    async with server:
        host, port = server.sockets[0].getsockname()[:2]
        yield host, port


def answering(*pieces: bytes) -> Handler:
    """Reads the request, answers in pieces, closes."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
        writer.close()

    return handler


@pytest.mark.parametrize(
    ("pieces", "status", "reason"),
    [
        ((b"HTTP/1.1 200 OK\r\n\r\n",), 200, ""),
        ((b"HTTP/1.0 404 Not Found\r\n\r\n",), 404, ""),
        ((b"HTTP/1.1 503\r\n\r\n",), 503, ""),
        ((b"HTT", b"P/1.1 20", b"4 No Content\r", b"\n"), 204, ""),
        ((b"HTTP/1.1 200 OK\n\n",), 200, ""),
        ((b"",), 0, "it closed the connection without an answer"),
        ((b"HTTP/1.1 200 OK",), 0, "what it answers is not HTTP/1"),
        ((b"HTTP/2 200 OK\r\n",), 0, "what it answers is not HTTP/1"),
        ((b"HTTP/1.1 2x0 OK\r\n",), 0, "what it answers is not HTTP/1"),
        ((b"HTTP/1.1 ",), 0, "what it answers is not HTTP/1"),
        ((b"SSH-2.0-OpenSSH_9.2\r\n",), 0, "what it answers is not HTTP/1"),
        ((b"\r\n",), 0, "what it answers is not HTTP/1"),
        ((b"x" * 100_000,), 0, "what it answers is not HTTP/1"),
        ((b"\x16\x03\x01\x00\xa5" * 3,), 0, "what it answers is not HTTP/1"),
        ((b"HTTP/1.1 \xb2\xb2\xb2 OK\r\n",), 0, "what it answers is not HTTP/1"),
    ],
)
def test_what_an_answer_is_worth(pieces: tuple[bytes, ...], status: int, reason: str) -> None:
    async def journey() -> None:
        async with serving(answering(*pieces)) as address:
            check = await verdict(address)
            assert (check.status, check.reason, check.ours) == (status, reason, False)

    run(journey())


def test_the_request_is_strict_http_and_asks_to_close() -> None:
    seen: list[bytes] = []

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        writer.close()

    async def journey() -> None:
        async with serving(handler) as address:
            await verdict(address)

    run(journey())
    lines = seen[0].split(b"\r\n")
    assert lines[0] == b"GET /health?x=1 HTTP/1.1"
    assert b"Host: alvin.xyz" in lines
    assert b"Connection: close" in lines


def test_a_unix_socket_and_ipv6_are_asked_too(tmp_path: Path) -> None:
    path = str(tmp_path / "app.sock")

    async def journey() -> None:
        async with await asyncio.start_unix_server(answering(b"HTTP/1.1 200 OK\r\n\r\n"), path):
            assert (await verdict(path)).status == 200
        try:
            server = await asyncio.start_server(answering(b"HTTP/1.1 200 OK\r\n\r\n"), "::1", 0)
        except OSError:
            pytest.skip("no IPv6 on this machine")
        async with server:
            assert (await verdict(("::1", server.sockets[0].getsockname()[1]))).status == 200

    run(journey())


def test_what_cannot_be_connected_to(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        closed = taken.getsockname()[:2]

        async def journey() -> None:
            assert (await verdict(closed)).reason == "connection refused"
            assert (await verdict(str(tmp_path / "none.sock"))).reason == "no such file or directory"
            assert (await verdict(str(tmp_path / ("x" * 200)))).status == 0

        run(journey())


def test_silence_ends_when_the_time_is_over() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()

        async def journey() -> None:
            began = time.monotonic()
            check = await verdict(silent.getsockname()[:2], 0.2)
            assert check.connected
            assert check.reason == "no answer in time"
            assert 0.19 <= time.monotonic() - began < 2

        run(journey())


def test_a_full_backlog_shows_as_no_connection() -> None:
    with socket.socket() as full, contextlib.ExitStack() as held:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()[:2]
        for _ in range(3):
            waiting = held.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(address)

        async def journey() -> None:
            check = await verdict(address, 0.2)
            assert not check.connected
            assert check.reason == "no connection in time"

        run(journey())


def test_an_answer_is_read_to_its_end_so_that_the_app_sees_no_reset() -> None:
    outcome: list[object] = []

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        await writer.drain()
        try:
            for _ in range(10):
                writer.write(b"x" * 4096)
                await writer.drain()
                await asyncio.sleep(0.002)
            writer.write_eof()
            outcome.append(await reader.read())
        except OSError as error:
            outcome.append(error)
        writer.close()

    async def journey() -> None:
        async with serving(handler) as address:
            assert (await verdict(address)).status == 200
            while not outcome:
                await asyncio.sleep(0.005)

    run(journey())
    assert outcome == [b""], "closed in order, not reset"


def test_an_endless_answer_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    left = asyncio.Event()

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        try:
            while True:
                writer.write(b"x" * 65536)
                await writer.drain()
        except OSError:
            left.set()
        finally:
            writer.close()

    async def journey() -> None:
        async with serving(handler) as address:
            assert (await verdict(address, 10)).status == 200
            await left.wait()

    run(journey())


def test_a_cancelled_check_says_nothing() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()

        async def journey() -> None:
            said: list[Check] = []
            check = Check(asyncio.get_running_loop(), time.monotonic_ns(), said.append)
            check.begin(silent.getsockname()[:2], b"x", 0.05)
            check.cancel()
            again = await verdict(silent.getsockname()[:2], 0.1)
            assert again.status == 0
            assert said == []

        run(journey())


def test_want_of_descriptors_is_known_as_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    async def journey() -> None:
        def none_left(*_: object) -> socket.socket:
            raise OSError(errno.EMFILE, "Too many open files")

        with monkeypatch.context() as patch:
            patch.setattr(module.socket, "socket", none_left)
            check = await verdict(("127.0.0.1", 1))
        assert check.ours
        assert check.status == 0

    run(journey())


# -- over TLS -------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


async def secure_verdict(address: Address, context: ssl.SSLContext, name: str, timeout: float = 20.0) -> Check:
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[Check] = loop.create_future()
    Check(loop, time.monotonic_ns(), outcome.set_result).begin(address, request("/health", "alvin.xyz"), timeout, (context, name))
    return await outcome


def server_context(authority: Authority, *names: str, **words: Any) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue(*names, **words))
    return context


@pytest.mark.parametrize(
    ("names", "days", "name", "status", "reason"),
    [
        (("alvin.xyz",), 30, "alvin.xyz", 204, ""),
        (("127.0.0.1",), 30, "127.0.0.1", 204, ""),
        (("other.xyz",), 30, "alvin.xyz", 0, "the certificate of alvin.xyz is not valid: it is for other names"),
        (("alvin.xyz",), -1, "alvin.xyz", 0, "the certificate of alvin.xyz is not valid: it has expired"),
    ],
)
def test_a_server_behind_tls(authority: Authority, names: tuple[str, ...], days: int, name: str, status: int, reason: str) -> None:
    async def journey() -> None:
        theirs = server_context(authority, *names, file=f"{names[0]}{days}", days=days, age=60)
        ours = ssl.create_default_context(cafile=str(authority.file))
        server = await asyncio.start_server(answering(b"HTTP/1.1 204 No Content\r\n\r\n"), "127.0.0.1", 0, ssl=theirs)
        async with server:
            check = await secure_verdict(server.sockets[0].getsockname()[:2], ours, name)
        assert check.status == status
        assert check.reason.startswith(reason)
        assert bool(check.reason) is bool(reason)

    run(journey())


def test_a_ca_that_is_not_trusted_and_no_tls_at_all(authority: Authority) -> None:
    async def journey() -> None:
        theirs = server_context(authority, "alvin.xyz", file="stranger")
        server = await asyncio.start_server(answering(b"HTTP/1.1 204 No Content\r\n\r\n"), "127.0.0.1", 0, ssl=theirs)
        async with server:
            check = await secure_verdict(server.sockets[0].getsockname()[:2], ssl.create_default_context(), "alvin.xyz")
        assert "its CA is not among those to trust" in check.reason

        async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            writer.close()

        async with serving(plain) as address:
            check = await secure_verdict(address, ssl.create_default_context(), "alvin.xyz")
        assert check.reason == "alvin.xyz does not speak TLS on this port"

    run(journey())


def test_a_handshake_that_never_ends_is_left_in_time(authority: Authority) -> None:
    async def journey() -> None:
        async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()
            writer.close()

        async with serving(silent) as address:
            check = await secure_verdict(address, ssl.create_default_context(), "alvin.xyz", 0.2)
        assert check.reason == "no answer in time"

    run(journey())
