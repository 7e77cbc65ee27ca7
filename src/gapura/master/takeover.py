"""What outlives a master: the lock of the run folder, the state file, and the orphans that look for a new master."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import signal
import time
from contextlib import suppress
from typing import Any

from gapura import ipc
from gapura.board import Board
from gapura.errors import CommandError
from gapura.ipc import Message
from gapura.master.child import CONTROL, WORKER, Child
from gapura.master.children import Children
from gapura.master.link import Link, close_all
from gapura.master.loop import Loop, Steps, pause, until
from gapura.master.sockets import Sockets
from gapura.procs import tree

log = logging.getLogger(__name__)

HANDOVER = 10.0
"""Seconds that a living master has to step aside."""
GATHER = 2.0
"""Seconds that living orphans have to report; those that do not are replaced all the same."""
UNNAMED = 0.5
"""Seconds that orphans have to report of whom nothing is known; they try every 0.2 s."""
OTHERS = 0.4
"""Seconds that the others of these have after the first."""
State = dict[str, Any]


class Lock:
    """Makes sure that one master cares for a run folder. The kernel frees it when the master ends, however that happens."""

    def __init__(self, run: str) -> None:
        self._fd = os.open(os.path.join(run, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)

    def try_once(self) -> bool:
        """Whether the lock is ours."""
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def renew(self, run: str) -> bool:
        """Hold the lock of a folder that may have been made anew; False: another master does. Raises OSError."""
        fresh = Lock(run)
        if not os.path.samestat(os.fstat(fresh._fd), os.fstat(self._fd)):
            if not fresh.try_once():
                os.close(fresh._fd)
                return False
            self._fd, fresh._fd = fresh._fd, self._fd
        os.close(fresh._fd)
        return True

    def take(self, run: str) -> Steps[bool]:
        """Get the lock; a living master is asked for it. True: one handed over. Raises `CommandError` when it does not."""
        if self.try_once():
            return False
        try:
            channel = ipc.connect(run)
            answer = channel.ask({"type": "command", "name": "handover"}, HANDOVER)
            channel.close()
        except OSError as error:
            raise CommandError(
                f"Gapura runs here already and does not answer ({error})", "`gapura down`, or end it by hand."
            ) from None
        if not answer.get("ok"):
            raise CommandError(str(answer.get("error") or "the running Gapura does not hand over"), str(answer.get("hint") or ""))
        if not (yield from until(self.try_once, HANDOVER, poll=True)):
            raise CommandError("the running Gapura did not end", "`gapura down`, then `gapura up` again.")
        return True


class StateFile:
    """What the next master needs to know, written whole or not at all."""

    def __init__(self, run: str) -> None:
        self._path = os.path.join(run, "state.json")
        self._failed = False

    def read(self) -> State:
        """The state that an earlier master left; empty when there is none, it cannot be understood, or the machine was started
        since: then its process ids and start times name others.
        """
        try:
            fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
            with open(fd, encoding="utf-8") as stream:
                state = json.load(stream)
        except (OSError, ValueError):
            return {}
        known = isinstance(state, dict) and state.get("format") == 1 and state.get("boot") == _boot()
        return state if known else {}

    def write(self, state: State) -> bool:
        """Replace the file. A full disk is told once and stops nothing; False then: it is to be tried again."""
        fresh = self._path + ".new"
        try:
            fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            with open(fd, "w", encoding="utf-8") as stream:
                json.dump({"format": 1, "boot": _boot(), **state}, stream)
            os.replace(fresh, self._path)
            if self._failed:
                log.info("%s can be written again", self._path)
            self._failed = False
            return True
        except OSError as error:
            with suppress(OSError):
                os.unlink(fresh)
            if not self._failed:
                log.error("%s cannot be written (%s): a new master could not take over now", self._path, error.strerror)
            self._failed = True
            return False

    def remove(self) -> None:
        try:
            os.unlink(self._path)
        except OSError:
            pass


class Orphans:
    """Workers and control of an earlier master. They bring the board and the listening sockets."""

    def __init__(self, loop: Loop, sockets: Sockets) -> None:
        self._loop = loop
        self._sockets = sockets
        self._inodes: set[int] = set()
        self._found: list[Child] = []
        self._named: set[tuple[int, int]] = set()
        self._gathering = True
        self._children: Children | None = None
        self.board: Board | None = None

    def gather(self, state: State, unclean: bool) -> Steps[None]:
        """Wait until the living ones that the state names have reported; a little, too, when an earlier master died `unclean`
        and the state names none: it may have died before it could write them down.
        """
        self._named = {*_entries(state.get("workers")), *_entries([state.get("control")])}
        living = {pid for pid, started in self._named if tree.start_time(pid) == started}
        if living:
            yield from until(lambda: living <= {child.pid for child in self._found}, GATHER)
        elif unclean and (yield from until(lambda: bool(self._found), UNNAMED)):
            yield from pause(OTHERS)  # where there is one there are others, and one of them has the listening sockets
        self._gathering = False
        for pid in living - {child.pid for child in self._found}:
            log.warning("process %d of the earlier master does not report: it is killed", pid)
            tree.kill(pid, signal.SIGKILL, dict(self._named)[pid])

    def hand_to(self, children: Children) -> None:
        """From now on the orphans are children, those that report late included."""
        self._children = children
        for child in self._found:
            if not child.gone:
                children.adopt(child)

    def report(self, link: Link, message: Message, fds: list[int]) -> None:
        """An orphan speaks. Its first descriptor is the board, the others are its listening sockets.

        One that runs as another user is believed only when the state names it: others run as that user, too.
        """
        pid, user = link.peer()
        started, column = tree.start_time(pid), message.get("column")
        role = message.get("role")
        known = user in (0, os.geteuid()) or (pid, started) in self._named
        if not known or role not in (WORKER, CONTROL) or started is None or not isinstance(column, int) or not fds:
            close_all(fds)
            link.close()
            return
        same = self._take_board(fds.pop(0))
        child = Child(role, pid, started, column if same and role == WORKER else -1, link, started_here=False)
        child.draining = bool(message.get("draining"))
        child.watched = same
        log.info("%s %d was left behind by an earlier master: it serves until a new one is ready", role, pid)
        link.heard = lambda further, more: self._more(further, more)
        link.lost = lambda: setattr(child, "gone", True)
        self._more(message, fds)
        self._found.append(child)
        if self._children is not None:
            self._children.adopt(child)
            self._children.forsake()

    def _more(self, message: Message, fds: list[int]) -> None:
        """Take in listening sockets; those that come too late, or twice, are not needed."""
        addresses = message.get("addresses")
        if self._gathering and isinstance(addresses, list) and len(addresses) == len(fds):
            for address, fd in zip(addresses, list(fds), strict=True):
                inode = os.fstat(fd).st_ino
                if inode not in self._inodes:
                    self._inodes.add(inode)
                    self._sockets.adopt((str(address[0]), int(address[1])), fd)
                    fds.remove(fd)
        close_all(fds)

    def _take_board(self, fd: int) -> bool:
        """Whether an orphan uses our board; the first good one that comes becomes ours."""
        if self.board is not None:
            same = os.fstat(fd).st_ino == os.fstat(self.board.fd).st_ino
            os.close(fd)
            return same
        if self._gathering:
            try:
                self.board = Board(fd)
                return True
            except (ValueError, OSError):
                log.warning("the board of an earlier version cannot be used: a new one is made")
        os.close(fd)
        return False


def _boot() -> str:
    """What names the time since the machine was started (random(4))."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as stream:
            return stream.read().strip()
    except OSError:
        return ""


def _entries(value: Any) -> list[tuple[int, int]]:
    """Process ids and start times out of a state file."""
    if not isinstance(value, list):
        return []
    return [(item["pid"], item["started"]) for item in value if isinstance(item, dict) and {"pid", "started"} <= item.keys()]


def snapshot(children: Children, sockets: Sockets, instances: list[State], generation: int, scaled: dict[str, Any]) -> State:
    """The state of a running master."""
    control = children.control
    return {
        "written": time.time(),
        "master": {"pid": os.getpid(), "started": tree.start_time(os.getpid())},
        "generation": generation,
        "listeners": [{"host": host, "port": port} for host, port in sockets.addresses],
        "workers": [
            {"pid": child.pid, "started": child.started, "column": child.column} for child in children.crew if child.role == WORKER
        ],
        "control": {"pid": control.pid, "started": control.started} if control else None,
        "instances": instances,
        "scale": scaled,
    }
