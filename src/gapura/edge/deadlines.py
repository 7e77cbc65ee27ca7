"""When a client has been given long enough: one that takes nothing of its answer, one whose request body trickles in."""

from __future__ import annotations

import fcntl
import struct
import termios
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from gapura.edge.downstream import Downstream

MINIMUM_RATE: Final = 200
"""Bytes/s that a request body must make on average once the body timeout has passed."""


def expire_sending(connection: Downstream, now: int) -> None:
    """Close a client that takes nothing; one that takes little is left alone."""
    outstanding = connection.transport.get_write_buffer_size()
    sock = connection.transport.get_extra_info("socket")
    if sock is not None:
        outstanding += struct.unpack("i", fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, b"\0\0\0\0"))[0]
    if not connection.outstanding or outstanding < connection.outstanding:
        connection.outstanding = outstanding
        connection.deadline = now + connection.worker.send_ns
        return
    connection.transport.abort()


def trickles(connection: Downstream, now: int) -> bool:
    """Whether the request body under way comes in below the minimum rate."""
    exchange = connection.exchange
    if exchange is None or connection.body_paused:
        return False
    seconds = (now - connection.since) / 1e9
    return seconds > 2 * connection.worker.body_ns / 1e9 and exchange.body_seen < seconds * MINIMUM_RATE
