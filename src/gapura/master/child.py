"""One worker or control process: its channel, its row on the board, how far it has come with a generation."""

from __future__ import annotations

import os
import resource
import signal
import sys
import time
from typing import Any

from gapura.board import CONTROL_ROW, P_BEAT, P_PID, WORKER_ROW, Board
from gapura.ipc import MAX_FDS, Message, pair
from gapura.master.link import Link
from gapura.master.loop import Loop
from gapura.master.sockets import Share
from gapura.procs import launch, tree

HEARTBEAT = 0.25
"""Seconds between two heartbeats of every process."""
HUNG_AFTER = 2.0
"""A child that does not beat for so long (s) is killed and replaced."""
FIRST_BEAT = 15.0
"""A child that is only starting has so long (s) until its first heartbeat."""
WORKER, CONTROL = "worker", "control"

ARGV = {
    WORKER: [sys.executable, "-P", "-m", "gapura.edge", "0"],
    CONTROL: [sys.executable, "-P", "-m", "gapura.control", "0"],
}
"""How children are executed; the channel is their standard input."""


class Child:
    """A process that the master talks to: started by this master, or an orphan of an earlier one (`started_here` False)."""

    def __init__(self, role: str, pid: int, started: int, column: int, link: Link, started_here: bool) -> None:
        self.role = role
        self.pid = pid
        self.started = started
        self.column = column
        self.link = link
        self.started_here = started_here
        self.since = time.monotonic()
        self.seat = -1
        self.prepared = 0
        self.committed = 0
        self.failure: tuple[int, str] | None = None
        self.draining = False
        self.gone = False
        self.hanging = False
        self.watched = True  # False: an orphan on another board, whose heartbeat cannot be seen
        self.sockets: list[Share] = []

    @property
    def row(self) -> int:
        """Its row on the board."""
        return CONTROL_ROW if self.role == CONTROL else WORKER_ROW + self.column

    def tell(self, kind: str, **fields: Any) -> None:
        """Send a message; a child that is gone does not matter here, its end is noticed elsewhere."""
        self.link.send({"type": kind, **fields})

    def listen(self, shares: list[Share]) -> None:
        """Hand on listening sockets."""
        for start in range(0, len(shares), MAX_FDS):
            part = shares[start : start + MAX_FDS]
            message = {"type": "listen", "addresses": [list(address) for address, _ in part]}
            self.link.send(message, tuple(sock.fileno() for _, sock in part))
        self.sockets += shares

    def hear(self, message: Message) -> None:
        """Note what it says about generations. Whatever is malformed says nothing."""
        generation = message.get("generation")
        if not isinstance(generation, int):
            return
        kind = message.get("type")
        if kind == "prepared":
            self.prepared = max(self.prepared, generation)
        elif kind == "committed":
            self.committed = max(self.committed, generation)
        elif kind == "failed":
            self.failure = (generation, str(message.get("error", "no reason given")))

    def kill(self) -> None:
        """SIGKILL, if the process is still the one that we know."""
        if not self.gone:
            tree.kill(self.pid, signal.SIGKILL, self.started)

    def hung(self, board: Board, now: int) -> bool:
        """Whether its heartbeat stopped. `now` is CLOCK_MONOTONIC in ns."""
        beat = board.cells[board.process(self.row) + P_BEAT]
        since = int(self.since * 1e9)
        if beat < since and self.started_here:
            return now - since > FIRST_BEAT * 1e9
        return now - max(beat, since) > HUNG_AFTER * 1e9


def execute(loop: Loop, role: str, argv: list[str], board: Board, memories: dict[str, int], column: int, user: str) -> Child:
    """Start a child and welcome it with the descriptors of shared memories (and sockets) by name.

    Raises `launch.LaunchError` and OSError.
    """
    channel, theirs = pair()
    try:
        files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        process = launch.spawn(argv, "/", dict(os.environ), user, theirs.fileno(), 1, files, sealed=True)
    except BaseException:
        channel.close()
        raise
    finally:
        theirs.close()
    child = Child(role, process.pid, process.started, column, Link(loop, channel), started_here=True)
    row = board.process(child.row)
    board.cells[row + P_BEAT] = 0
    board.cells[row + P_PID] = process.pid
    names = list(memories)
    child.link.send(
        {"type": "welcome", "column": column, "heartbeat": HEARTBEAT, "memories": names}, tuple(memories[name] for name in names)
    )
    return child
