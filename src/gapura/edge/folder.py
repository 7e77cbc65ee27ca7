"""The folder of a `files` route: it opens what lies in it, and nothing outside of it.

A path is opened first and checked afterwards by what was really opened (/proc/self/fd), so a symbolic link that leaves the
folder, or one that is swapped meanwhile, cannot be followed out of it.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import Final

MISSING, FORBIDDEN, BUSY = -1, -2, -3
"""Instead of a descriptor: there is nothing to be shown; it may not be read; no descriptor is left."""

_CODES: Final = {errno.EACCES: FORBIDDEN, errno.EPERM: FORBIDDEN, errno.EMFILE: BUSY, errno.ENFILE: BUSY, errno.ENOMEM: BUSY}
# O_NONBLOCK: a FIFO must not hang the worker; O_NOCTTY: nor a terminal become ours
_FLAGS: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY


class Folder:
    """A root folder by its path, which may itself be or hold symbolic links, and change where they lead (releases)."""

    __slots__ = ("path", "_real", "_below")

    def __init__(self, path: bytes) -> None:
        self.path = path
        self._real = b""
        self._below = b""

    def open(self, name: bytes) -> tuple[int, os.stat_result | None]:
        """(descriptor, stat) of a regular file or a folder; else (MISSING, FORBIDDEN or BUSY, None).

        `name` has no empty, dot or hidden segments; "" is the folder itself.
        """
        try:
            fd = os.open(self.path + b"/" + name, _FLAGS)
        except OSError as error:
            return _CODES.get(error.errno or 0, MISSING), None
        except ValueError:  # a zero byte
            return MISSING, None
        try:
            info = os.fstat(fd)
            inside = self._inside(os.readlink(b"/proc/self/fd/%d" % fd))
        except OSError:
            inside = False
        if inside and (stat.S_ISREG(info.st_mode) or stat.S_ISDIR(info.st_mode)):
            return fd, info
        os.close(fd)
        return MISSING, None

    def _inside(self, real: bytes) -> bool:
        """Whether a real path is in the folder. Where the folder itself really is is asked again only when it seems not."""
        if real.startswith(self._below) and self._below:
            return True
        now = os.path.realpath(self.path)
        if now != self._real:
            self._real = now
            self._below = now.rstrip(b"/") + b"/"
        return real == self._real or real.startswith(self._below)


def is_folder(info: os.stat_result | None) -> bool:
    """Whether this is the stat of a folder."""
    return info is not None and stat.S_ISDIR(info.st_mode)
