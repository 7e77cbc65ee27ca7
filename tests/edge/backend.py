"""A scripted server behind: it writes down what it gets and answers as the test says."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from ssl import SSLContext

LINGER_0 = struct.pack("ii", 1, 0)


class Broken(Exception):
    """What arrived is not a strictly valid message."""


@dataclass
class Request:
    """A request as it arrived. `wire` is the connection that it came on."""

    method: str
    target: str
    lines: list[tuple[str, str]]
    wire: Wire
    body: bytes = b""
    trailers: list[str] = field(default_factory=list)

    def get(self, name: str) -> str | None:
        """Value of the only field of this name; None when there is none."""
        found = self.all(name)
        assert len(found) < 2, found
        return found[0] if found else None

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.lines if key == name.lower()]

    async def read_body(self) -> bytes:
        """Read the whole body, however it is framed."""
        async for piece in self.wire.pieces(self):
            self.body += piece
        return self.body


class Wire:
    """One connection of a scripted server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        self.reader = reader
        self.writer = writer
        self.number = number
        self.over = asyncio.Event()

    def say(self, data: bytes) -> None:
        self.writer.write(data)

    def reply(self, body: bytes = b"", status: str = "200 OK", *lines: str, length: bool = True) -> None:
        """An ordinary answer."""
        head = [f"HTTP/1.1 {status}", *lines, *([f"Content-Length: {len(body)}"] if length else [])]
        self.say("\r\n".join(head).encode("latin-1") + b"\r\n\r\n" + body)

    def close(self) -> None:
        self.writer.close()

    def reset(self) -> None:
        """Close with RST."""
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_0)
        self.writer.transport.abort()

    async def pieces(self, request: Request) -> AsyncIterator[bytes]:
        """The body of a request as it arrives."""
        if request.get("transfer-encoding") is not None:
            if request.get("transfer-encoding") != "chunked" or request.get("content-length") is not None:
                raise Broken(request.lines)
            while size := int(await self._line(), 16):
                yield await self.reader.readexactly(size)
                if await self.reader.readexactly(2) != b"\r\n":
                    raise Broken("chunk data")
            while line := await self._line():
                request.trailers.append(line.decode())
            return
        left = int(request.get("content-length") or 0)
        while left:
            data = await self.reader.read(min(left, 1 << 16))
            if not data:
                raise asyncio.IncompleteReadError(b"", left)
            left -= len(data)
            yield data

    async def _line(self) -> bytes:
        line = await self.reader.readuntil(b"\r\n")
        return line[:-2]

    async def request(self) -> Request | None:
        """The next request's head; None at the end."""
        try:
            head = await self.reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError as error:
            if error.partial:
                raise Broken(error.partial) from None
            return None
        first, *lines = head[:-4].decode("latin-1").split("\r\n")
        method, target, version = first.split(" ")
        if version != "HTTP/1.1":
            raise Broken(first)
        fields = [(name.lower(), value.strip(" \t")) for name, _, value in (line.partition(":") for line in lines)]
        request = Request(method, target, fields, self)
        if request.get("host") is None:
            raise Broken("no host")
        return request


Answer = Callable[[Request, Wire], Awaitable[None]]


async def ordinary(request: Request, wire: Wire) -> None:
    """Reads everything and says which server this is."""
    await request.read_body()
    wire.reply(b"hello")


def saying(data: bytes, close: bool = False) -> Answer:
    """An answer of exactly these bytes."""

    async def answer(request: Request, wire: Wire) -> None:
        await request.read_body()
        wire.say(data)
        if close:
            wire.close()

    return answer


async def silent(request: Request, wire: Wire) -> None:
    """Reads the request and never answers."""
    await request.read_body()
    await wire.over.wait()


class Backend:
    """Listens on a port of the kernel's choice, or on a UNIX socket."""

    def __init__(self, answer: Answer = ordinary) -> None:
        self.answer = answer
        self.requests: list[Request] = []
        self.wires: list[Wire] = []
        self.open = 0
        self.port = 0
        self.broken: list[BaseException] = []
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def start(self, port: int = 0, path: str = "", ssl: SSLContext | None = None) -> Backend:
        limit = 1 << 17
        if path:
            self._server = await asyncio.start_unix_server(self._connection, path, limit=limit)
        else:
            self._server = await asyncio.start_server(self._connection, "127.0.0.1", port, limit=limit, ssl=ssl)
            self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def stop(self) -> None:
        """Listen no more, close every connection."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for wire in self.wires:
            wire.over.set()
            wire.writer.close()
        while self._tasks:
            for task in self._tasks:
                task.cancel()
            await asyncio.sleep(0)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        wire = Wire(reader, writer, len(self.wires))
        self.wires.append(wire)
        self.open += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while (request := await wire.request()) is not None:
                self.requests.append(request)
                await self.answer(request, wire)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        except BaseException as error:
            self.broken.append(error)
        finally:
            self.open -= 1
            self._tasks.discard(task)
            writer.close()
