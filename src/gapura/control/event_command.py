"""`on_event`: a command for each event, with a time limit, in a process group of its own that is gone at the end.

Nothing of an event becomes part of the command: it comes on standard input and in variables (CWE-78).
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import secrets
import subprocess
from collections import deque
from collections.abc import Mapping
from typing import Final

from gapura.config.plan_events import CommandPlan
from gapura.events import OWN, Event, Tell, wanted
from gapura.procs import tree

AT_ONCE: Final = 2
QUEUE: Final = 200
"""Events that wait for their turn; when there are more, the oldest are given up."""
OUTPUT: Final = 4096
"""Bytes of a command's output that go to the log; the rest is read and thrown away."""
KEPT: Final = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ", "SHELL", "DISPLAY", "WAYLAND_DISPLAY", "XAUTHORITY")
SESSION: Final = ("DBUS_SESSION_BUS_ADDRESS", "XDG_RUNTIME_DIR")
"""What reaches the desktop of whoever started Gapura; nothing else of our environment is passed on."""
LONGEST_VALUE: Final = 8192
KILL_PATIENCE: Final = 1.0
"""Seconds at the end for killing what still runs."""
NAME: Final = "on_event"

log = logging.getLogger(__name__)


class Command:
    """Runs a command for events, `AT_ONCE` at the same time. `tell` hears when it begins to fail and when it works again."""

    def __init__(self, loop: asyncio.AbstractEventLoop, plan: CommandPlan, tell: Tell) -> None:
        self.plan = plan
        self.name = NAME
        self.lost = 0
        self.problem = ""
        self._loop = loop
        self._tell = tell
        self._queue: deque[Event] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = False

    @property
    def waiting(self) -> int:
        """Events whose command has not ended yet."""
        return len(self._queue) + len(self._tasks)

    def offer(self, event: Event) -> None:
        """Take an event, if it is one of those that are wanted."""
        if event["type"] in OWN or self._closing or not wanted(self.plan["only"], event):
            return
        if len(self._queue) >= QUEUE:
            self._queue.popleft()
            self.lost += 1
        self._queue.append(event)
        self._begin()

    async def test(self, event: Event) -> str:
        """Run it now; "" or what went wrong."""
        return await Run(self._loop, self.plan, event).outcome()

    async def close(self, patience: float) -> None:
        """Run what waits, for at most `patience` seconds."""
        self._closing = True
        end = self._loop.time() + patience
        while self._tasks and self._loop.time() < end:
            await asyncio.wait(self._tasks, timeout=end - self._loop.time())
        self.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=KILL_PATIENCE)

    def cancel(self) -> None:
        """Kill what runs, and forget what waits."""
        self._queue.clear()
        for task in self._tasks:
            task.cancel()

    def _begin(self) -> None:
        while self._queue and len(self._tasks) < AT_ONCE:
            task = self._loop.create_task(self._run(self._queue.popleft()))
            self._tasks.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._begin()

    async def _run(self, event: Event) -> None:
        problem = await Run(self._loop, self.plan, event).outcome()
        if problem and not self.problem:
            self._tell("events.undelivered", NAME, f"{NAME} fails: {problem}")
        elif self.problem and not problem:
            self._tell("events.delivered", NAME, f"{NAME} works again")
        self.problem = problem


class Run:
    """One process. `outcome()` starts it, waits for it, and has ended all that it had begun when it returns."""

    def __init__(self, loop: asyncio.AbstractEventLoop, plan: CommandPlan, event: Event) -> None:
        self._loop = loop
        self._plan = plan
        self._event = event
        self._said = b""

    async def outcome(self) -> str:
        """Run it; "" or what went wrong."""
        mark = f"{secrets.token_hex(8)}:{NAME}"
        read, write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        os.set_blocking(write, True)
        given = _given(self._event)
        try:
            process = subprocess.Popen(
                ["/bin/sh", "-c", self._plan["command"]],
                stdin=given,
                stdout=write,
                stderr=write,
                cwd="/",
                env=environment(self._event, mark, os.environ),
                start_new_session=True,
            )
        except OSError as error:
            os.close(read)
            return f"it cannot be started: {error.strerror}"
        finally:
            os.close(given)
            os.close(write)
        started = tree.start_time(process.pid) or 0
        self._loop.add_reader(read, self._readable, read)
        try:
            status = await self._end_of(process)
        finally:
            # a child that left the group still carries the mark; done in a thread, as it reads all of /proc
            await asyncio.shield(self._loop.run_in_executor(None, tree.kill_trees, [(process.pid, mark, started)]))
            process.wait()
            self._readable(read)
            self._loop.remove_reader(read)
            os.close(read)
            self._log()
        if status is None:
            return f"it took longer than {self._plan['timeout']:g} s and was killed"
        return f"it ended with status {status}{self._last()}" if status else ""

    async def _end_of(self, process: subprocess.Popen[bytes]) -> int | None:
        """Its exit status; None when it took too long."""
        done: asyncio.Future[None] = self._loop.create_future()
        pidfd = os.pidfd_open(process.pid)

        def over() -> None:
            if not done.done():
                done.set_result(None)

        self._loop.add_reader(pidfd, over)
        try:
            await asyncio.wait_for(done, self._plan["timeout"])
        except TimeoutError:
            return None
        finally:
            self._loop.remove_reader(pidfd)
            os.close(pidfd)
        return process.wait()

    def _readable(self, fd: int) -> None:
        try:
            data = os.read(fd, 65536)
        except OSError:
            return
        self._said = (self._said + data)[:OUTPUT]
        if not data:
            self._loop.remove_reader(fd)

    def _lines(self) -> list[str]:
        return [line for line in self._said.decode("utf-8", "replace").splitlines() if line.strip()]

    def _last(self) -> str:
        lines = self._lines()
        return f": {lines[-1][:300]}" if lines else ""

    def _log(self) -> None:
        for line in self._lines():
            log.info("%s: %s", NAME, line)


def environment(event: Event, mark: str, ours: Mapping[str, str]) -> dict[str, str]:
    """The variables of a command: little of ours, then those of the event."""
    env = {name: value for name, value in ours.items() if name in KEPT or name in SESSION or name.startswith("LC_")}
    env.setdefault("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
    env["GAPURA_MARK"] = mark
    for word in ("id", "at", "type", "severity", "subject", "text"):
        value = str(event[word]).replace("\0", "").encode("utf-8", "replace").decode()
        env[f"GAPURA_EVENT_{word.upper()}"] = value[:LONGEST_VALUE]
    return env


def _given(event: Event) -> int:
    """A descriptor from which the event is read as JSON: memory, so that nobody waits for who does not read (memfd_create(2))."""
    fd = os.memfd_create("event", os.MFD_CLOEXEC)
    os.write(fd, json.dumps(event, default=str).encode("ascii") + b"\n")
    os.lseek(fd, 0, os.SEEK_SET)
    return fd
