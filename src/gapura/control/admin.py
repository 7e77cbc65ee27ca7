"""The doors of the admin API. FastAPI and its server are imported when somebody knocks for the first time: until then control
stays small."""

from __future__ import annotations

import asyncio
import logging
import socket
from typing import TYPE_CHECKING, Final

from gapura.config.plan import Plan, join_address
from gapura.control.api.context import Context

if TYPE_CHECKING:
    from gapura.control.api.server import Server

log = logging.getLogger(__name__)
RETRY: Final = 0.5
"""Seconds until a port that is taken is tried again: the control that is replaced may still have it."""
PORT: Final = "port"


def _load(loop: asyncio.AbstractEventLoop, context: Context) -> Server:
    """Import and build everything; takes a second, in a thread, so that health checks go on."""
    from gapura.control.api.server import Server

    return Server(loop, context)


class Admin:
    """Listens for the admin API: on the master's sockets, and on the port of `[admin] listen`."""

    def __init__(self, loop: asyncio.AbstractEventLoop, context: Context) -> None:
        self._loop = loop
        self._context = context
        self._sockets: dict[str, socket.socket] = {}
        self._server: Server | None = None
        self._loading: asyncio.Task[None] | None = None
        self._wanted: tuple[str, int] | None = None
        self._retry: asyncio.TimerHandle | None = None
        self._told = False

    def open(self, names: list[str], fds: list[int]) -> None:
        """Answer at these sockets from now on, in place of those of the same names. They are ours."""
        for name, fd in zip(names, fds, strict=True):
            self._put(name, socket.socket(fileno=fd))

    def apply(self, plan: Plan) -> None:
        """Listen where a committed plan says."""
        admin = plan.get("admin", None)
        listen = admin["listen"] if admin else None
        wanted = (listen["host"], listen["port"]) if listen else None
        if wanted != self._wanted:
            self._drop(PORT)
            self._wanted, self._told = wanted, False
            self._bind()

    def close(self) -> None:
        """Let go of everything."""
        self._wanted = None
        if self._retry is not None:
            self._retry.cancel()
        for name in list(self._sockets):
            self._drop(name)
        if self._server is not None:
            self._server.close()

    def _bind(self) -> None:
        self._retry = None
        if self._wanted is None:
            return
        family = socket.AF_INET6 if ":" in self._wanted[0] else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(self._wanted)
            sock.listen(128)
        except OSError as error:
            sock.close()
            if not self._told:
                log.warning("the admin API cannot listen on %s yet: %s", join_address(*self._wanted), error.strerror)
                self._told = True
            self._retry = self._loop.call_later(RETRY, self._bind)
            return
        if self._told:
            log.info("the admin API listens on %s", join_address(*self._wanted))
        self._put(PORT, sock)

    def _put(self, name: str, sock: socket.socket) -> None:
        self._drop(name)
        self._sockets[name] = sock
        if self._loading is None or self._server is not None:
            self._loop.add_reader(sock.fileno(), self._knock, name)

    def _drop(self, name: str) -> None:
        sock = self._sockets.pop(name, None)
        if sock is not None:
            self._loop.remove_reader(sock.fileno())
            sock.close()

    def _knock(self, name: str) -> None:
        if self._server is not None:
            self._server.accept(name, self._sockets[name])
        elif self._loading is None:
            for sock in self._sockets.values():
                self._loop.remove_reader(sock.fileno())  # who comes meanwhile waits in the queue
            self._loading = self._loop.create_task(self._start())

    async def _start(self) -> None:
        try:
            self._server = await self._loop.run_in_executor(None, _load, self._loop, self._context)
        except Exception:
            log.exception("the admin API cannot be started")
            self._turn_away()
        self._loading = None
        for name, sock in self._sockets.items():
            self._loop.add_reader(sock.fileno(), self._knock, name)

    def _turn_away(self) -> None:
        """Nobody waits for what will not come."""
        for sock in self._sockets.values():
            while (client := _accepted(sock)) is not None:
                client.close()


def _accepted(sock: socket.socket) -> socket.socket | None:
    try:
        return sock.accept()[0]
    except OSError:
        return None
