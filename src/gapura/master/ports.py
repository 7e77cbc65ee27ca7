"""Ports for instances whose app does not fix them: from the kernel, never the same twice."""

from __future__ import annotations

import socket


class Ports:
    """Remembers what was given away, so that two instances that are only starting do not get the same port."""

    def __init__(self) -> None:
        self._given: set[int] = set()

    def choose(self, host: str, wanted: int = 0) -> int:
        """`wanted` if nobody listens on it (0 = no wish), else a free port. Raises OSError when there is none."""
        if wanted and _free(host, wanted):
            self._given.add(wanted)
            return wanted
        while True:
            port = _from_kernel(host)
            if port not in self._given:
                self._given.add(port)
                return port

    def keep(self, port: int) -> None:
        """A port that an adopted instance has."""
        self._given.add(port)

    def give_back(self, port: int) -> None:
        """Nobody uses it any more."""
        self._given.discard(port)


def _free(host: str, port: int) -> bool:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((host, port))
        except OSError:
            return False
        return True


def _from_kernel(host: str) -> int:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as sock:
        sock.bind((host, 0))
        port: int = sock.getsockname()[1]
        return port
