"""Answers that go on: server-sent events, for whoever accepts `text/event-stream`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final

from fastapi import Request
from starlette.responses import StreamingResponse

MEDIA_TYPE: Final = "text/event-stream"
LIFE: Final = 3600.0
"""Seconds after which a stream ends, so that rights are looked at again; browsers come back by themselves."""
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
    yield OPEN.encode()
    try:
        async with asyncio.timeout(LIFE):
            async for piece in pieces:
                yield piece
    except TimeoutError:
        pass
