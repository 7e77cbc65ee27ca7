"""Launching one instance: its environment, its command line, its process."""

from __future__ import annotations

from gapura.config.plan import AppPlan
from gapura.errors import GapuraError


class LaunchError(GapuraError):
    """A process could not be started. `message` is a plain cause, `hint` what to do about it."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class Process:
    """A started process. `pid` and `started` (clock ticks after boot, /proc/PID/stat field 22) name it for ever."""

    __slots__ = ("pid", "started")

    def __init__(self, pid: int, started: int) -> None:
        self.pid = pid
        self.started = started


def environment(app: AppPlan, index: int, port: int, mark: str) -> dict[str, str]:
    """The clean environment of an instance: little of ours, then the app's own, then PORT and GAPURA_*."""
    raise NotImplementedError


def command_line(app: AppPlan, port: int) -> list[str]:
    """What to execute: the command split into words, or a shell for a command that needs one. Raises LaunchError."""
    raise NotImplementedError


def spawn(
    argv: list[str],
    directory: str,
    env: dict[str, str],
    user: str,
    stdin_fd: int,
    output_fd: int,
    nofile_soft: int,
) -> Process:
    """Start a process in a session of its own; returns when it has been executed. Raises LaunchError.

    The caller owns `waitpid` for it. `user` "" = unchanged. `nofile_soft` is the soft limit of open files it gets.
    """
    raise NotImplementedError
