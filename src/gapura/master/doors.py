"""The sockets of the admin API: the master makes them, control answers on them."""

from __future__ import annotations

import os
import pwd
import socket
from typing import Final

from gapura.config.plan_admin import ADMIN, DASHBOARD
from gapura.ipc import socket_path

NAMES: Final = (ADMIN, DASHBOARD)
BACKLOG: Final = 128


class Doors:
    """Listens on `<run>/admin.sock` and `<run>/dashboard.sock` (mode 0600). Control gets them each time it is started, so a
    connection waits in the queue while there is none.
    """

    def __init__(self, run: str, user: str) -> None:
        """`user`: the edge's, "" for the master's own. Raises OSError, KeyError."""
        self._run = run
        self._user = user
        self._sockets: dict[str, socket.socket] = {}
        self._open()

    @property
    def fds(self) -> tuple[int, ...]:
        """Descriptors in the order of NAMES."""
        return tuple(self._sockets[name].fileno() for name in NAMES)

    def renew(self) -> None:
        """Listen on socket files made anew. Raises OSError, KeyError."""
        self._shut()
        self._open()

    def close(self, remove: bool) -> None:
        """Listen no longer. `remove`: the socket files go too (not when another master may have made its own by now)."""
        self._shut()
        for name in NAMES if remove else ():
            try:
                os.unlink(self._path(name))
            except OSError:
                pass

    def _open(self) -> None:
        for name in NAMES:
            self._sockets[name] = self._listen(name)
        if self._user:
            os.chown(self._path(DASHBOARD), pwd.getpwnam(self._user).pw_uid, -1, follow_symlinks=False)

    def _listen(self, name: str) -> socket.socket:
        """A socket at a name of its own. Whatever stood there before, a link included, is taken away and not followed."""
        if os.path.lexists(self._path(name)):
            os.unlink(self._path(name))
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        before = os.umask(0o177)
        try:
            sock.bind(socket_path(self._run, f"{name}.sock"))
        except OSError:
            sock.close()
            raise
        finally:
            os.umask(before)
        sock.listen(BACKLOG)
        return sock

    def _shut(self) -> None:
        for sock in self._sockets.values():
            sock.close()
        self._sockets.clear()

    def _path(self, name: str) -> str:
        return os.path.join(self._run, f"{name}.sock")
