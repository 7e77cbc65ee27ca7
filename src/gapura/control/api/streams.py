"""Answers that go on: server-sent events, for whoever accepts `text/event-stream`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any, Final

from fastapi import Request
from starlette.responses import StreamingResponse

MEDIA_TYPE: Final = "text/event-stream"
LIFE: Final = 3600.0
"""Seconds after which a stream ends, so that rights are looked at again; browsers come back by themselves."""
QUIET: Final = 15.0
"""Seconds of silence after which a comment is sent."""
HEADERS: Final = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
OPEN: Final = "retry: 1000\n\n"
"""Browsers come back after a second when the stream breaks off."""
DOCUMENTED: Final[dict[int | str, dict[str, Any]]] = {
    200: {"content": {MEDIA_TYPE: {"schema": {"type": "string", "description": "Server-sent events, without end."}}}}
}


class EventStream(StreamingResponse):
    """For OpenAPI: the schema of the answer is that of its events."""

    media_type = MEDIA_TYPE


def wanted(request: Request) -> bool:
    """Whether the client wants to go on hearing, rather than one answer."""
    return MEDIA_TYPE in request.headers.get("accept", "")


def stream(pieces: AsyncIterator[bytes]) -> StreamingResponse:
    """The answer of these pieces."""
    return StreamingResponse(_limited(pieces), media_type=MEDIA_TYPE, headers=HEADERS)


async def _limited(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The pieces for at most `LIFE` seconds; in silence a comment now and then, or the edge would take it for a hung server."""
    loop = asyncio.get_running_loop()
    end = loop.time() + LIFE
    pending: asyncio.Future[bytes] | None = None
    yield OPEN.encode()
    try:
        while loop.time() < end:
            pending = pending or asyncio.ensure_future(anext(pieces))
            done, _ = await asyncio.wait({pending}, timeout=QUIET)
            if not done:
                yield b":\n\n"
                continue
            try:
                piece = pending.result()
            except StopAsyncIteration:
                return
            finally:
                pending = None
            yield piece
    finally:
        if pending is not None:
            pending.cancel()  # which ends the pieces, too
            await asyncio.wait({pending})
        elif isinstance(pieces, AsyncGenerator):
            await pieces.aclose()
