"""How the master is executed: its command line, and the descriptors that it inherits."""

from __future__ import annotations

import os
from typing import NamedTuple


class Options(NamedTuple):
    """The command line. `argv` (tests) replaces what children are executed with: "worker", "control", "config"."""

    file: str
    ready_fd: int = -1
    quiet: bool = False
    argv: dict[str, list[str]] | None = None


def parse(arguments: list[str]) -> Options | None:
    """The command line; None when it is wrong."""
    files, ready_fd, quiet = [], -1, False
    rest = iter(arguments)
    for word in rest:
        if word == "--quiet":
            quiet = True
        elif word == "--ready-fd":
            number = next(rest, "")
            if not number.isdecimal():
                return None
            ready_fd = int(number)
        elif word.startswith("-"):
            return None
        else:
            files.append(word)
    return Options(files[0], ready_fd, quiet) if len(files) == 1 else None


def close_others(ready_fd: int) -> None:
    """Close what the shell that started us had open: whoever reads from the other end of it shall not wait for us."""
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2 and int(name) != ready_fd:
            try:
                os.close(int(name))
            except OSError:
                pass  # the one that listed them


def open_standard_streams() -> None:
    """Give closed standard streams to /dev/null, so that no socket of ours gets their numbers."""
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(fd, True)
    os.close(fd)
