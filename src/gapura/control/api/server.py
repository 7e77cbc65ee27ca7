"""Serves the application on sockets that are listening already, on a loop that is running already.

uvicorn speaks HTTP; its own server is left out, because it takes signals for itself and does not tell who has connected.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
from typing import Any, Final

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from gapura.config.plan_admin import ADMIN
from gapura.control.api.app import make_app
from gapura.control.api.context import Context

log = logging.getLogger(__name__)
CONNECTIONS: Final = 300
"""At the same time at each door, so that nobody keeps others from theirs; further ones are closed."""
AT_ONCE: Final = 8
"""Connections that are accepted before others have their turn."""
HEAD: Final = 15.0
"""Seconds that a request head may take."""
IDLE: Final = 75.0
"""Seconds that a connection is kept: longer than the edge keeps its own, so that none is closed under a request."""
LARGEST_HEAD: Final = 64 << 10
LOOK: Final = 5.0
"""Seconds between two looks for heads that take too long."""


class Server:
    """Takes in connections. Made in a thread; all else happens on the loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, context: Context) -> None:
        self._loop = loop
        self._owner = context
        self._state = ServerState()
        self._config = uvicorn.Config(
            make_app(context),
            http="h11",
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            proxy_headers=False,
            timeout_keep_alive=int(IDLE),
            h11_max_incomplete_event_size=LARGEST_HEAD,
        )
        logging.getLogger("uvicorn.error").setLevel(logging.ERROR)  # what a client does wrong is no news
        self._config.load()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._sweeping: asyncio.TimerHandle | None = None

    def accept(self, door: str, listening: socket.socket) -> None:
        """Take in who waits at a socket."""
        for _ in range(AT_ONCE):
            try:
                client, _ = listening.accept()
            except OSError:
                return
            client.setblocking(False)
            state = self._known(door, client)
            if state is None or self._number(door) >= CONNECTIONS:
                client.close()
                continue
            task = self._loop.create_task(self._begin(client, state))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def close(self) -> None:
        """Break off everything: the process ends."""
        if self._sweeping is not None:
            self._sweeping.cancel()
        for connection in list(self._state.connections):
            if connection.transport is not None:
                connection.transport.abort()
        for task in [*self._tasks, *self._state.tasks]:
            task.cancel()

    def _number(self, door: str) -> int:
        """Connections at a door."""
        return sum(connection.app_state["door"] == door for connection in self._state.connections)

    def _known(self, door: str, client: socket.socket) -> dict[str, Any] | None:
        """What the kernel says about who has connected; None: not welcome."""
        try:
            if client.family == socket.AF_UNIX:
                uid = int.from_bytes(client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)[4:8], sys.byteorder)
                if door == ADMIN and uid not in (0, self._owner.owner):
                    return None
                return {"door": door, "uid": uid}
            return {"door": door, "peer": client.getpeername()[:2], "local": client.getsockname()[:2]}
        except OSError:
            return None  # it has gone already

    async def _begin(self, client: socket.socket, state: dict[str, Any]) -> None:
        try:
            await self._loop.connect_accepted_socket(lambda: _Connection(self._config, self._state, state, self._loop), client)
        except OSError:
            client.close()
            return
        if self._sweeping is None:
            self._sweeping = self._loop.call_later(LOOK, self._sweep)

    def _sweep(self) -> None:
        """Break off who does not come to the end of a head."""
        now = self._loop.time()
        for connection in list(self._state.connections):
            if isinstance(connection, _Connection) and connection.late(now):
                connection.transport.abort()
        self._sweeping = self._loop.call_later(LOOK, self._sweep) if self._state.connections else None


class _Connection(H11Protocol):
    """A connection that knows since when it waits for a request."""

    _since = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._since = self.loop.time()

    def on_response_complete(self) -> None:
        self._since = self.loop.time()
        super().on_response_complete()

    def late(self, now: float) -> bool:
        """Whether a head has begun, or a new connection is silent, for too long. Between requests uvicorn sees to it."""
        working = self.cycle is not None and not self.cycle.response_complete
        return not working and self.timeout_keep_alive_task is None and now - self._since > HEAD
