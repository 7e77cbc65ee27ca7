"""The listening sockets: bound by the master, one per worker and address, kept until the address leaves the configuration.

One SO_REUSEPORT socket for each worker spreads connections evenly, and the queue of a worker that died waits in its socket for
the successor. An address is bound once *without* SO_REUSEPORT first, or a port taken by somebody else would be shared in
silence.
"""

from __future__ import annotations

import array
import errno
import logging
import os
import socket
import struct
from collections.abc import Iterable

from gapura.config.plan import ListenPlan, join_address
from gapura.errors import ConfigError, Problem
from gapura.listening import port_owner

log = logging.getLogger(__name__)
SO_ATTACH_REUSEPORT_CBPF = 51  # socket(7); Python has no name for it
Address = tuple[str, int]
Share = tuple[Address, socket.socket]


def key(listen: ListenPlan) -> Address:
    """What names a listener."""
    return listen["host"], listen["port"]


class Sockets:
    """All listening sockets: of each address one for every worker's seat."""

    def __init__(self) -> None:
        self._bound: dict[Address, list[socket.socket]] = {}
        self._narrowed: set[Address] = set()
        self._adopted: set[Address] = set()
        self._pending: list[tuple[Address, socket.socket]] = []

    @property
    def addresses(self) -> list[Address]:
        """The bound addresses."""
        return list(self._bound)

    def adopt(self, address: Address, fd: int) -> None:
        """Take over a socket that an orphaned worker handed on."""
        self._adopted.add(address)
        self._bound.setdefault(address, []).append(socket.socket(fileno=fd))

    def bind(self, listens: Iterable[ListenPlan], workers: int, file: str) -> None:
        """Bind what is not bound yet, one socket for each worker, but accept nothing: `open` or `abort` must follow.

        An address whose family this machine lacks is skipped when the other family works. Raises `ConfigError`, and has bound
        nothing then, when a port is taken (it names the holder) or may not be used.
        """
        problems: list[Problem] = []
        skipped: list[tuple[Address, OSError]] = []
        for listen in listens:
            address = key(listen)
            try:
                self._bind_address(address, workers)
            except OSError as error:
                if error.errno in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL) and address[0] in ("::", "0.0.0.0"):
                    skipped.append((address, error))
                else:
                    problems.append(_problem(address, error, file))
        usable = {port for _, port in [*self._bound, *(address for address, _ in self._pending)]}
        for address, missing in skipped:
            if address[1] in usable:
                family = "IPv6" if ":" in address[0] else "IPv4"
                log.info("%s is left out: this machine has no %s", join_address(*address), family)
            else:
                problems.append(_problem(address, missing, file))
        if problems:
            self.abort()
            raise ConfigError(problems)

    @classmethod
    def rehearse(cls, listens: Iterable[ListenPlan], held: Iterable[Address], file: str) -> None:
        """Raise what `bind` would raise after a takeover from a master that listens on `held`; nothing stays bound."""
        sockets = cls()
        sockets._bound = {address: [] for address in held}
        sockets.bind([listen for listen in listens if key(listen) not in sockets._bound], 1, file)
        sockets.abort()

    def open(self, backlog: int) -> None:
        """Listen on what was bound. Only now, because a socket that listens gets its share of the connections at once."""
        for address, sock in self._pending:
            try:
                sock.listen(backlog)
            except OSError as error:  # somebody took the port since
                log.error("%s", _problem(address, error, "").message)
                sock.close()
                continue
            self._bound.setdefault(address, []).append(sock)
        self._pending.clear()
        for address in self._narrowed:
            _spread(self._bound[address], len(self._bound[address]))
        self._narrowed.clear()

    def abort(self) -> None:
        """Forget what was bound and not opened."""
        for _, sock in self._pending:
            sock.close()
        self._pending.clear()

    def share(self, seat: int) -> list[Share]:
        """The sockets that the worker of this seat serves, each with its address."""
        return [(address, bound[seat]) for address, bound in self._bound.items() if seat < len(bound)]

    def narrow(self, workers: int) -> bool:
        """Have the kernel give new connections only to the sockets of the first seats; whether others get none from now on.

        A socket that gets none any more can be emptied and closed without resetting those whose handshake is under way. The
        kernel knows sockets by the order in which they began to listen; that of adopted ones is not known: they stay as they are.
        """
        wide = {address for address, bound in self._bound.items() if len(bound) > workers} - self._adopted
        narrowed = {address for address in wide if _spread(self._bound[address], workers)}
        self._narrowed |= narrowed
        return bool(narrowed)

    def trim(self, workers: int) -> None:
        """Close the master's side of sockets that no seat has any more: their workers accept what is queued and close them."""
        for bound in self._bound.values():
            for sock in bound[workers:]:
                sock.close()
            del bound[workers:]

    def close(self, addresses: Iterable[Address]) -> None:
        """Close the master's side; a worker that still holds a socket accepts what is queued in it."""
        for address in addresses:
            self._narrowed.discard(address)
            self._adopted.discard(address)
            for sock in self._bound.pop(address, []):
                sock.close()

    def _bind_address(self, address: Address, workers: int) -> None:
        bound = len(self._bound.get(address, []))
        ours = {(":" in host, port) for host, port in [*self._bound, *(other for other, _ in self._pending)]}
        if (":" in address[0], address[1]) not in ours:
            _bind(address, shared=False).close()
        self._pending += [(address, _bind(address, shared=True)) for _ in range(bound, workers)]


def _bind(address: Address, shared: bool) -> socket.socket:
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(address)
    except OSError:
        sock.close()
        raise
    return sock


def _spread(bound: list[socket.socket], count: int) -> bool:
    """Attach a program to a group of SO_REUSEPORT sockets that chooses one of the first `count` at random (classic BPF, see
    Documentation/networking/filter.rst of Linux). False: this kernel or sandbox has no such thing.
    """
    steps = (
        (0x20, 0xFFFFF000 + 56),  # A = a random number (SKF_AD_OFF + SKF_AD_RANDOM)
        (0x94, count),  # A %= count
        (0x16, 0),  # return A
    )
    program = array.array("B", b"".join(struct.pack("=HBBI", code, 0, 0, value) for code, value in steps))
    try:
        bound[0].setsockopt(socket.SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, struct.pack("@HP", len(steps), program.buffer_info()[0]))
    except OSError:
        return False
    return True


def _problem(address: Address, error: OSError, file: str) -> Problem:
    where = join_address(*address)
    if error.errno == errno.EADDRINUSE:
        holder = port_owner(address[1])
        by = f" by pid {holder[0]}, {holder[1]}" if holder else ""
        return Problem(
            f"port {address[1]} is in use{by}", file=file, hint="Stop that program, or write another port: [edge] http = 8080"
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        hint = (
            "Write [edge] http = 8080; or a service may use it (sudo gapura startup --install); "
            f"or allow it to everybody until the next boot: sudo sysctl net.ipv4.ip_unprivileged_port_start={address[1]}"
        )
        return Problem(f"not allowed to listen on {where}", file=file, hint=hint)
    if error.errno == errno.EADDRNOTAVAIL:
        return Problem(
            f"this machine does not have the address {address[0]}", file=file, hint="`ip address` lists the addresses it has."
        )
    return Problem(f"cannot listen on {where}: {os.strerror(error.errno or 0)}", file=file)
