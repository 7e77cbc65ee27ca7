"""What control does without a master: look for a new one, and keep the apps from blocking on full pipes meanwhile."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable

from gapura import ipc
from gapura.config.plan import Plan
from gapura.procs.output import Output

RETRY = 0.2
"""Seconds between two attempts to reach a new master."""

log = logging.getLogger(__name__)


Lent = dict[str, tuple[int, int]]
"""Of each instance's output the pipe and the log file, which control itself may have no right to open."""


class Pipes:
    """Writes down what the instances print while nobody else reads their named pipes. Logs are not rotated meanwhile."""

    def __init__(self, loop: asyncio.AbstractEventLoop, plan: Plan, lent: Lent) -> None:
        self._loop = loop
        self._outputs: list[Output] = []
        folder = os.path.join(plan["paths"]["run"], "pipes")
        for name, (pipe, log_file) in sorted(lent.items()):
            output = Output(name, folder, plan["paths"]["logs"], 0, 0, lent=(os.dup(pipe), os.dup(log_file)))
            self._outputs.append(output)
            loop.add_reader(output.fileno(), self._read, output)

    def close(self) -> None:
        """Leave the rest to the new master."""
        for output in self._outputs:
            self._loop.remove_reader(output.fileno())
            output.close(remove=False)
        self._outputs.clear()

    def _read(self, output: Output) -> None:
        output.read(time.monotonic())


class Orphan:
    """Control without a master. `found(channel)` is called when a new one listens, `deserted()` when the run folder is gone."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        plan: Plan,
        lent: Lent,
        found: Callable[[ipc.Channel], None],
        deserted: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._run = plan["paths"]["run"]
        self._found = found
        self._deserted = deserted
        self._pipes = Pipes(loop, plan, lent)
        self._timer = loop.call_soon(self._seek)

    def close(self) -> None:
        self._timer.cancel()
        self._pipes.close()

    def _seek(self) -> None:
        try:
            channel = ipc.connect(self._run, blocking=False)
        except OSError:
            if not os.path.isdir(self._run):
                self._deserted()
                return
            self._timer = self._loop.call_later(RETRY, self._seek)
            return
        self.close()  # before the new master begins to read the pipes: two readers would tear lines
        self._found(channel)
