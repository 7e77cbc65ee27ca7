"""Who holds a TCP port: the listening sockets of /proc/net and the processes that have them open (proc(5))."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Final, NamedTuple

_LISTEN: Final = "0A"
"""TCP_LISTEN in the column `st`."""


class Holder(NamedTuple):
    """A process that listens; pid 0 when it belongs to another user and cannot be seen."""

    pid: int
    command: str

    def __str__(self) -> str:
        return f"pid {self.pid} ({self.command})" if self.pid else "a process of another user"


def holder(port: int) -> Holder | None:
    """The process that listens on `port` on any address, or None when nobody does."""
    inodes = {inode for found, inode in _listening() if found == port}
    if not inodes:
        return None
    wanted = {f"socket:[{inode}]" for inode in inodes}
    for pid in sorted(int(name) for name in os.listdir("/proc") if name.isdigit()):
        try:
            with os.scandir(f"/proc/{pid}/fd") as entries:
                if any(_link(entry.path) in wanted for entry in entries):
                    return Holder(pid, command_of(pid))
        except OSError:
            continue
    return Holder(0, "")


def command_of(pid: int) -> str:
    """The command line of a process, on one line, or ""."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as stream:
            text = stream.read(4096).replace(b"\0", b" ").decode("utf-8", "replace").strip()
    except OSError:
        return ""
    return "".join(c if c.isprintable() else "?" for c in text)[:120]


def _listening() -> Iterator[tuple[int, str]]:
    """Port and inode of every listening TCP socket."""
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            with open(table, encoding="ascii") as stream:
                rows = stream.readlines()[1:]
        except OSError:
            continue
        for row in rows:
            fields = row.split()
            if len(fields) > 9 and fields[3] == _LISTEN:
                yield int(fields[1].rpartition(":")[2], 16), fields[9]


def _link(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""
