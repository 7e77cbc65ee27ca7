"""How the child that issues a certificate talks: what shall be kept or lent goes through control to the master, and it waits."""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import signal
import socket
from typing import Any, Final

from gapura import ipc

_PDEATHSIG: Final = 1
_SET_DUMPABLE: Final = 4
_SEALS: Final = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
_PATIENCE: Final = 30.0
"""Seconds within which the master answers."""


class RelayError(Exception):
    """The master did not do what was asked; the text says why."""


class Relay:
    """The channel to control. Every call is answered before it returns."""

    def __init__(self, sock: socket.socket) -> None:
        sock.settimeout(None)
        self._channel = ipc.Channel(sock)
        self._number = 0
        self._waiting: list[tuple[ipc.Message, list[int]]] = []

    def wait(self) -> ipc.Message:
        """The next message, whatever it is. Raises `ipc.ChannelClosed`, TimeoutError."""
        message, fds = self._next()
        for fd in fds:
            os.close(fd)
        return message

    def say(self, kind: str, **fields: Any) -> None:
        """Tell control something that has no answer."""
        self._channel.send({"type": kind, **fields})

    def keep(self, kind: str, name: str = "", secret: dict[str, str] | None = None, **fields: Any) -> None:
        """Have something written down; it is on the disk when this returns. Raises RelayError."""
        fds: tuple[int, ...] = ()
        if secret is not None:
            fds = (_sealed(json.dumps(secret).encode()),)
        try:
            answer, more = self._ask({"type": "keep", "kind": kind, "name": name, **fields}, fds)
        finally:
            for fd in fds:
                os.close(fd)
        for fd in more:
            os.close(fd)
        if answer.get("error"):
            raise RelayError(f"the {kind} could not be kept: {answer['error']}")

    def forget(self, name: str) -> None:
        """Have a challenge taken away."""
        self.say("forget", name=name)

    def lend(self, kind: str, name: str = "") -> bytes | None:
        """The content of a file that only the master may read, None when it is not there. Raises `RelayError` if it cannot be."""
        answer, fds = self._ask({"type": "lend", "kind": kind, "name": name}, ())
        if not fds:
            if answer.get("error"):
                raise RelayError(str(answer["error"]))
            return None
        for fd in fds[1:]:
            os.close(fd)
        with open(fds[0], "rb") as stream:
            return stream.read(1 << 20)

    def _ask(self, message: ipc.Message, fds: tuple[int, ...]) -> tuple[ipc.Message, list[int]]:
        self._number += 1
        self._channel.sock.settimeout(_PATIENCE)
        try:
            self._channel.send({**message, "id": self._number}, fds)
            while True:
                answer, more = self._next()
                if answer.get("id") == self._number:
                    return answer, more
                for fd in more:
                    os.close(fd)
        except (ipc.ChannelClosed, TimeoutError):
            raise RelayError("the master does not answer") from None
        finally:
            self._channel.sock.settimeout(None)

    def _next(self) -> tuple[ipc.Message, list[int]]:
        while not self._waiting:
            self._waiting.extend(self._channel.receive())
        return self._waiting.pop(0)


def go_with_parent() -> None:
    """End when control ends, and let nobody read our memory, not even processes of the same user (prctl(2))."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    libc.prctl(_SET_DUMPABLE, 0, 0, 0, 0)


def _sealed(data: bytes) -> int:
    """Memory with this content, which nobody can change any more (memfd_create(2))."""
    fd = os.memfd_create("gapura", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.write(fd, data)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
    return fd
