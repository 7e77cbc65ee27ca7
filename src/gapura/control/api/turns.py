"""Requests begin a few at a time, so that a burst of them holds up neither the heartbeat nor the health checks."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

AT_ONCE: Final = 4
"""Requests that begin in one turn of the loop; each takes some milliseconds until it first waits for something."""


class Turns:
    """`await take()` before the work of a request: it comes back in the order of those who asked."""

    def __init__(self) -> None:
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._left = AT_ONCE
        self._armed = False

    async def take(self) -> None:
        """Wait for a turn of the loop in which there is room."""
        loop = asyncio.get_running_loop()
        if not self._armed:
            self._armed = True
            loop.call_soon(self._next, loop)
        if self._left and not self._waiting:
            self._left -= 1
            return
        future = loop.create_future()
        self._waiting.append(future)
        await future

    def _next(self, loop: asyncio.AbstractEventLoop) -> None:
        """Another turn: the next ones begin."""
        self._left = AT_ONCE
        while self._waiting and self._left:
            future = self._waiting.popleft()
            if not future.done():  # its client has not gone meanwhile
                future.set_result(None)
                self._left -= 1
        self._armed = self._left < AT_ONCE
        if self._armed:
            loop.call_soon(self._next, loop)
