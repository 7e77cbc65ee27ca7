"""A child that gets certificates: started, listened to, relayed to the master, ended. It never outlives its deadline or control."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from typing import Any, Final

from gapura import ipc

ARGV: Final = (sys.executable, "-P", "-m", "gapura.control.issue", "0")
DEADLINE: Final = 600.0
"""Seconds after which a child is killed, whatever it is doing: each of its own waits is shorter."""
RELAYED: Final = ("keep", "lend", "forget")

log = logging.getLogger(__name__)


class Errand:
    """One job under way. `heard` gets what the child says about it, `to_master` what it wants kept or lent, `over` its end, once.

    The reason of the end is "" after `done` or `failed`, else words about what became of the child.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        job: dict[str, Any],
        heard: Callable[[ipc.Message], None],
        to_master: Callable[[Errand, ipc.Message, list[int]], None],
        over: Callable[[Errand, str], None],
    ) -> None:
        self.job = job
        self._loop = loop
        self._heard = heard
        self._to_master = to_master
        self._over: Callable[[Errand, str], None] | None = over
        self._finished = False
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._process = subprocess.Popen(ARGV, stdin=theirs.fileno(), cwd="/", start_new_session=True)
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
        ours.setblocking(False)
        self._channel = ipc.Channel(ours)
        self._pidfd = os.pidfd_open(self._process.pid)
        loop.add_reader(self._pidfd, self._ended)
        loop.add_reader(ours, self._readable)
        self._timer = loop.call_later(DEADLINE, self._late)
        self.send(job, ())

    def send(self, message: ipc.Message, fds: tuple[int, ...]) -> None:
        """Tell the child something; the descriptors stay the caller's."""
        if not self._channel.closed:
            self._channel.send(message, fds)
            self._flush()

    def cancel(self) -> None:
        """Kill the child; `over` is not called any more."""
        self._over = None
        self._close()

    def _flush(self) -> None:
        if self._channel.closed:
            return
        if self._channel.flush():
            self._loop.remove_writer(self._channel.sock)
        else:
            self._loop.add_writer(self._channel.sock, self._flush)

    def _readable(self) -> None:
        try:
            messages = self._channel.receive()
        except ipc.ChannelClosed:
            self._loop.remove_reader(self._channel.sock)
            return  # its end follows
        for message, fds in messages:
            try:
                self._hear(message, fds)
            except Exception:
                log.exception("what the child said could not be handled")
            for fd in fds:
                os.close(fd)

    def _hear(self, message: ipc.Message, fds: list[int]) -> None:
        kind = message.get("type")
        if kind in RELAYED:
            self._to_master(self, message, fds)
            return
        self._finished = self._finished or kind in ("done", "failed")
        self._heard(message)

    def _late(self) -> None:
        log.error("getting a certificate takes longer than %.0f s: it is given up", DEADLINE)
        self._process.kill()

    def _ended(self) -> None:
        while not self._channel.closed and self._pending():
            self._readable()  # its last words
        status = self._process.poll()
        over, self._over = self._over, None
        self._close()
        if over is not None:
            over(self, "" if self._finished else f"the process that gets certificates ended with {status}")

    def _pending(self) -> bool:
        """Whether something can still be read."""
        try:
            return bool(self._channel.sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
        except OSError:
            return False

    def _close(self) -> None:
        self._timer.cancel()
        if self._pidfd >= 0:
            self._loop.remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = -1
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        if not self._channel.closed or self._channel.sock.fileno() >= 0:
            self._loop.remove_reader(self._channel.sock)
            self._loop.remove_writer(self._channel.sock)
            self._channel.close()
