"""Who listens on a TCP port, found through /proc/net and the descriptors of processes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

from gapura.log import escape

_LISTENING = b"0A"
_COMMAND_LENGTH = 200


def port_owner(port: int) -> tuple[int, str] | None:
    """Process id and command line of who listens on a TCP port; None when nobody does or it cannot be seen.

    Without root only processes of one's own user can be seen.
    """
    wanted = _listening(port)
    if wanted:
        for name in os.listdir("/proc"):
            if name.isdigit() and not wanted.isdisjoint(_sockets(int(name))):
                return int(name), command_of(int(name))
    return None


def listens(pids: Iterable[int], port: int) -> bool:
    """Whether one of these processes holds a listening socket on the TCP port.

    A program with file capabilities (`setcap`) hides its descriptors from its own user. When one of the processes does, and
    nobody else is seen to hold the port, it is believed to.
    """
    wanted = _listening(port)
    if not wanted:
        return False
    hidden = False
    for pid in pids:
        try:
            if not wanted.isdisjoint(_open_sockets(pid)):
                return True
        except PermissionError:
            hidden = True
        except OSError:
            pass
    return hidden and port_owner(port) is None


def command_of(pid: int) -> str:
    """The command line of a process as one printable line, shortened; "" when it is gone."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            words = file.read(4 * _COMMAND_LENGTH).rstrip(b"\0").split(b"\0")
    except OSError:
        return ""
    text = escape(b" ".join(words).decode("utf-8", "replace"))
    return text if len(text) <= _COMMAND_LENGTH else text[: _COMMAND_LENGTH - 1] + "…"


def ports_of(pids: Iterable[int]) -> list[int]:
    """The TCP ports that these processes listen on, in ascending order: those that can be seen."""
    holders = {link: port for port, link in _listeners("")}
    found = {holders[link] for pid in pids for link in _sockets(pid) if link in holders}
    return sorted(found)


def _listening(port: int) -> set[bytes]:
    """Links (`socket:[inode]`) of the sockets that listen on the port, IPv4 and IPv6."""
    return {link for other, link in _listeners(f":{port:04X} ") if other == port}


def _listeners(needle: str) -> Iterator[tuple[int, bytes]]:
    """Port and link of each listening socket whose line holds the needle (proc(5), /proc/net/tcp)."""
    wanted = needle.encode()
    for path in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            with open(path, "rb") as file:
                for line in file:
                    if wanted in line:
                        fields = line.split()
                        if fields[3] == _LISTENING:
                            yield int(fields[1].rpartition(b":")[2], 16), b"socket:[" + fields[9] + b"]"
        except OSError:
            pass  # a machine without IPv6


def _sockets(pid: int) -> Iterator[bytes]:
    """`_open_sockets`, nothing for a process that is gone or cannot be seen."""
    try:
        yield from _open_sockets(pid)
    except OSError:
        pass


def _open_sockets(pid: int) -> Iterator[bytes]:
    """Links of the descriptors of a process. Raises OSError."""
    folder = f"/proc/{pid}/fd".encode()
    for name in os.listdir(folder):
        try:
            yield os.readlink(folder + b"/" + name)
        except FileNotFoundError:
            pass  # closed meanwhile
