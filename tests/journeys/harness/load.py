"""Load that counts exactly: paced keep-alive clients, and for every request what became of it.

A reused idle connection that is closed before the first byte of an answer is tried again on a new one, as browsers do, and
counted as `stale`. Everything else that is not an answer below 400 is a failure with a name.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import ssl
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType

from .client import HOST

CLONE_NEWNET = 0x40000000


@dataclass(frozen=True, slots=True)
class Sent:
    """One request: when (CLOCK_MONOTONIC, s), what became of it ("200", "502", "reset", …), who answered, its id."""

    began: float
    ended: float
    outcome: str
    server: str
    key: str

    @property
    def took(self) -> float:
        return self.ended - self.began

    @property
    def failed(self) -> bool:
        return not (self.outcome.isdigit() and int(self.outcome) < 400)


@dataclass(slots=True)
class Report:
    """All requests of a load, how many idle connections turned out to be closed, how many handshakes saw which serial number."""

    sent: list[Sent] = field(default_factory=list)
    stale: int = 0
    serials: Counter[str] = field(default_factory=Counter)

    @property
    def failed(self) -> list[Sent]:
        return [one for one in self.sent if one.failed]

    @property
    def failures(self) -> dict[str, int]:
        """Kinds of failure and how often: `{}` is what every journey hopes for."""
        return dict(Counter(one.outcome for one in self.failed))

    @property
    def servers(self) -> Counter[str]:
        """Answers by X-Served-By."""
        return Counter(one.server for one in self.sent if not one.failed)

    @property
    def slowest(self) -> float:
        return max((one.took for one in self.sent), default=0.0)

    def percentile(self, share: float) -> float:
        """Time in seconds below which that share of the answers lies."""
        times = sorted(one.took for one in self.sent if not one.failed)
        return times[min(len(times) - 1, int(share * len(times)))]

    def since(self, moment: float) -> list[Sent]:
        """The requests that began after a moment (CLOCK_MONOTONIC)."""
        return [one for one in self.sent if one.began >= moment]


class _Broken(Exception):
    """The exchange ended without an answer; `early`: not one byte of an answer had come."""

    def __init__(self, kind: str, early: bool) -> None:
        super().__init__(kind)
        self.kind = kind
        self.early = early


class _Line:
    """One keep-alive connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, expected: bytes | None) -> None:
        self.reader = reader
        self.writer = writer
        self.expected = expected
        self.open = True

    async def exchange(self, request: bytes) -> tuple[int, dict[str, str]]:
        """Status and fields of the answer, its body read to the end. Raises `_Broken`."""
        early = True
        try:
            self.writer.write(request)
            head = await self.reader.readuntil(b"\r\n\r\n")
            early = False
            first, *lines = head.decode("latin-1").split("\r\n")
            fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            body = await self._body(fields)
        except asyncio.IncompleteReadError as error:
            early = early and not error.partial
            raise _Broken("closed" if early else "truncated", early) from None
        except OSError as error:
            raise _Broken(f"reset {type(error).__name__}", early) from None
        if self.expected is not None and body != self.expected and first.split()[1] == "200":
            raise _Broken("another body", early=False)
        if fields.get("connection", "").lower() == "close":
            self.close()
        return int(first.split()[1]), fields

    async def _body(self, fields: dict[str, str]) -> bytes:
        if "content-length" in fields:
            return await self.reader.readexactly(int(fields["content-length"]))
        if fields.get("transfer-encoding") != "chunked":
            raise _Broken("unframed", early=False)
        pieces = []
        while size := int(await self.reader.readuntil(b"\r\n"), 16):
            pieces.append((await self.reader.readexactly(size + 2))[:-2])
        await self.reader.readexactly(2)
        return b"".join(pieces)

    def close(self) -> None:
        self.open = False
        self.writer.close()


class Load:
    """A load in a thread of its own, so that the test does its mischief meanwhile.

    `total` requests in all, `rate` a second (0: as fast as answers come), spread over `clients` connections. `post` gives
    every request a body that is its id. `network` is a /proc/PID/ns/net to send from. With `tls` it goes over TLS, verified as the
    context says; `fresh` gives every request a connection of its own; answers with 200 must have the `expected` body. Use it as
    a context manager:

        with Load(port, total=1500) as load:
            load.reached(300)
            os.kill(…)
        assert load.report.failures == {}
    """

    def __init__(
        self,
        port: int,
        path: str = "/",
        *,
        total: int = 1500,
        rate: float = 300.0,
        clients: int = 32,
        post: bool = False,
        host: str = HOST,
        timeout: float = 60.0,
        network: str = "",
        tls: ssl.SSLContext | None = None,
        fresh: bool = False,
        expected: bytes | None = None,
    ) -> None:
        self.port, self.path, self.host = port, path, host
        self.total, self.rate, self.clients = total, rate, clients
        self.post, self.timeout, self.network = post, timeout, network
        self.tls, self.fresh, self.expected = tls, fresh, expected
        self.report = Report()
        self.began = 0.0
        self.waiting = 0
        """Requests under way."""
        self._taken = 0
        self._secure: list[_Line] = []
        self._stop = threading.Event()
        self._progress = threading.Condition()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="load")

    def __enter__(self) -> Load:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is not None:
            self._stop.set()
        self.finish()

    def reached(self, count: int, within: float = 120.0) -> None:
        """Wait until so many requests have ended."""
        with self._progress:
            if not self._progress.wait_for(lambda: len(self.report.sent) >= count or self._error is not None, within):
                raise TimeoutError(f"{len(self.report.sent)} of {count} requests after {within} s: {self.report.failures}")

    def enough(self) -> None:
        """Begin no further request."""
        self._stop.set()

    def finish(self) -> Report:
        """Wait for the end and return the report."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self.report

    def _run(self) -> None:
        try:
            if self.network:
                _enter_network(self.network)
            asyncio.run(self._all())
        except BaseException as error:
            with self._progress:
                self._error = error
                self._progress.notify_all()

    async def _all(self) -> None:
        self.began = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for number in range(self.clients):
                group.create_task(self._client(number))
        for line in self._secure:
            with suppress(OSError, TimeoutError):  # what became of its requests is known
                await asyncio.wait_for(line.writer.wait_closed(), self.timeout)

    async def _client(self, number: int) -> None:
        line: _Line | None = None
        turn = 0
        while not self._stop.is_set() and self._taken < self.total:
            self._taken += 1
            key = f"{number}-{turn}"
            if self.rate:
                await asyncio.sleep(max(0.0, self.began + (turn * self.clients + number) / self.rate - time.monotonic()))
            self.waiting += 1
            line = await self._request(line, key)
            self.waiting -= 1
            turn += 1
        if line is not None:
            line.close()

    async def _request(self, line: _Line | None, key: str) -> _Line | None:
        """Send one request and note what became of it; the connection if it can be used again."""
        began = time.monotonic()
        server = ""
        try:
            async with asyncio.timeout(self.timeout):
                line, status, fields = await self._try(line, self._bytes(key))
            outcome, server = str(status), fields.get("x-served-by", "")
        except _Broken as broken:
            outcome, line = broken.kind, None
        except TimeoutError:
            outcome = "timeout"
            if line is not None:
                line.close()
        with self._progress:
            self.report.sent.append(Sent(began, time.monotonic(), outcome, server, key))
            self._progress.notify_all()
        return line if line is not None and line.open else None

    async def _try(self, line: _Line | None, request: bytes) -> tuple[_Line, int, dict[str, str]]:
        if line is not None:
            try:
                return line, *await line.exchange(request)
            except _Broken as broken:
                line.close()
                if not broken.early:
                    raise
                self.report.stale += 1
        try:
            line = await self._connect()
        except OSError as error:
            raise _Broken(f"refused {type(error).__name__}", early=True) from None
        try:
            return line, *await line.exchange(request)
        except BaseException:
            line.close()
            raise

    async def _connect(self) -> _Line:
        name = self.host if self.tls is not None else None
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, ssl=self.tls, server_hostname=name)
        if self.tls is not None:
            self.report.serials[writer.get_extra_info("peercert")["serialNumber"]] += 1
        line = _Line(reader, writer, self.expected)
        if self.tls is not None:
            self._secure.append(line)
        return line

    def _bytes(self, key: str) -> bytes:
        lines = [f"{'POST' if self.post else 'GET'} {self.path} HTTP/1.1", f"Host: {self.host}", "User-Agent: journey"]
        if self.fresh:
            lines.append("Connection: close")
        body = key.encode() if self.post else b""
        if self.post:
            lines.append(f"Content-Length: {len(body)}")
        return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


def _enter_network(path: str) -> None:
    """Move this thread into a network namespace (setns(2)); needs root."""
    fd = os.open(path, os.O_RDONLY)
    try:
        if ctypes.CDLL(None, use_errno=True).setns(fd, CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"setns {path}")
    finally:
        os.close(fd)
