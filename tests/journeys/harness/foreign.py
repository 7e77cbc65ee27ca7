"""Servers that Gapura has not started: reached by address, missed when they are gone."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess

from .client import answers
from .proc import state, until
from .site import program


class Foreign:
    """One server on a port of its own, which it keeps over restarts."""

    def __init__(self, port: int, name: str, *options: str) -> None:
        self.port = port
        self.name = name
        self.options = options
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it and wait until it answers."""
        self.launch()
        until(lambda: answers(self.port), what=f"{self.name} on port {self.port}")

    def launch(self) -> None:
        """Start it without waiting."""
        words = shlex.split(program("--name", self.name, "--port", str(self.port), *self.options))
        self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)

    def freeze(self) -> None:
        """SIGSTOP, and wait until it has stopped: from then on it accepts and never answers."""
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGSTOP)
        until(lambda: self.process is not None and state(self.process.pid) == "T")

    def stop(self) -> None:
        """Kill it; nothing happens when it does not run."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None
