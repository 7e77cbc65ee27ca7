"""A client that says exactly what it is told to, and reads answers strictly."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass

from .backend import LINGER_0


@dataclass
class Answer:
    """One answer. `whole`: it came to its end."""

    status: int
    lines: list[tuple[str, str]]
    body: bytes = b""
    trailers: bytes = b""
    whole: bool = True

    def get(self, name: str) -> str | None:
        found = self.all(name)
        assert len(found) < 2, found
        return found[0] if found else None

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.lines if key == name.lower()]


def get(
    target: str = "/", *lines: str, host: str = "a.example", method: str = "GET", version: str = "1.1", body: bytes = b""
) -> bytes:
    """A request."""
    head = [f"{method} {target} HTTP/{version}", f"Host: {host}", *lines]
    if body:
        head.append(f"Content-Length: {len(body)}")
    return "\r\n".join(head).encode("latin-1") + b"\r\n\r\n" + body


class Client:
    """One connection to the edge."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        name = writer.get_extra_info("sockname")
        self.port: int = name[1] if isinstance(name, tuple) else 0  # a UNIX socket has none

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def ask(self, target: str = "/", *lines: str, method: str = "GET", version: str = "1.1", body: bytes = b"") -> Answer:
        """One request and its answer."""
        self.send(get(target, *lines, method=method, version=version, body=body))
        return await self.answer(method)

    async def head(self) -> Answer:
        """The next head, interim ones included."""
        data = await self.reader.readuntil(b"\r\n\r\n")
        first, *lines = data[:-4].decode("latin-1").split("\r\n")
        version, status, _ = first.split(" ", 2)
        assert version == "HTTP/1.1"
        return Answer(int(status), [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines)])

    async def answer(self, method: str = "GET") -> Answer:
        """The next answer with its body; `whole` is false when it is cut short."""
        answer = await self.head()
        lengths, codings = answer.all("content-length"), answer.all("transfer-encoding")
        assert len(lengths) + len(codings) < 2, answer
        try:
            if method == "HEAD" or answer.status in (204, 304) or answer.status < 200:
                assert not codings
            elif codings:
                await self._chunked(answer)
            elif lengths:
                answer.body = await self.reader.readexactly(int(lengths[0]))
            else:
                assert answer.get("connection") == "close"
                answer.body = await self.reader.read()
        except asyncio.IncompleteReadError as error:
            answer.body += error.partial
            answer.whole = False
        except ConnectionResetError:
            answer.whole = False
        return answer

    async def _chunked(self, answer: Answer) -> None:
        while size := int((await self.reader.readuntil(b"\r\n"))[:-2], 16):
            answer.body += await self.reader.readexactly(size)
            assert await self.reader.readexactly(2) == b"\r\n"
        while (line := await self.reader.readuntil(b"\r\n")) != b"\r\n":
            answer.trailers += line

    async def chunk(self) -> bytes:
        """One chunk as it was sent."""
        size = int((await self.reader.readuntil(b"\r\n"))[:-2], 16)
        return (await self.reader.readexactly(size + 2))[:-2]

    async def end(self) -> bytes:
        """All until the connection ends, however it does."""
        found = b""
        try:
            while data := await self.reader.read(1 << 16):
                found += data
        except ConnectionResetError:
            pass
        return found

    def eof(self) -> None:
        """Half-close."""
        self.writer.write_eof()

    def close(self) -> None:
        self.writer.close()

    def reset(self) -> None:
        """Leave with RST."""
        if not self.writer.transport.is_closing():
            self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_0)
        self.writer.transport.abort()
