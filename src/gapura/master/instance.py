"""One instance of an app: launched, brought to readiness, watched, launched again; its facts on the board.

A second process exists only while the instance is replaced: the new one starts in the other slot, the old one leaves when the
new one is ready.
"""

from __future__ import annotations

import logging
import math
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from gapura import board as b
from gapura.board import Board
from gapura.config.plan import AppPlan
from gapura.events import Tell, nobody
from gapura.listening import port_owner
from gapura.master.loop import READ, Loop, Steps, Task, pause, until
from gapura.master.ports import Ports
from gapura.master.run import Run
from gapura.master.slots import Quiet
from gapura.procs import launch
from gapura.procs.cause import Cause, explain
from gapura.procs.lifecycle import BACKOFF, CRASHED, READY, STARTING, STOPPED, STOPPING, Lifecycle
from gapura.procs.output import Output

log = logging.getLogger(__name__)
RECOVERY = 1.0
"""Seconds until care that has failed is taken up again."""
SHOWN = 10
"""So many of the last output lines are kept with the cause of an end."""


@dataclass(slots=True)
class Ground:
    """What all instances share."""

    loop: Loop
    board: Board
    ports: Ports
    columns: Callable[[], Iterable[int]]
    changed: Callable[[], None]
    pipes: str
    logs: str
    open_files: int  # soft limit of open files that apps get
    lend: Callable[[str, Output | None], None] = lambda name, output: None  # for when there is no master
    tell: Tell = nobody  # what people may want to hear of


class Instance:
    """Care for one instance. All methods return at once; those that return `Steps` are to be run as tasks."""

    def __init__(self, ground: Ground, app: AppPlan, index: int, slots: list[int]) -> None:
        self.ground = ground
        self.app = app
        self.index = index
        self.slots = slots
        self.name = f"{app['name']}:{index}"
        self.lifecycle = Lifecycle(app["autorestart"], app["max_restarts"])
        self.run: Run | None = None
        self.other: Run | None = None
        self.port = 0
        self.cause: Cause | None = None
        self.last_lines: list[str] = []
        self.output: Output | None = None
        self._watched = -1
        self._care: Task | None = None
        self._slot = slots[0]
        self._endings = 0
        self._looping = False

    # -- what others ask --------------------------------------------------------------------------------------------------

    @property
    def runs(self) -> list[Run]:
        """Its processes: one, none, or two while it is replaced."""
        return [run for run in (self.run, self.other) if run is not None]

    @property
    def settled(self) -> bool:
        """Whether the last launch has led somewhere: ready, or failed with a cause."""
        state = self.lifecycle.state
        failed = state in (STOPPED, CRASHED) or (state == BACKOFF and self.cause is not None)
        return state == READY or (failed and self.run is None)

    def start(self, when: Callable[[], bool] = lambda: True) -> None:
        """Launch it, unless it runs; not before `when` is so."""
        if self.lifecycle.start_asked(time.monotonic()):
            self.cause = None
            self._show(self._slot, b.BACKOFF)
            self._begin(None, when)

    def rest(self) -> None:
        """It was stopped under an earlier master, and stays so."""
        self._show(self._slot, b.STOPPED)

    def adopt(self, run: Run, state: str, restarts: int) -> bool:
        """Go on with a process that an earlier master launched; False when it is gone."""
        if not run.adopt(self.ground.loop):
            return False
        now = time.monotonic()
        self.lifecycle.launched(now)
        self.lifecycle.restarts = restarts
        self.run, self.port, self._slot = run, run.port, run.slot
        self.ground.ports.keep(run.port)
        self._open_output()
        run.ready = state == READY
        if run.ready:
            self.lifecycle.became_ready(now)
        self._place(run)
        self._show(run.slot, b.STATES.index(self.lifecycle.state))
        self._begin(run)
        return True

    def ended(self, pid: int, status: int) -> bool:
        """A child was reaped; True when it was one of its processes."""
        for run in self.runs:
            if run.pid == pid and not run.ended:
                run.ended, run.status = True, status
                return True
        return False

    def stop(self, drain: bool = True, again: bool = False) -> Steps[None]:
        """Leave the balancer, drain, signal, and after `stop_timeout` SIGKILL to the whole tree; `again`: then launch it anew."""
        self._drop_care()
        run, now = self.run, time.monotonic()
        running = self.lifecycle.stop_asked(now)
        if again:
            self.lifecycle.start_asked(now)
        if run is not None and running:
            self._show(run.slot, b.STOPPING)
            yield from run.end(self._quiet(run) if drain else None, run.app["drain_timeout"], run.app["stop_timeout"])
            self.lifecycle.exited(time.monotonic())
        elif run is not None:
            yield from run.destroy()
        if (other := self.other) is not None:
            yield from other.destroy()
            self._dismiss(other)
        self._forget_run()
        self._show(self._slot, b.STATES.index(self.lifecycle.state))
        if self.lifecycle.state == BACKOFF:
            self._begin(None)

    def mend(self) -> Steps[None]:
        """Bring to its end what an operation that was dropped had begun here: a stop, or a replacement."""
        if self.lifecycle.state == STOPPING:
            yield from self.stop(again=self.lifecycle.again)
        elif (other := self.other) is not None:
            yield from other.end(self._quiet(other), other.app["drain_timeout"], other.app["stop_timeout"])
            self._dismiss(other)

    def follow(self, app: AppPlan) -> None:
        """Take over the words of a new plan: at once where that is possible, else with the next launch."""
        self.app = app
        self.lifecycle.autorestart, self.lifecycle.max_restarts = app["autorestart"], app["max_restarts"]

    def renew(self, app: AppPlan) -> Steps[bool]:
        """Replace its process by one of `app`. True: the new one is ready. False: it is not; with a chosen port the old one
        stays then, with a fixed port the new one is tried again and again like after a crash.
        """
        old = self.run
        if old is None or self.lifecycle.state != READY:
            return (yield from self._restart(app))
        port = app["port"] + self.index if app["port"] else 0
        if port == old.port:
            return (yield from self._restart(app))
        return (yield from self._replace(old, app, port))

    def close(self, remove: bool) -> None:
        """Let go of the output; `remove`: for good. Its processes are not touched."""
        self._drop_care()
        if self.output is not None:
            self._unwatch()
            self._drain_output()
            self.output.close(remove)
            self.ground.lend(f"{self.app['name']}-{self.index}", None)
            self.output = None

    def describe(self) -> dict[str, Any]:
        """What a new master needs to go on with it."""
        runs = [
            {field: getattr(run, field) for field in ("pid", "started", "mark", "port", "slot", "app", "launched_at")}
            for run in self.runs
        ]
        state = BACKOFF if self.lifecycle.again else self.lifecycle.state  # for who is not to wait for the end of a stop
        restarts = self.lifecycle.restarts
        port, name = self.port, self.app["name"]
        return {"app": name, "index": self.index, "state": state, "restarts": restarts, "port": port, "runs": runs}

    # -- care -------------------------------------------------------------------------------------------------------------

    def _begin(self, run: Run | None, when: Callable[[], bool] = lambda: True) -> None:
        self._drop_care()
        self._care = self.ground.loop.start(f"care for {self.name}", self._look_after(run, when), self._recover)

    def _recover(self, task: Task) -> None:
        """Go on in a moment when the care itself has failed, for want of descriptors for example."""

        def again() -> None:
            if self._care is not task:
                return  # somebody else has done something about it
            if self.lifecycle.state == BACKOFF:
                self._forget_run()
            if self.lifecycle.state in (STARTING, READY, BACKOFF):
                self._begin(self.run)

        if task.error is not None:
            log.error("%s failed", task.name, exc_info=task.error)
            self.ground.loop.after(RECOVERY, again)

    def _drop_care(self) -> None:
        if self._care is not None:
            self._care.cancel()
            self._care = None

    def _look_after(self, run: Run | None, when: Callable[[], bool]) -> Steps[None]:
        """Launch, watch to the end, wait, launch again."""
        yield from until(when, math.inf)
        while True:
            run = run or self._launch(self._slot, self.app)
            if run is not None:
                self.run = run
                if not run.ready and (yield from run.become_ready(self.ground.loop)):
                    self._ready(run)
                if run.ready:
                    yield from run.over()
            seconds = self.lifecycle.exited(time.monotonic())
            self._show(self._slot, b.STATES.index(self.lifecycle.state))
            if run is not None:
                late = not run.ended
                yield from run.destroy()
                self._explain(run, late)
                self._forget_run()
            self._endings += 1
            if self.lifecycle.state == CRASHED:
                said = f"{self.name} is not started any more: it failed {self.lifecycle.failures} times in a row"
                self.ground.tell("app.given_up", self.name, said)
            if seconds is None:
                return
            log.info("%s is started again in %.1f s", self.name, seconds)
            yield from pause(max(0.0, self.lifecycle.returns_at - time.monotonic()))
            run = None

    def _launch(self, slot: int, app: AppPlan, fresh_port: bool = False) -> Run | None:
        """Start a process; None, with the cause kept, when it cannot be started."""
        beside = self.run is not None
        if not beside:
            self.lifecycle.launched(time.monotonic())
        mark = f"{os.urandom(8).hex()}:{app['name']}:{self.index}"
        try:
            port = self._choose_port(app, fresh_port)
            self._open_output()
            assert self.output is not None
            argv, env = launch.command_line(app, port), launch.environment(app, self.index, port, mark)
            fds = self.output.stdin_fd, self.output.output_fd
            process = launch.spawn(argv, app["directory"], env, app["user"], *fds, self.ground.open_files)
        except (launch.LaunchError, OSError) as error:
            message = error.message if isinstance(error, launch.LaunchError) else str(error)
            self.cause = Cause(message, getattr(error, "hint", ""))
            self.last_lines = []
            log.error("%s cannot be started: %s", self.name, message)
            self.ground.tell("app.crashed", self.name, f"{self.name} cannot be started: {message}", hint=self.cause.hint, lines=[])
            return None
        run = Run(app, process.pid, process.started, mark, port, slot)
        self._place(run)
        self._show(slot, b.STARTING)
        log.info("%s is starting: pid %d, port %d", self.name, run.pid, port)
        return run

    def _ready(self, run: Run) -> None:
        now = time.monotonic_ns()
        run.ready = True
        self.cause = None
        self.lifecycle.became_ready(now / 1e9)
        self.ground.board.cells[self.ground.board.slot(run.slot) + b.READY_AT] = now
        self._show(run.slot, b.READY)
        log.info("%s is ready: pid %d, port %d", self.name, run.pid, run.port)
        took = f"{time.monotonic() - run.launched_at:.1f} s after its launch"
        self.ground.tell("app.ready", self.name, f"{self.name} is ready, {took}", pid=run.pid, port=run.port)

    def _explain(self, run: Run, late: bool) -> None:
        """Keep why it ended, for people."""
        self._drain_output()
        tail = self.output.tail() if self.output is not None else []
        self.last_lines = tail[-SHOWN:]
        owner = port_owner(run.port)
        if late:
            hint = f"It must listen on port {run.port} ($PORT) and answer {run.app['ready_path']}; start_timeout may be longer."
            self.cause = Cause(f"not ready after {run.app['start_timeout']:.0f} s: {run.trouble or 'it does not answer'}", hint)
        else:
            self.cause = explain(run.status, tail, run.port, owner)
        looping = self.lifecycle.looping(time.monotonic())
        log.error("%s%s: %s", self.name, " is in a crash loop" if looping else "", self.cause.text)
        self._tell_crash(run, self.cause, looping)
        if self.output is not None:
            self.output.note(f"{self.name}: {self.cause.text}")

    def _tell_crash(self, run: Run, cause: Cause, looping: bool) -> None:
        tell, name = self.ground.tell, self.name
        facts: dict[str, Any] = {
            "hint": cause.hint,
            "lines": self.last_lines,
            "pid": run.pid,
            "port": run.port,
            "status": run.status,
        }
        tell("app.crashed", name, f"{name}: {cause.text}", **facts)
        if looping and not self._looping:
            tell("app.crash_loop", name, f"{name} is in a crash loop: {cause.text}", hint=cause.hint)
        self._looping = looping

    # -- replacing ----------------------------------------------------------------------------------------------------------

    def _restart(self, app: AppPlan) -> Steps[bool]:
        """The old process first; `hold` covers the gap."""
        self.follow(app)
        yield from self.stop(again=True)
        before = self._endings
        yield from until(lambda: self.lifecycle.state == READY or self._endings > before, app["start_timeout"] + 5.0)
        return self.lifecycle.state == READY

    def _replace(self, old: Run, app: AppPlan, port: int) -> Steps[bool]:
        """The new process first, in the other slot."""
        slot = next(slot for slot in self.slots if slot != old.slot)
        run = self.other = self._launch(slot, app, fresh_port=True)
        if run is None:
            self._show(slot, b.FREE)
            return False
        ready = yield from run.become_ready(self.ground.loop)
        if not ready:
            late = not run.ended
            yield from run.destroy()
            self._explain(run, late)
            self._dismiss(run)
            return False
        self._drop_care()
        if self.lifecycle.state != READY:  # the old one ended meanwhile
            self.lifecycle.start_asked(time.monotonic())
            self.lifecycle.launched(time.monotonic())
        else:
            self.lifecycle.restarts += 1
        leaving, self.run, self.other = self.run, run, self.run
        self.follow(app)
        self.port, self._slot = run.port, slot
        self._ready(run)
        self._begin(run)
        if leaving is not None:
            self._show(leaving.slot, b.STOPPING)
            self.ground.changed()
            yield from leaving.end(self._quiet(leaving), leaving.app["drain_timeout"], leaving.app["stop_timeout"])
            self._dismiss(leaving)
        else:
            self._show(old.slot, b.FREE)
        return True

    def _dismiss(self, run: Run) -> None:
        """Forget a second process that has ended."""
        self._show(run.slot, b.FREE)
        self.ground.ports.give_back(run.port)
        if self.other is run:
            self.other = None
        self.ground.changed()

    # -- board, port, output --------------------------------------------------------------------------------------------------

    def _quiet(self, run: Run) -> Quiet | None:
        return Quiet(self.ground.board, [run.slot], self.ground.columns) if run.ready else None

    def _place(self, run: Run) -> None:
        self.ground.board.cells[self.ground.board.slot(run.slot) + b.PORT] = run.port

    def _show(self, slot: int, state: int) -> None:
        """Write a state to the board: from now on every worker picks by it."""
        cells, offset = self.ground.board.cells, self.ground.board.slot(slot)
        if state == b.BACKOFF:
            cells[offset + b.RETURNS_AT] = int(self.lifecycle.returns_at * 1e9)
        cells[offset + b.SINCE] = time.monotonic_ns()
        cells[offset + b.STATE] = state
        self.ground.changed()

    def _choose_port(self, app: AppPlan, fresh: bool) -> int:
        if app["port"]:
            self.port = app["port"] + self.index
            return self.port
        wanted = 0 if fresh else self.port
        port = self.ground.ports.choose(app["host"], wanted)
        if not fresh:
            if wanted not in (0, port):
                self.ground.ports.give_back(wanted)
            self.port = port
        return port

    def _forget_run(self) -> None:
        self.run = None
        self.ground.changed()

    def _open_output(self) -> None:
        if self.output is None:
            name = f"{self.app['name']}-{self.index}"
            self.output = Output(name, self.ground.pipes, self.ground.logs, self.app["log_size"], self.app["log_files"])
            self._watched = self.output.fileno()
            output = self.output
            self.ground.loop.watch(self._watched, READ, lambda: _read(output))
            output.reopened = lambda: self.ground.lend(name, output)
            output.reopened()

    def _unwatch(self) -> None:
        self.ground.loop.forget(self._watched)

    def _drain_output(self) -> None:
        for _ in range(64):
            if self.output is None or not self.output.read(time.monotonic()):
                break


def _read(output: Output) -> None:
    output.read(time.monotonic())
