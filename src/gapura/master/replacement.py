"""Putting another text into the place of a configuration file: whole or not at all, its owner and rights kept, the text before
beside it.

A link stays one: what it leads to is replaced. All that needs space or rights is done by `prepare`, so that it fails before
anything has changed; `commit` only renames.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress

from gapura.errors import CommandError

BEFORE = ".before"
"""Ending of the file that keeps the text before."""
_FRESH = ".new"


class Replacement:
    """One exchange of a file's text."""

    def __init__(self, file: str, text: str) -> None:
        self._target = os.path.realpath(file)
        self._text = text
        self._fresh = self._target + _FRESH
        self.before = self._target + BEFORE

    def prepare(self) -> None:
        """Write the new text beside the file, and keep the present one. Raises `CommandError`; nothing is left then."""
        try:
            state = os.stat(self._target)
            self._write(self._fresh, self._text.encode(), state)
            self._keep(state)
        except OSError as error:
            self.discard()
            raise CommandError(f"{self._target} cannot be replaced: {_reason(error)}", _hint(error, self._target)) from None

    def commit(self) -> None:
        """The file has the new text. Raises OSError."""
        os.replace(self._target + BEFORE + _FRESH, self.before)
        os.replace(self._fresh, self._target)
        with suppress(OSError):
            folder = os.open(os.path.dirname(self._target), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(folder)  # or a power failure could bring the old name back
            finally:
                os.close(folder)

    def discard(self) -> None:
        """Leave everything as it was."""
        for path in (self._fresh, self._target + BEFORE + _FRESH):
            with suppress(OSError):
                os.unlink(path)

    def _keep(self, state: os.stat_result) -> None:
        kept = self._target + BEFORE + _FRESH
        with suppress(FileNotFoundError):
            os.unlink(kept)
        try:
            os.link(self._target, kept)
        except OSError:  # a file system without links, or one that protects them
            with open(self._target, "rb") as stream:
                self._write(kept, stream.read(), state)

    @staticmethod
    def _write(path: str, data: bytes, state: os.stat_result) -> None:
        """A file with an owner, rights and further attributes like another's. Raises OSError."""
        with suppress(FileNotFoundError):
            os.unlink(path)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        with open(fd, "wb") as stream:
            _give(fd, state)
            os.fchmod(fd, state.st_mode & 0o7777)
            stream.write(data)
            stream.flush()
            os.fsync(fd)


def _give(fd: int, state: os.stat_result) -> None:
    """Owner and group as another file's. A group that may do no more than everybody does not matter. Raises OSError."""
    facts = os.fstat(fd)
    if (facts.st_uid, facts.st_gid) == (state.st_uid, state.st_gid):
        return
    try:
        os.fchown(fd, state.st_uid, state.st_gid)
    except PermissionError:
        if facts.st_uid != state.st_uid or (state.st_mode >> 3 & 7) != (state.st_mode & 7):
            raise


def _reason(error: OSError) -> str:
    return error.strerror or str(error)


def _hint(error: OSError, target: str) -> str:
    folder = os.path.dirname(target)
    hints = {
        errno.EACCES: f"Gapura has to be able to write into {folder}; or change the file by hand, then `gapura reload`.",
        errno.EROFS: f"{folder} is read-only; change the file where it comes from, then `gapura reload`.",
        errno.ENOSPC: "The disk is full: make room, then try again.",
        errno.EDQUOT: "The quota is used up: make room, then try again.",
        errno.EPERM: "Its owner or group cannot be kept; change the file by hand, then `gapura reload`.",
    }
    return hints.get(error.errno or 0, "Change the file by hand, then `gapura reload`.")
