"""As which user the other end of a TCP connection on this machine runs (proc(5), /proc/net/tcp)."""

from __future__ import annotations

import ipaddress
import struct
from typing import Final

_ADDRESS = tuple[str, int]
_UID, _INODE = 6, 8
"""Columns behind the number of the line."""
_MAPPED: Final = "::ffff:"


def uid_of(peer: _ADDRESS, local: _ADDRESS) -> int | None:
    """User id of the process whose socket at `peer` is connected to `local`.

    None: it is not on this machine, or has closed the connection, or cannot be seen. (What is closed has no owner any more, and
    would be shown as root's.)
    """
    places = [("/proc/net/tcp6" if ":" in peer[0] else "/proc/net/tcp", peer, local)]
    if ":" not in peer[0]:  # a socket of IPv6 may speak IPv4
        places.append(("/proc/net/tcp6", (_MAPPED + peer[0], peer[1]), (_MAPPED + local[0], local[1])))
    for table, *ends in places:
        try:
            needle = b": %b %b " % (_written(*ends[0]), _written(*ends[1]))
            with open(table, "rb") as stream:
                text = stream.read()
        except (OSError, ValueError):
            continue
        at = text.find(needle)
        if at >= 0:
            columns = text[at + 2 : text.find(b"\n", at)].split()
            return int(columns[_UID]) if len(columns) > _INODE and columns[_INODE] != b"0" else None
    return None


def _written(host: str, port: int) -> bytes:
    """An address as the kernel prints it: words of 32 bits in the order of the machine. Raises ValueError."""
    packed = ipaddress.ip_address(host).packed
    words = struct.unpack(f"={len(packed) // 4}I", packed)
    return b"".join(b"%08X" % word for word in words) + b":%04X" % port
