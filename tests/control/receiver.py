"""Somebody who takes webhooks, in whatever way a test wants."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, NamedTuple

TAKEN = b"HTTP/1.1 204 No Content\r\n\r\n"
Answer = bytes | Callable[[asyncio.StreamWriter], Awaitable[None]]


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run a journey that must come to an end."""
    asyncio.run(asyncio.wait_for(coroutine, 60))


async def until(true: Callable[[], object]) -> None:
    """Wait for a condition."""
    while not true():
        await asyncio.sleep(0.005)


class Post(NamedTuple):
    """A post that has arrived whole."""

    head: str
    body: bytes


class Receiver:
    """`answers` are given one after the other, the last one for ever. Use it with `async with`."""

    def __init__(self, *answers: Answer, tls: ssl.SSLContext | None = None) -> None:
        self.answers: list[Answer] = list(answers) or [TAKEN]
        self.posts: list[Post] = []
        self.port = 0
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._visits: set[asyncio.Task[Any]] = set()

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://localhost:{self.port}/hook?a=b"

    async def __aenter__(self) -> Receiver:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for visit in self._visits:
            visit.cancel()
        await asyncio.gather(*self._visits, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        visit = asyncio.current_task()
        assert visit is not None
        self._visits.add(visit)
        visit.add_done_callback(self._visits.discard)
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            length = next(int(line[16:]) for line in head.split("\r\n") if line.lower().startswith("content-length: "))
            self.posts.append(Post(head, await reader.readexactly(length)))
            answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            if isinstance(answer, bytes):
                writer.write(answer)
                writer.close()
                await writer.wait_closed()
            else:
                await answer(writer)
        except (OSError, asyncio.IncompleteReadError):
            pass  # who posts has given up
        finally:
            writer.transport.abort()


async def silence(writer: asyncio.StreamWriter) -> None:
    """Never answer."""
    await asyncio.Event().wait()


async def dribble(writer: asyncio.StreamWriter) -> None:
    """Answer without end."""
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while not writer.is_closing():
        writer.write(b"X-A: b\r\n")
        await writer.drain()
        await asyncio.sleep(0.001)
