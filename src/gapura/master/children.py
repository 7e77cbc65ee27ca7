"""The workers and control: started, brought to a generation, watched, replaced when they die or hang."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterable

from gapura import board as b
from gapura.board import Board
from gapura.config.plan import Plan
from gapura.ipc import Message
from gapura.master.child import ARGV, CONTROL, WORKER, Child, execute
from gapura.master.events import Events
from gapura.master.keeper import Keeper
from gapura.master.link import close_all
from gapura.master.log_losses import LogLosses
from gapura.master.loop import Loop, Steps, Timer, pause, until
from gapura.master.sockets import Address, Sockets
from gapura.metrics import Metrics
from gapura.procs.launch import LaunchError
from gapura.procs.output import Output
from gapura.records import Records
from gapura.tally import Tally

log = logging.getLogger(__name__)

PATIENCE = 15.0
"""A child that has not prepared or committed a generation in so long (s) is replaced.

One that hangs is noticed sooner, by its beat: this is for those that start while the machine has too much to do."""
SHORT_LIFE = 1.0
"""A child that lived shorter (s) is started again only after a delay."""
LONGEST_DELAY = 5.0
HANDSHAKE = 1.0
"""Seconds that a connection may take from its first packet until it is queued; socket queues are emptied after that."""
TICKETS = 43200.0
"""Seconds until TLS sessions are sealed with another secret (RFC 9325 §3.4); OpenSSL's tickets hold for two hours."""
LIVE_ON = 86400.0
"""A worker that another one has replaced serves the downloads and WebSockets that it has for at most so long (s)."""


class Children:
    """All workers and control. `argv` may be replaced by tests."""

    def __init__(self, loop: Loop, board: Board, sockets: Sockets, argv: dict[str, list[str]] | None = None) -> None:
        self.loop = loop
        self.board = board
        self.tally = Tally.create()
        self.records = Records.create()
        self.metrics = Metrics.create()
        self.sockets = sockets
        self.argv = argv or ARGV
        self.user = ""
        self.resolved: Callable[[Message], None] = lambda message: None
        self.changed: Callable[[], None] = lambda: None
        self.greet: Callable[[Child], None] = lambda control: None
        self.commanded: Callable[[Child, Message], None] = lambda control, message: None
        self.clear_column: Callable[[int], None] = board.clear_column
        self.crew: list[Child] = []
        self.events = Events()
        self.events.send = self._tell_control
        self.log_losses = LogLosses()
        self.log_losses.tell = self.events.tell
        self._missed: dict[int, float] = {}
        self._secret = os.urandom(32)
        self.keeper = Keeper(lambda: self._running[1] if self._running else None)
        self._outputs: dict[str, Output] = {}
        self._workers = 0
        self._running: tuple[int, Plan] | None = None
        self._pending: tuple[int, Plan] | None = None
        self._ending = False
        self._short_lives: dict[int, int] = {}
        self._filling: Timer | None = None
        self._trouble = ""
        self._checked = time.monotonic()

    # -- who there is -----------------------------------------------------------------------------------------------------

    @property
    def workers(self) -> list[Child]:
        """The workers that have a seat, in its order."""
        return sorted((child for child in self.crew if child.role == WORKER and child.seat >= 0), key=lambda child: child.seat)

    @property
    def control(self) -> Child | None:
        return next((child for child in self.crew if child.role == CONTROL and child.started_here), None)

    def columns(self) -> list[int]:
        """Columns of living workers, draining ones and orphans included."""
        return [child.column for child in self.crew if child.role == WORKER and child.watched]

    # -- a change -----------------------------------------------------------------------------------------------------------

    def prepare(self, generation: int, plan: Plan) -> Steps[str]:
        """Have everybody compile a plan aside, new workers included; "" or why it cannot be committed."""
        self._pending = (generation, plan)
        self._workers = max(self._workers, plan["edge"]["workers"])
        for child in self._seated():
            child.tell("prepare", generation=generation, plan=plan)
        self._fill()
        yield from until(lambda: bool(self._failure(generation)) or self._ready(generation), PATIENCE)
        if failure := self._failure(generation):
            return failure
        if not any(worker.prepared >= generation for worker in self.workers):
            return self._trouble or f"no worker was ready for it within {PATIENCE:.0f} s; error.log may tell why"
        for child in self._seated():
            if child.prepared < generation:
                log.warning("%s %d is not ready for generation %d: it is replaced", child.role, child.pid, generation)
                child.kill()
        return ""

    def commit(self, generation: int, plan: Plan) -> Steps[None]:
        """Serve the prepared plan everywhere. From here on a child that is started gets it first."""
        self._running, self._pending = (generation, plan), None
        self.board.cells[b.H_GENERATION] = generation
        self._workers = plan["edge"]["workers"]
        staying = [child for child in self._seated() if child.prepared >= generation and child.seat < self._workers]
        for child in staying:
            self._open(child, generation)
        yield from until(lambda: all(child.committed >= generation or child.gone for child in staying), PATIENCE)
        for child in staying:
            if child.committed < generation and not child.gone:
                log.warning("%s %d does not take up generation %d: it is replaced", child.role, child.pid, generation)
                child.kill()
        if self.sockets.narrow(self._workers):
            yield from pause(HANDSHAKE)
        self._release_surplus()
        self.sockets.trim(self._workers)
        self.changed()

    def abort(self, generation: int) -> None:
        """Forget the prepared plan; workers that were started for it go."""
        self._pending = None
        self._workers = self._running[1]["edge"]["workers"] if self._running else 0
        for child in self._seated():
            child.tell("abort", generation=generation)
        self._release_surplus()

    def rekey(self) -> None:
        """Have the workers seal TLS sessions with another secret: who comes with one sealed before shakes hands anew, once."""
        self._secret = os.urandom(32)
        for child in self.crew:
            if child.role == WORKER:
                child.tell("tickets", secret=self._secret.hex())

    def unlisten(self, addresses: Iterable[Address]) -> None:
        """Have everybody accept what is queued on these addresses, then close them."""
        gone = set(addresses)
        for child in self.crew:
            if known := gone.intersection(address for address, _ in child.sockets):
                child.tell("unlisten", addresses=[list(address) for address in sorted(known)])
                child.sockets = [(address, sock) for address, sock in child.sockets if address not in gone]

    def release(self, child: Child, limit: float | None = LIVE_ON) -> None:
        """Let a worker accept what is queued for it, finish what it has within `limit` s (None: `timeouts.drain`), and end."""
        child.seat = -1
        if not child.draining:
            child.draining = True
            child.tell("unlisten", addresses=[list(address) for address in self.sockets.addresses])
            child.tell("drain", **({} if limit is None else {"limit": limit}))

    def adopt(self, child: Child) -> None:
        """Take in an orphan of an earlier master: it serves until it is released."""

        def lost() -> None:
            child.kill()  # unless it ended by itself: without a channel it is of no use
            self.ended(child, None)

        child.link.lost = lost
        child.link.heard = lambda message, fds: self._heard(child, message, fds)
        self.crew.append(child)
        if child.role == WORKER and child.watched:
            self._use_column(child.column)

    def forsake(self) -> None:
        """A new generation is served by children of our own: the orphans may go."""
        for child in self.crew:
            if not child.started_here:
                if child.role == WORKER:
                    self.release(child)
                else:
                    child.tell("stop")

    def lend(self, name: str, output: Output | None) -> None:
        """Lend control an instance's output, to go on with should we die: as another user it could not open it. None: no more."""
        self._outputs.pop(name, None)
        if output is not None:
            self._outputs[name] = output
        if self.control is not None:
            self.control.link.send({"type": "output", "name": name}, output.lent if output else ())

    # -- the end ------------------------------------------------------------------------------------------------------------

    def end(self, drain: bool, seconds: float) -> Steps[None]:
        """End all children; with `drain` they finish their exchanges first, for at most `seconds`.

        Whoever comes from now on is refused, instead of waiting in a queue that nobody will look at.
        """
        self._ending = True
        if drain:
            for child in self.crew:
                if child.role == WORKER:
                    self.release(child, None)
        self.sockets.close(self.sockets.addresses)
        if drain:
            yield from until(lambda: not any(child.role == WORKER for child in self.crew), seconds)
        for child in self.crew:
            child.tell("stop")
        yield from until(lambda: not self.crew, 3.0)
        self.kill()
        yield from until(lambda: not self.crew, 3.0)

    def kill(self) -> None:
        """SIGKILL to all."""
        self._ending = True
        for child in self.crew:
            child.kill()

    # -- care ---------------------------------------------------------------------------------------------------------------

    def reaped(self, pid: int, status: int) -> bool:
        """A process has ended; True when it was one of ours."""
        for child in self.crew:
            if child.pid == pid:
                self.ended(child, status)
                return True
        return False

    def watchdog(self) -> None:
        """Replace children that hang. Called with every heartbeat of the master."""
        now = time.monotonic()
        late = now - self._checked > 1.0
        self._checked = now
        if late:
            return  # the whole machine, or the master, stood still: nobody could be expected to beat
        for child in self.crew:
            if child.watched and child.hung(self.board, time.monotonic_ns()):
                log.error("%s %d hangs: it is replaced", child.role, child.pid)
                if not child.hanging:
                    child.hanging = True
                    self.events.tell(
                        f"{child.role}.hung", child.role, f"{child.role} {child.pid} hangs: it is replaced", pid=child.pid
                    )
                child.kill()

    def tell(self, kind: str) -> None:
        """The same message to all."""
        for child in self.crew:
            child.tell(kind)

    def ended(self, child: Child, status: int | None) -> None:
        """What follows the end of a child: its column is cleared, its seat is taken by a new one."""
        if child.gone:
            return
        child.gone = True
        self.log_losses.forget(child.pid)
        child.link.close()
        self.crew.remove(child)
        if child.watched:
            row = self.board.process(child.row)
            if self.board.cells[row + b.P_PID] == child.pid:
                self.board.cells[row + b.P_PID] = 0
            if child.role == WORKER:
                self.clear_column(child.column)
                self.tally.clear_column(child.column)
                self.metrics.clear_column(child.column)
        if not self._ending and child.started_here and not child.draining:
            log.error("%s %d ended %s: a new one takes its place", child.role, child.pid, how(status))
            if not child.hanging:
                said = f"{child.role} {child.pid} ended {how(status)}: a new one takes its place"
                self.events.tell(f"{child.role}.died", child.role, said, pid=child.pid, status=status)
            self._missed.setdefault(child.seat, time.monotonic())
            self._replace(child)
        self.changed()

    def _replace(self, child: Child) -> None:
        short = time.monotonic() - child.since < SHORT_LIFE
        times = self._short_lives[child.seat] = self._short_lives.get(child.seat, 0) + 1 if short else 0
        self._fill_later(min(LONGEST_DELAY, 0.05 * 2.0 ** min(times, 16)) if times else 0.0)

    def _fill_later(self, seconds: float) -> None:
        """Start whoever is missing after a delay; one such call is enough for all."""
        if self._filling is not None:
            self._filling.cancel()
        self._filling = self.loop.after(seconds, self._fill)

    def _fill(self) -> None:
        """Start whoever is missing."""
        self._filling = None
        if self._ending:
            return
        taken = {worker.seat for worker in self.workers}
        for seat in range(self._workers):
            if seat not in taken:
                self._start(WORKER, seat)
        if self.control is None and self._workers:
            self._start(CONTROL, -1)

    def _start(self, role: str, seat: int) -> None:
        column = self._free_column() if role == WORKER else -1
        if column is None:
            return
        try:
            child = execute(self.loop, role, self.argv[role], self.board, self._memories(role), column, self.user)
        except (LaunchError, OSError) as error:
            self._trouble = f"a {role} process cannot be started: {error}"
            log.error("%s", self._trouble)
            self._fill_later(1.0)
            return
        child.seat = seat
        child.link.lost = child.kill
        child.link.heard = lambda message, fds: self._heard(child, message, fds)
        self.crew.append(child)
        if role == CONTROL:
            self.greet(child)
            for name, output in self._outputs.items():
                child.link.send({"type": "output", "name": name}, output.lent)
            self.events.repeat(child.link.send)
        else:
            child.tell("tickets", secret=self._secret.hex())
        if self._running is not None:
            generation, plan = self._running
            child.tell("prepare", generation=generation, plan=plan)
            self._open(child, generation)
        if self._pending is not None:
            child.tell("prepare", generation=self._pending[0], plan=self._pending[1])
        self.changed()

    def _memories(self, role: str) -> dict[str, int]:
        """The descriptors that a child is welcomed with, by name."""
        shared = {"board": self.board.fd, "records": self.records.fd, "metrics": self.metrics.fd}
        return {**shared, "tally": self.tally.fd} if role == WORKER else shared

    def _open(self, child: Child, generation: int) -> None:
        if child.role == WORKER:
            shares = self.sockets.share(child.seat)
            child.listen([share for share in shares if share not in child.sockets])
        child.tell("commit", generation=generation)

    def _heard(self, child: Child, message: Message, fds: list[int]) -> None:
        if child.role == CONTROL and child.started_here:
            self.keeper.hear(child, message, fds)
        close_all(fds)
        child.hear(message)
        if message.get("type") == "resolved":
            self.resolved(message)
        elif message.get("type") == "log":
            self.log_losses.hear(child.pid, message)
        elif message.get("type") == "command" and child is self.control:
            self.commanded(child, message)
        elif message.get("type") == "heard" and child is self.control:
            self.events.heard(message)
        elif message.get("type") == "tested" and child is self.control:
            self.events.answered(message)
        elif message.get("type") == "committed" and child.started_here:
            self._tell_replaced(child)

    def _tell_control(self, message: Message) -> None:
        if self.control is not None:
            self.control.link.send(message)

    def _tell_replaced(self, child: Child) -> None:
        """The seat of one that died or hung is taken again."""
        since = self._missed.pop(child.seat, None)
        if since is not None:
            seconds = time.monotonic() - since
            said = f"{child.role} {child.pid} serves in its place, after {seconds:.1f} s"
            self.events.tell(f"{child.role}.replaced", child.role, said, pid=child.pid, seconds=round(seconds, 1))

    def _failure(self, generation: int) -> str:
        return next((c.failure[1] for c in self._seated() if c.failure and c.failure[0] == generation), "")

    def _ready(self, generation: int) -> bool:
        everybody = self._seated()
        return len(everybody) == self._workers + 1 and all(child.prepared >= generation for child in everybody)

    def _seated(self) -> list[Child]:
        return [*self.workers, *([self.control] if self.control else [])]

    def _release_surplus(self) -> None:
        """Release the workers whose seat there is no more. (By seat: one that died may be missing in the row.)"""
        for worker in self.workers:
            if worker.seat >= self._workers:
                self.release(worker)

    def _free_column(self) -> int | None:
        """A column for a new worker; when there is none, the worker that was replaced first must make room."""
        taken = set(self.columns())
        column = next((column for column in range(b.COLUMNS) if column not in taken), None)
        if column is None:
            draining = [child for child in self.crew if child.draining and child.watched]
            for oldest in draining[:1]:
                log.warning("too many replaced workers still serve: %d, the first of them, is ended", oldest.pid)
                oldest.tell("stop")
            self._fill_later(0.1)
            return None
        self._use_column(column)
        return column

    def _use_column(self, column: int) -> None:
        self.board.cells[b.H_USED] = max(self.board.cells[b.H_USED], column + 1)


def how(status: int | None) -> str:
    """An exit status in words."""
    if status is None:
        return "without a word"
    return f"by signal {-status}" if status < 0 else f"with status {status}"
