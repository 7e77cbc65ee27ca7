"""A channel in the master's loop: what comes is handed on, what cannot be sent yet is sent later."""

from __future__ import annotations

import logging
import os
import socket
import sys
from collections.abc import Callable

from gapura.ipc import Channel, ChannelClosed, Message
from gapura.master.loop import READ, WRITE, Loop

log = logging.getLogger(__name__)


class Link:
    """One end of a conversation with a child, an orphan or a command.

    `heard` gets each message with its descriptors, which it owns; `lost` is called once, when the peer is gone or does not keep
    to the format.
    """

    def __init__(self, loop: Loop, channel: Channel) -> None:
        self._loop = loop
        self._channel = channel
        self._fd = channel.fileno()
        self.heard: Callable[[Message, list[int]], None] = lambda message, fds: close_all(fds)
        self.lost: Callable[[], None] = lambda: None
        self.closed = False
        loop.watch(self._fd, READ, self._ready)

    def peer(self) -> tuple[int, int]:
        """Process and user id at the other end (SO_PEERCRED, unix(7))."""
        data = self._channel.sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        return int.from_bytes(data[0:4], sys.byteorder), int.from_bytes(data[4:8], sys.byteorder)

    def send(self, message: Message, fds: tuple[int, ...] = ()) -> None:
        """Send now or as soon as there is room. To a closed link nothing is sent: its end was told by `lost`."""
        if not self.closed:
            self._channel.send(message, fds)
            self._rearm()

    def flush(self, seconds: float) -> None:
        """Block until all is sent, at most so long: for the last words before the master exits."""
        if not self.closed:
            self._channel.sock.settimeout(seconds)
            self._channel.flush()

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self._loop.forget(self._fd)
            self._channel.close()

    def _ready(self) -> None:
        try:
            messages = self._channel.receive()
        except ChannelClosed:
            self.close()
            self.lost()
            return
        for message, fds in messages:
            try:
                self.heard(message, fds)
            except Exception:
                log.exception("the message %s could not be handled", message.get("type"))
        self._rearm()

    def _rearm(self) -> None:
        if not self.closed:
            self._loop.watch(self._fd, READ if self._channel.flush() else READ | WRITE, self._ready)


def close_all(fds: list[int]) -> None:
    """Close descriptors that came with a message and are not wanted."""
    for fd in fds:
        os.close(fd)
    fds.clear()
