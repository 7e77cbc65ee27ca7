"""What the service manager is told."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from gapura.master.notify import Notifier, watchdog_interval


def test_messages_of_sd_notify(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "n"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "n"))
        notifier = Notifier.from_environment()
        assert "NOTIFY_SOCKET" not in os.environ
        notifier.ready("two\nlines")
        assert manager.recv(200) == f"READY=1\nMAINPID={os.getpid()}\nSTATUS=two lines".encode()
        notifier.reloading()
        assert manager.recv(200).startswith(b"RELOADING=1\nMONOTONIC_USEC=")
        notifier.main_pid(77)
        assert manager.recv(200) == b"MAINPID=77"
        notifier.alive()
        assert manager.recv(200) == b"WATCHDOG=1"
        notifier.stopping()
        assert manager.recv(200).startswith(b"STOPPING=1")
        notifier.close()


@pytest.mark.parametrize("address", ["", "relative", "/nobody/listens/here", "@nobody-listens"])
def test_without_a_manager_nothing_happens(address: str) -> None:
    notifier = Notifier(address)
    notifier.ready("x")
    notifier.close()


@pytest.mark.parametrize(
    ("micros", "pid", "seconds"),
    [("", "", None), ("2000000", "", 1.0), ("2000000", "1", None), ("0", "", None), ("soon", "", None), ("-5", "", None)],
)
def test_watchdog(micros: str, pid: str, seconds: float | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", micros)
    monkeypatch.setenv("WATCHDOG_PID", pid)
    assert watchdog_interval() == seconds
