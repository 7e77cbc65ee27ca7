"""Who listens on a TCP port: the kernel says which sockets do, the descriptors of processes (proc(5)) whose they are."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterable, Iterator
from typing import Final

from gapura.log import escape

Listener = tuple[int, int]
"""Port and inode of a listening socket."""

_COMMAND_LENGTH: Final = 200
_STATE: Final = 10
"""TCP_LISTEN of the kernel; a bit in a question by netlink, the column `st` of /proc/net/tcp in hexadecimal."""

# sock_diag(7) and netlink(7): a struct nlmsghdr, behind it a struct inet_diag_req_v2, or in answers a struct inet_diag_msg
_NETLINK_SOCK_DIAG: Final = 4
_SOCK_DIAG_BY_FAMILY: Final = 20
_REQUEST_DUMP: Final = 0x301
_ERROR, _DONE = 2, 3
_HEAD: Final = struct.Struct("=IHHII")
_QUESTION: Final = struct.Struct("=BBBBI48x")
_PORT: Final = struct.Struct("!20xH")
_INODE: Final = struct.Struct("=84xI")


def port_owner(port: int) -> tuple[int, str] | None:
    """Process id and command line of who listens on a TCP port; None when nobody does or it cannot be seen.

    Without root only processes of one's own user can be seen.
    """
    wanted = _links(port)
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
    wanted = _links(port)
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


def _links(port: int) -> set[bytes]:
    """How /proc/PID/fd names the sockets that listen on a port."""
    try:
        listeners = list(_ask_kernel())
    except OSError:  # a sandbox without this kind of socket
        listeners = list(_read_tables())
    return {b"socket:[%d]" % inode for other, inode in listeners if other == port}


def _ask_kernel() -> Iterator[Listener]:
    """All listening sockets, by netlink: a hundred times faster than /proc/net/tcp, which goes through all connections.

    Raises OSError.
    """
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_SOCK_DIAG) as sock:
        for family in (socket.AF_INET, socket.AF_INET6):
            question = _QUESTION.pack(family, socket.IPPROTO_TCP, 0, 0, 1 << _STATE)
            sock.send(_HEAD.pack(_HEAD.size + len(question), _SOCK_DIAG_BY_FAMILY, _REQUEST_DUMP, 0, 0) + question)
            done = False
            while not done:
                data, at = memoryview(sock.recv(1 << 16)), 0
                while at < len(data) and not done:
                    length, kind = _HEAD.unpack_from(data, at)[:2]
                    if kind == _ERROR:
                        number = -struct.unpack_from("=i", data, at + _HEAD.size)[0]
                        raise OSError(number, os.strerror(number))
                    done = kind == _DONE
                    if not done:
                        yield _PORT.unpack_from(data, at)[0], _INODE.unpack_from(data, at)[0]
                    at += length + 3 & ~3


def _read_tables() -> Iterator[Listener]:
    """The same from /proc/net/tcp and tcp6."""
    for path in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            with open(path, "rb") as file:
                for line in file:
                    fields = line.split()
                    if fields[3] == b"%02X" % _STATE:
                        yield int(fields[1].rpartition(b":")[2], 16), int(fields[9])
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
