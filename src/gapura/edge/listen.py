"""A listening socket in a worker. The master keeps it too, so its queue outlives a worker."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, cast

from gapura.config.plan import join_address
from gapura.edge.downstream import Downstream
from gapura.edge.encrypted import Encrypted

if TYPE_CHECKING:
    from gapura.edge.worker import Worker


class Listener:
    """Accepts connections on an inherited socket."""

    __slots__ = ("worker", "host", "port", "name", "sock", "tls", "_server", "_starting")

    def __init__(self, worker: Worker, host: str, port: int, sock: socket.socket) -> None:
        self.worker = worker
        self.host = host
        self.port = port
        self.name = self.name_of(host, port)
        self.sock = sock
        self.sock.setblocking(False)
        self.tls = False  # the plan says it, at each commit
        self._server: asyncio.Server | None = None
        self._starting: asyncio.Task[None] | None = None

    @staticmethod
    def name_of(host: str, port: int) -> str:
        """Key of a listener's address."""
        return join_address(host, port)

    def start(self) -> None:
        """Accept from now on."""
        if self._server is None and self._starting is None:
            self._starting = self.worker.loop.create_task(self._start())

    async def _start(self) -> None:
        # the loop gets a descriptor of its own: stopping must not close the one that is handed to a new master
        own = self.sock.dup()
        backlog = self.worker.snapshot.plan["edge"]["backlog"]
        self._server = await self.worker.loop.create_server(self._connection, sock=own, backlog=backlog)
        self._starting = None

    def _connection(self) -> asyncio.Protocol:
        self.worker.recorder.accepted += 1
        return cast(asyncio.Protocol, Encrypted(self.worker) if self.tls else Downstream(self.worker))

    def empty(self) -> None:
        """Serve what is queued, then stop: a closed socket resets the connections in its queue."""
        self._stop_accepting()
        while True:
            try:
                client, _ = self.sock.accept()
            except OSError:
                break
            client.setblocking(False)
            self.worker.keep(self.worker.loop.connect_accepted_socket(self._connection, client))
        self.sock.close()

    def stop(self) -> None:
        """Accept no more. The queue stays with the master's copy of the socket."""
        self._stop_accepting()
        self.sock.close()

    def _stop_accepting(self) -> None:
        if self._starting is not None:
            self._starting.cancel()
            self._starting = None
        if self._server is not None:
            self._server.close()
            self._server = None
