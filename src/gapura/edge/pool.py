"""Connections to servers: opened, kept while idle, thrown away when anything about them is in doubt."""

from __future__ import annotations

import asyncio
import os
from collections import deque
from ssl import SSLContext, SSLError
from time import monotonic_ns
from typing import TYPE_CHECKING, Final, Protocol, cast

from gapura.balance.server import Server
from gapura.board import HIT_AT, READY_AT
from gapura.errors import ServerError
from gapura.ipc import shortened
from gapura.outgoing import Files, expected_name, why
from gapura.wire.http1 import BODY, ResponseReader, ResponseSink

if TYPE_CHECKING:
    from gapura.config.plan_tls import UpstreamTlsPlan
    from gapura.edge.worker import Worker

HIGH_WATER: Final = 64 << 10
_NO_TLS: Final = (SSLError, ConnectionResetError, ConnectionAbortedError)
"""What a connection ends with that came about, but not over TLS."""


class User(ResponseSink, Protocol):
    """Who uses a connection: gets the response and these."""

    paused: bool
    """It wants no more for now."""

    def on_connected(self, connection: ServerConnection) -> None: ...
    def on_refused(self, reason: str, untrusted: bool = False) -> None:
        """There is no connection; `untrusted`: there could be, but the server is not who it should be."""

    def on_broken(self, error: ServerError, answering: bool) -> None:
        """The connection is of no use any more; `answering`: part of an answer had arrived."""

    def on_data_done(self) -> None:
        """All that one read brought has been passed on."""

    def on_server_slow(self) -> None: ...
    def on_server_ready(self) -> None: ...


class ServerConnection:
    """One connection to a server; at most one user at a time. An `asyncio.Protocol` in all but name, like `Downstream`."""

    __slots__ = (
        "pool",
        "slot",
        "port",
        "server_id",
        "tls",
        "keep",
        "user",
        "reader",
        "transport",
        "opened_at",
        "idle_until",
        "lost",
        "task",
    )

    def __init__(
        self, pool: Pool, server: Server, slot: int, port: int, user: User, keep: int, tls: UpstreamTlsPlan | None
    ) -> None:
        self.pool = pool
        self.slot = slot
        self.port = port
        self.server_id = server.id
        self.tls = tls
        self.keep = keep
        self.user: User | None = user
        self.reader = ResponseReader(user)
        self.transport: asyncio.Transport | None = None
        self.opened_at = monotonic_ns()
        self.idle_until = 0
        self.lost = False
        self.task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(HIGH_WATER)
        user = self.user
        if user is None:  # given up meanwhile
            self.transport.abort()
        else:
            user.on_connected(self)

    def data_received(self, data: bytes) -> None:
        user = self.user
        if user is None:  # nobody asked: whatever it is, this connection is not used again
            self.close()
            return
        try:
            self.reader.feed(data)
        except ServerError as error:
            user.on_broken(error, True)
            return
        user.on_data_done()
        reader = self.reader
        if reader.state == BODY and reader.behind and self.transport is not None and self.user is not None:
            self.transport.pause_reading()
            self.pool.worker.busy(self._go_on)

    def _go_on(self) -> None:
        """Decode more of what has come already, now that others had their turn."""
        transport = self.transport
        if self.user is not None and self.reader.behind:
            self.data_received(b"")
        user = self.user
        if transport is None or self.lost or transport.is_closing() or self.reader.behind or (user is not None and user.paused):
            return
        transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        user = self.user
        if user is None:
            self.pool.forget(self)
            return
        try:
            self.reader.closed(cleanly=exc is None)
        except ServerError as error:
            user.on_broken(error, self.reader.answering)

    def eof_received(self) -> bool:
        """Nothing is left to say to a server that says no more; TLS asks."""
        return False

    def pause_writing(self) -> None:
        if self.user is not None:
            self.user.on_server_slow()

    def resume_writing(self) -> None:
        if self.user is not None:
            self.user.on_server_ready()

    def write(self, data: bytes) -> None:
        """Send, unless the connection is lost (which its user is told separately)."""
        if self.transport is not None and not self.lost:
            self.transport.write(data)

    def close(self) -> None:
        """End it, now or while it is still being opened."""
        self.user = None
        if self.transport is not None:
            self.transport.abort()
        elif self.task is not None:
            self.task.cancel()


class Pool:
    """A worker's connections to servers, idle ones by slot, the one used last first."""

    __slots__ = ("worker", "_idle")

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self._idle: dict[int, deque[ServerConnection]] = {}

    def take(self, server: Server, slot: int, port: int, user: User, tls: UpstreamTlsPlan | None) -> ServerConnection | None:
        """An idle connection to this server, opened since it is known to be up."""
        idle = self._idle.get(slot)
        while idle:
            connection = idle.pop()
            cells = self.worker.board.cells
            opened = connection.opened_at
            if (
                connection.port == port
                and connection.server_id == server.id
                and connection.tls == tls
                and not connection.lost
                and opened >= cells[slot + READY_AT]
                and opened >= cells[slot + HIT_AT]
            ):
                connection.user = connection.reader.sink = user
                return connection
            connection.close()
        return None

    def open(self, server: Server, slot: int, port: int, user: User, keep: int, tls: UpstreamTlsPlan | None) -> ServerConnection:
        """Begin to connect; the user hears `on_connected` or `on_refused`."""
        connection = ServerConnection(self, server, slot, port, user, keep, tls)
        way = (
            self._connect(connection, server.host, port, server.path) if tls is None else self._connect_tls(connection, server, tls)
        )
        connection.task = self.worker.loop.create_task(way)
        return connection

    async def _connect(self, connection: ServerConnection, host: str, port: int, path: str) -> None:
        loop = self.worker.loop
        protocol = cast(asyncio.Protocol, connection)
        try:
            if path:
                way, folder = shortened(*os.path.split(path))
                try:
                    await loop.create_unix_connection(lambda: protocol, way)
                finally:
                    if folder >= 0:
                        os.close(folder)
            else:
                await loop.create_connection(lambda: protocol, host, port)
        except (OSError, ValueError) as error:
            if connection.user is not None:
                connection.user.on_refused(str(error) or type(error).__name__)
        finally:
            connection.task = None

    async def _connect_tls(self, connection: ServerConnection, server: Server, tls: UpstreamTlsPlan) -> None:
        name = expected_name(tls["server_name"], server.plan["name"], server.host)
        files = Files(tls["verify"], tls["ca"], tls["certificate"], tls["key"])
        reached = False
        try:
            context = self.worker.outgoing.context(files, monotonic_ns())
            reached = True
            await self._reach(connection, server, context, name)
        except (OSError, ValueError) as error:
            if connection.user is None:
                return
            if reached and isinstance(error, OSError) and not isinstance(error, _NO_TLS):
                connection.user.on_refused(str(error) or type(error).__name__)
            else:
                connection.user.on_refused(why(error, name), untrusted=True)
        finally:
            connection.task = None

    async def _reach(self, connection: ServerConnection, server: Server, context: SSLContext, name: str) -> None:
        loop = self.worker.loop
        protocol = cast(asyncio.Protocol, connection)
        if server.path:
            await loop.create_unix_connection(lambda: protocol, server.path, ssl=context, server_hostname=name)
        else:
            await loop.create_connection(lambda: protocol, server.host, connection.port, ssl=context, server_hostname=name)

    def give_back(self, connection: ServerConnection, idle_until: int) -> None:
        """The user is done: keep the connection until `idle_until` when it can be used again."""
        connection.user = None
        if connection.lost or not connection.reader.reusable or not connection.keep or self.worker.draining:
            connection.close()
            return
        idle = self._idle.get(connection.slot)
        if idle is None:
            idle = self._idle[connection.slot] = deque()
        connection.idle_until = idle_until
        idle.append(connection)
        if len(idle) > connection.keep:
            idle.popleft().close()

    def forget(self, connection: ServerConnection) -> None:
        """An idle connection was closed by the server."""
        idle = self._idle.get(connection.slot)
        if idle:
            try:
                idle.remove(connection)
            except ValueError:
                pass

    def sweep(self, now: int) -> None:
        """Close what has been idle too long."""
        for idle in self._idle.values():
            while idle and idle[0].idle_until < now:
                idle.popleft().close()

    def close(self) -> None:
        for idle in self._idle.values():
            while idle:
                idle.pop().close()
