"""Telling the service manager how we are: the protocol of sd_notify(3), a datagram to $NOTIFY_SOCKET."""

from __future__ import annotations

import os
import socket
import time


class Notifier:
    """Sends to the socket that the service manager named; without one every call does nothing."""

    def __init__(self, address: str) -> None:
        self._sock: socket.socket | None = None
        self._address = "\0" + address[1:] if address.startswith("@") else address
        if address.startswith(("/", "@")):
            self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._sock.setblocking(False)

    @classmethod
    def from_environment(cls) -> Notifier:
        """Take the socket out of the environment, so that no child speaks in our name."""
        return cls(os.environ.pop("NOTIFY_SOCKET", ""))

    def ready(self, status: str) -> None:
        self._send(f"READY=1\nMAINPID={os.getpid()}\nSTATUS={_line(status)}")

    def reloading(self) -> None:
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}\nSTATUS=reloading")

    def status(self, text: str) -> None:
        self._send(f"STATUS={_line(text)}")

    def stopping(self) -> None:
        self._send("STOPPING=1\nSTATUS=stopping")

    def main_pid(self, pid: int) -> None:
        """Another process takes over the service: without this systemd would call it dead."""
        self._send(f"MAINPID={pid}")

    def alive(self) -> None:
        self._send("WATCHDOG=1")

    def close(self) -> None:
        if self._sock is not None:
            self._sock.close()
            self._sock = None

    def _send(self, text: str) -> None:
        if self._sock is None:
            return
        try:
            self._sock.sendto(text.encode(), self._address)
        except OSError:
            pass  # the service manager is gone or busy: nothing that we do depends on it


def watchdog_interval() -> float | None:
    """Half of $WATCHDOG_USEC in s, or None: how often `alive` is wanted (sd_watchdog_enabled(3))."""
    micros = os.environ.pop("WATCHDOG_USEC", "")
    pid = os.environ.pop("WATCHDOG_PID", "")
    if not micros.isdigit() or not int(micros) or pid not in ("", str(os.getpid())):
        return None
    return int(micros) / 2_000_000


def _line(text: str) -> str:
    return " ".join(text.split())
