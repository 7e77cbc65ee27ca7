"""The master: the parent of everything, from the command line to the exit status."""

from __future__ import annotations

import gc
import json
import logging
import math
import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

from gapura import __version__
from gapura import board as b
from gapura import log as logs
from gapura.board import Board
from gapura.config.place import paths_of
from gapura.config.plan import Plan, listens
from gapura.errors import EXIT_CONFIG, EXIT_FAILURE, EXIT_USAGE, CommandError, ConfigError, Problem
from gapura.ipc import Message
from gapura.master import folders, own_log, status
from gapura.master.change_commands import ChangeCommands
from gapura.master.child import HEARTBEAT
from gapura.master.children import TICKETS, Children
from gapura.master.commands import Commands, Server
from gapura.master.copies import LOOK
from gapura.master.fleet import Fleet
from gapura.master.instance import Ground
from gapura.master.invocation import Options, close_others, open_standard_streams, parse
from gapura.master.loader import load
from gapura.master.loop import Loop, Steps, Task, until
from gapura.master.maintenance import Maintenance
from gapura.master.notify import Notifier, watchdog_interval
from gapura.master.overrides import KeptOverrides
from gapura.master.ports import Ports
from gapura.master.reception import Reception, open_reception
from gapura.master.reload import Door
from gapura.master.rotation import INTERVAL, Rotation
from gapura.master.slots import Slots
from gapura.master.sockets import Sockets
from gapura.master.takeover import Lock, Orphans, State, StateFile, snapshot
from gapura.procs.prctl import set_subreaper

log = logging.getLogger(__name__)
FOLDER_INTERVAL = 1.0
"""Seconds between two looks whether the state folder is still there."""
SAVE_AGAIN = 1.0
"""Seconds until the state is written again that could not be."""
MEMORY_INTERVAL = 2.0
"""Seconds between two looks at `max_memory`."""


class Master:
    """Everything that a running master holds; built step by step by `_begin`."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.file = os.path.abspath(options.file)
        self.run_folder = paths_of(self.file)["run"]
        self.loop = Loop()
        self.sockets = Sockets()
        self.notifier = Notifier.from_environment()
        self.status = 0
        self.door: Door | None = None
        self._server: Server | None = None
        self._commands: Commands | None = None
        self._reception: Reception | None = None
        self._lock: Lock | None = None
        self._state: StateFile | None = None
        self._folder_trouble = ""
        self._ending = False
        self._patient = False
        self._handed_over = False
        self._ended = False
        self._dirty = False
        self._texts: dict[str, str] = {}
        self._start: Task | None = None
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._open_files = soft
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    def run(self) -> int:
        """Run until told to stop; the exit status."""
        set_subreaper()
        signals: dict[signal.Signals, Callable[[], None]] = {
            signal.SIGCHLD: self._reap,
            signal.SIGTERM: lambda: self.end(drain=False),
            signal.SIGINT: lambda: self.end(drain=False),
            signal.SIGQUIT: lambda: self.end(drain=True),
            signal.SIGHUP: self._reload,
            signal.SIGUSR1: self._reopen,
        }
        for number, callback in signals.items():
            self.loop.on_signal(number, callback)
        self._start = self.loop.start("start", self._begin(), self._begun)
        self.loop.run()
        return self.status

    # -- the start ------------------------------------------------------------------------------------------------------------

    def _begin(self) -> Steps[Plan]:
        """Load, take over what an earlier master left, commit the first generation."""
        plan = yield from self._load()
        try:
            pipes = folders.pipes(plan["paths"])
            self._lock = lock = Lock(self.run_folder)
        except OSError as error:
            raise self._unusable(error) from None
        self._state = StateFile(self.run_folder)
        if not lock.try_once():
            self._rehearse(plan, self._state.read())
        taken = yield from lock.take(self.run_folder)
        state = self._state.read()
        self._server = Server(self.loop, self.run_folder)
        unclean = bool(state) or self._server.replaced
        self._server.admit(plan["edge"]["user"])
        orphans = Orphans(self.loop, self.sockets)
        self._server.orphaned = orphans.report
        yield from orphans.gather(state, unclean)
        shared = orphans.board or Board.create(time.monotonic_ns())
        shared.cells[Board.process(b.MASTER_ROW) + b.P_PID] = os.getpid()
        self.door = door = self._build(shared, plan, pipes, state)
        orphans.hand_to(door.children)
        self._beat()
        self._commands = Commands(self.loop, door, self.end, self._hand_over)
        self._commands.also |= ChangeCommands(door, (self.options.argv or {}).get("config")).all()
        self._reception = open_reception(self.run_folder, plan, door.children, self._commands)
        for sentence in (yield from door.begin(plan)):
            log.info("%s", sentence)
        door.await_opening()
        self._server.commands = self._commands
        tell = door.children.events.tell
        if taken or state:
            log.info("took over from an earlier master")
            tell("gapura.taken_over", "gapura", f"master {os.getpid()} took over from an earlier one", pid=os.getpid(), clean=taken)
        else:
            tell("gapura.started", "gapura", f"Gapura {__version__} serves", pid=os.getpid(), version=__version__)
        return door.running

    def _rehearse(self, plan: Plan, state: State) -> None:
        """While the running master can still go on: raise `ConfigError` when a port that it does not have is not to be had."""
        if state:
            held = [(str(listener["host"]), int(listener["port"])) for listener in state["listeners"]]
            self.sockets.rehearse(listens(plan["edge"]), held, self.file)

    def _load(self) -> Steps[Plan]:
        argv = (self.options.argv or {}).get("config")
        plan, warnings, texts = yield from load(self.loop, self.file, argv)
        for problem in warnings:
            log.warning("%s", problem.render())
        try:
            folders.make(plan["paths"])
            folders.admit(plan)
        except (OSError, KeyError) as error:
            raise self._unusable(error) from None
        self._texts = texts
        if self.door is not None:
            self.door.read = texts
        return plan

    def _unusable(self, error: Exception) -> CommandError:
        return CommandError(f"the state folder cannot be used: {error}", f"Gapura keeps its state in {self.run_folder}.")

    def _build(self, shared: Board, plan: Plan, pipes: str, state: State) -> Door:
        """Put the parts together."""
        children = Children(self.loop, shared, self.sockets, self.options.argv)
        children.user = plan["edge"]["user"]
        children.resolved = self._resolved
        children.changed = self._changed
        slots = Slots(shared, children.columns, inherited=shared.cells[b.H_GENERATION] > 0)
        children.clear_column = slots.clear_column
        slots.freed = children.metrics.clear_slot
        logs_folder = plan["paths"]["logs"]
        ground = Ground(
            self.loop, shared, Ports(), children.columns, self._changed, pipes, logs_folder, self._open_files, children.lend
        )
        ground.tell = children.events.tell
        saved = state.get("instances")
        fleet = Fleet(ground, [entry for entry in saved if isinstance(entry, dict)] if isinstance(saved, list) else [])
        door = Door(self.loop, shared, self.sockets, slots, children, fleet, self._load)
        door.changed = self._changed
        door.remember(state.get("generation"), state.get("scale"))
        door.maintenance = Maintenance(plan["paths"]["lib"])
        door.overrides = KeptOverrides(plan["paths"]["lib"])
        door.read = self._texts
        self.loop.every(MEMORY_INTERVAL, fleet.watch_memory)
        self.loop.every(TICKETS, children.rekey)
        self.loop.every(LOOK, door.copies.look)
        self.loop.every(FOLDER_INTERVAL, self._keep_folder)
        self.loop.every(own_log.INTERVAL, own_log.OwnLog(logs_folder).look)
        self.loop.every(INTERVAL, Rotation(self.loop, lambda: door.plan, self._reopen_workers).look)
        return door

    def _begun(self, task: Task) -> None:
        """The start has succeeded or failed: tell everybody."""
        if task.error is not None:
            self._refuse(task.error)
            return
        plan: Plan = task.result
        lines = status.greeting(plan, self.sockets.addresses)
        self._tell_ready({"ok": True, "lines": lines})
        if not self.options.quiet:
            self._print(*lines)
        self.notifier.ready(lines[0])
        interval = watchdog_interval()
        if interval is not None:
            self.loop.every(interval, self.notifier.alive)
        gc.collect()
        gc.freeze()

    def _refuse(self, error: Exception) -> None:
        """Say why it cannot start, and end; orphans of an earlier master are left as they are."""
        problems: list[Problem] = []
        text, hint = "", ""
        self.status = EXIT_FAILURE
        if isinstance(error, ConfigError):
            problems, self.status = error.problems, EXIT_CONFIG
        elif isinstance(error, CommandError):
            text, hint, problems = error.message, error.hint, error.problems
        else:
            log.error("Gapura cannot start", exc_info=error)
            text = f"Gapura cannot start: {error}"
        said = [problem.render() for problem in problems] + [part for part in (text, hint) if part]
        self._print(*said, to=2)
        document = {"ok": False, "problems": [problem.as_dict() for problem in problems], "error": text, "hint": hint}
        self._tell_ready(document)
        if self.door is not None:
            self.loop.start("end", self._give_up(self.door))
        else:
            self._exit(remove=False)

    def _give_up(self, door: Door) -> Steps[None]:
        """End the children that were started for a configuration that could not be committed."""
        ours = [child for child in door.children.crew if child.started_here]
        for child in ours:
            child.tell("stop")
        yield from until(lambda: all(child.gone for child in ours), 2.0)
        for child in ours:
            child.kill()
        self._exit(remove=not any(not child.started_here for child in door.children.crew))

    # -- signals and timers -------------------------------------------------------------------------------------------------

    def _beat(self) -> None:
        """Everything that is done with each heartbeat."""
        self.loop.after(HEARTBEAT, self._beat)
        door = self.door
        if door is None or self._handed_over:
            return
        door.board.cells[Board.process(b.MASTER_ROW) + b.P_BEAT] = time.monotonic_ns()
        door.children.watchdog()
        door.slots.sweep(door.fleet.busy_slots())

    def _keep_folder(self) -> None:
        """Make the state folder anew after somebody has deleted it: without it no command and no later master finds us."""
        server, door, lock = self._server, self.door, self._lock
        if server is None or door is None or door.plan is None or lock is None or server.reachable():
            return
        if self._ending or self._handed_over:
            return
        if not os.path.isdir(os.path.dirname(self.run_folder)):
            return  # the whole project was moved or deleted
        try:
            folders.make(door.plan["paths"])
            folders.pipes(door.plan["paths"])
            if not lock.renew(self.run_folder):
                raise CommandError("another Gapura has it now")
            server.renew()
            server.admit(door.plan["edge"]["user"])
            if self._reception is not None:
                self._reception.renew()
        except (OSError, KeyError, CommandError) as error:
            if str(error) != self._folder_trouble:
                log.error("the state folder %s is gone and cannot be made anew: %s", self.run_folder, error)
            self._folder_trouble = str(error)
            return
        self._folder_trouble = ""
        log.warning("the state folder %s was gone: it is made anew", self.run_folder)
        self._reopen()
        self._changed()

    def _reap(self) -> None:
        """Every `waitpid` of the master: also for processes that only lost their parent (subreaper, PID 1)."""
        while True:
            try:
                pid, raw = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            number = os.waitstatus_to_exitcode(raw)
            if self.door is not None:
                _ = self.door.children.reaped(pid, number) or self.door.fleet.reaped(pid, number)

    def _reload(self) -> None:
        if self.door is None or self._ending:
            return
        self.notifier.reloading()
        self.door.enter("reload", self.door.reload(), self._reloaded)

    def _reloaded(self, task: Task) -> None:
        """A reload that no command waits for: its outcome goes to the log."""
        if isinstance(task.error, ConfigError):
            for problem in task.error.problems:
                log.error("%s", problem.render())
            log.error("the running configuration is kept")
        elif isinstance(task.error, CommandError):
            log.error("%s: the running configuration is kept. %s", task.error.message, task.error.hint)
        elif task.error is not None:
            log.error("reload failed: the running configuration is kept", exc_info=task.error)
        elif self.door is not None:
            for sentence in task.result:
                log.info("%s", sentence)
            log.info("generation %d is serving", self.door.generation)
        self.notifier.ready("serving" if task.error is None else "serving; the last reload failed")

    def _resolved(self, message: Message) -> None:
        if self.door is not None:
            self.door.enter("resolved name", self.door.resolve(message), self._reloaded)

    def _reopen(self) -> None:
        logs.reopen()
        if self.door is not None:
            try:
                folders.admit(self.door.running)
            except (OSError, KeyError, CommandError) as error:
                log.error("the log files cannot be opened anew: %s", error)
            self._reopen_workers()
            self.door.fleet.reopen()

    def _reopen_workers(self) -> None:
        if self.door is not None:
            self.door.children.tell("reopen")

    # -- the end ------------------------------------------------------------------------------------------------------------

    def end(self, drain: bool) -> None:
        """End everything. Asked again without `drain`, it waits for exchanges no longer, and asked once more for nothing."""
        if self.door is None:
            self._exit(remove=False)
        elif not self._ending:
            self._ending, self._patient = True, drain
            log.info("stopping%s", ": requests under way are finished" if drain else "")
            self.door.children.events.tell("gapura.stopping", "gapura", "Gapura is stopping, as it was told", drain=drain)
            self.notifier.stopping()
            self.loop.start("end", self._finish(self.door), self._finished)
        elif not drain and self._patient:
            self._patient = False
            log.info("asked again: requests under way are not waited for")
        elif not drain:
            log.warning("asked again: everything is killed")
            self.door.children.kill()
            self.door.fleet.kill()

    def _finish(self, door: Door) -> Steps[None]:
        if self._start is not None:
            self._start.cancel()
        door.close()
        if self._patient:
            seconds = door.plan["edge"]["timeouts"]["drain"] + 1.0 if door.plan else 0.0
            draining = self.loop.start("drain", door.children.end(True, seconds))
            yield from until(lambda: draining.done or not self._patient, math.inf)
            draining.cancel()
            self._patient = False
        tasks = [
            self.loop.start("end of the children", door.children.end(False, 0.0)),
            self.loop.start("end of the apps", door.fleet.end()),
        ]
        yield from until(lambda: all(task.done for task in tasks), math.inf)
        door.fleet.kill()
        self._reap()

    def _finished(self, task: Task) -> None:
        if task.error is not None:
            log.error("not everything has ended as it should", exc_info=task.error)
        if self._state is not None:
            self._state.remove()
        self._exit(remove=True)

    def _hand_over(self, pid: int) -> None:
        """Step aside for another master: nothing is ended, everything is left to be found."""
        self._save()
        self._handed_over = True
        log.info("another master (pid %d) takes over", pid)
        if pid:
            self.notifier.main_pid(pid)
        self._exit(remove=False)

    def _exit(self, remove: bool) -> None:
        self._ended = True
        if self._commands is not None:
            self._commands.ended()
        if self._server is not None:
            self._server.close(remove)
        if self._reception is not None:
            self._reception.close(remove)
        self.loop.stop()

    # -- what is told and kept ----------------------------------------------------------------------------------------------

    def _changed(self) -> None:
        """Something that a new master must know is different: it is written when this round of the loop is over."""
        if not self._dirty:
            self._dirty = True
            self.loop.after(0.0, self._save)

    def _save(self) -> None:
        """Write the state for the next master."""
        self._dirty = False
        door, state = self.door, self._state
        if door is None or state is None or self._handed_over or self._ended:
            return
        if not state.write(snapshot(door.children, self.sockets, door.fleet.describe(), door.generation, door.scaled)):
            self._dirty = True  # a new master must not find how it was before the disk was full
            self.loop.after(SAVE_AGAIN, self._save)

    def _tell_ready(self, document: dict[str, Any]) -> None:
        """One line for who started us in the background."""
        fd, self.options = self.options.ready_fd, self.options._replace(ready_fd=-1)
        if fd >= 0:
            try:
                os.write(fd, json.dumps(document).encode() + b"\n")
                os.close(fd)
            except OSError:
                pass  # who waited is gone

    def _print(self, *lines: str, to: int = 1) -> None:
        """Print for people; a closed terminal does not matter."""
        try:
            os.write(to, ("\n".join(lines) + "\n").encode(errors="backslashreplace"))
        except OSError:
            pass


def main(arguments: list[str]) -> int:
    """`python -P -m gapura.master FILE [--ready-fd N] [--quiet]`: the exit status (78: the configuration is wrong)."""
    options = parse(arguments)
    if options is None:
        sys.stderr.write("usage: python -P -m gapura.master FILE [--ready-fd N] [--quiet]\n")
        return EXIT_USAGE
    open_standard_streams()
    close_others(options.ready_fd)
    if os.getpid() == 1:
        os.dup2(1, 2)  # a container shows one stream
    logs.setup("master")
    if options.ready_fd >= 0:
        os.set_inheritable(options.ready_fd, False)
    return Master(options).run()
