"""One worker: its event loop, listeners, connections, and what the master tells it.

The master speaks in messages (docs/ARCHITECTURE.md). When the master dies the worker serves on and looks for a new one.
"""

from __future__ import annotations

import asyncio
import fcntl
import gc
import itertools
import logging
import os
import signal
import socket
from collections.abc import Callable, Coroutine, Iterator
from time import monotonic_ns
from typing import Any, Final

from gapura import ipc
from gapura import log as gapura_log
from gapura.board import P_BEAT, P_CONNECTIONS, P_GENERATION, WORKER_ROW, Board
from gapura.config.plan import LimitsPlan, Plan, listens
from gapura.config.plan_tls import place
from gapura.edge.certificates import Certificates
from gapura.edge.downstream import Downstream
from gapura.edge.encrypted import Encrypted
from gapura.edge.file_memory import FileMemory
from gapura.edge.forward import Forward
from gapura.edge.forwarded import Trust
from gapura.edge.hold import Hold
from gapura.edge.listen import Listener
from gapura.edge.logs import Logs
from gapura.edge.pool import Pool
from gapura.edge.recall import Recall
from gapura.edge.recording import Recorder
from gapura.edge.snapshot import NANOSECONDS, Snapshot
from gapura.edge.tunnel import Tunnel
from gapura.edge.turns import Turns
from gapura.errors import GapuraError
from gapura.metrics import Metrics
from gapura.outgoing import Outgoing
from gapura.records import Records
from gapura.tally import Tally

BEAT: Final = 0.1
"""Seconds between heartbeats and between looks at the exchanges under way."""
SWEEP: Final = 5
"""Beats between looks at all connections and between writes of the access log."""
RECONNECT: Final = 0.2

log = logging.getLogger("edge")


class Worker:
    """State of the worker process. Everything runs in one thread, on one loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, channel: ipc.Channel) -> None:
        self.loop = loop
        self.channel = channel
        self.board: Board
        self.tally: Tally
        self.records: Records
        self.metrics: Metrics
        self.column = -1
        self.snapshot: Snapshot
        self.prepared: Snapshot | None = None
        self.committed = False
        self.draining = False
        self.drain_until = 0
        self.orphaned = False
        self.listeners: dict[str, Listener] = {}
        self.connections: set[Downstream | Encrypted] = set()
        self.per_client: dict[str, int] = {}
        self.forwards: set[Forward] = set()
        self.tunnels: set[Tunnel] = set()
        self.pool = Pool(self)
        self.hold = Hold(self)
        self.turns = Turns(self)
        self.file_memory = FileMemory(0)
        self.recall = Recall()
        self.recorder = Recorder()
        self.logs = Logs(loop, self._log_trouble)
        self.trust = Trust([])
        self.certificates = Certificates()
        self.outgoing = Outgoing()
        self.limits: LimitsPlan
        self.head_ns = self.body_ns = self.send_ns = self.handshake_ns = self.idle_ns = self.drain_ns = 0
        self._tasks: set[asyncio.Task[object]] = set()
        self._run_folder = ""
        self._row = 0
        self._beats = 0
        self.new_request_id: Callable[[], bytes] = _request_ids().__next__

    # -- for connections and exchanges ----------------------------------------------------------------------------------

    def admit(self, connection: Downstream | Encrypted) -> bool:
        """Count a new client connection; False when there are too many."""
        if self._admits(connection):
            return True
        self.recorder.refused += 1
        return False

    def _admits(self, connection: Downstream | Encrypted) -> bool:
        self.connections.add(connection)
        limits = self.limits
        most = limits["connections_per_client"]
        if most:
            count = self.per_client.get(connection.peer, 0) + 1
            self.per_client[connection.peer] = count
            if count > most:
                return False
        return not limits["connections"] or len(self.connections) <= limits["connections"]

    def forget(self, connection: Downstream | Encrypted) -> None:
        """A client connection is closed."""
        if connection not in self.connections:
            return
        self.connections.discard(connection)
        if self.per_client:
            left = self.per_client.get(connection.peer, 1) - 1
            if left > 0:
                self.per_client[connection.peer] = left
            else:
                self.per_client.pop(connection.peer, None)

    def keep(self, coroutine: Coroutine[Any, Any, object]) -> None:
        """Run a coroutine to its end, holding on to its task (the loop does not)."""
        task = self.loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def busy(self, go_on: Callable[[], None]) -> None:
        """Call when the others had their turn. Who has much to do is alive: that many do may not look as if the worker hung."""
        self.board.cells[self._row + P_BEAT] = monotonic_ns()
        self.loop.call_soon(go_on)

    # -- the clock ------------------------------------------------------------------------------------------------------

    def beat(self) -> None:
        """Heartbeat; deadlines of exchanges at every beat, of connections at every fifth."""
        now = monotonic_ns()
        cells = self.board.cells
        cells[self._row + P_BEAT] = now
        cells[self._row + P_CONNECTIONS] = len(self.connections)
        try:
            self._look(now)
        except Exception:
            log.exception("a look at the connections failed")
        self.loop.call_later(BEAT, self.beat)

    def _look(self, now: int) -> None:
        self.recorder.beat()
        for forward in tuple(self.forwards):
            if forward.deadline and now > forward.deadline:
                forward.expire(now)
            else:
                forward.rescue(now)
        self._beats += 1
        if self._beats % SWEEP == 0:
            self.logs.flush()
            for connection in tuple(self.connections):
                if (connection.deadline and now > connection.deadline) or connection.too_slow(now):
                    connection.expire(now)
            for tunnel in tuple(self.tunnels):
                if now > tunnel.deadline:
                    tunnel.expire(now)
            self.pool.sweep(now)
            self.recall.sweep(now)
            self.recorder.look(self.connections)
        if self.draining:
            self._drained(now)

    # -- what the master says -------------------------------------------------------------------------------------------

    def on_readable(self) -> None:
        """The channel has something."""
        try:
            for message, fds in self.channel.receive():
                self._obey(message, fds)
        except ipc.ChannelClosed:
            self._lost_master()

    def _obey(self, message: ipc.Message, fds: list[int]) -> None:
        handler = getattr(self, f"_on_{message.get('type')}", None)
        if handler is None:
            log.warning("the master said %r, which is unknown here", message.get("type"))
            for fd in fds:
                os.close(fd)
            return
        handler(message, fds)

    def _on_welcome(self, message: dict[str, Any], fds: list[int]) -> None:
        given = dict(zip(message["memories"], fds, strict=True))
        self.column = message["column"]
        self.board = Board(given["board"])
        self.tally = Tally(given["tally"], self.column)
        self.records = Records(given["records"], self.column)
        self.metrics = Metrics(given["metrics"])
        self._row = self.board.process(WORKER_ROW + self.column)
        self.recorder.open(self.board, self.records, self.metrics, self.column)
        self.beat()
        self.say({"type": "hello", "role": "worker", "pid": os.getpid()})

    def _on_prepare(self, message: dict[str, Any], fds: list[int]) -> None:
        generation = message["generation"]
        try:
            previous = self.snapshot if self.committed else None
            self.prepared = Snapshot(message["plan"], generation, self.board, self.column, previous, self.recorder.answers)
        except (GapuraError, KeyError, ValueError, TypeError, AttributeError, OSError) as error:
            log.error("generation %s cannot be prepared: %s: %s", generation, type(error).__name__, error)
            self.say({"type": "failed", "generation": generation, "error": f"{type(error).__name__}: {error}"})
            return
        self.say({"type": "prepared", "generation": generation})

    def _on_commit(self, message: dict[str, Any], fds: list[int]) -> None:
        snapshot = self.prepared
        if snapshot is None or snapshot.generation != message["generation"]:
            self.say({"type": "failed", "generation": message["generation"], "error": "commit without prepare"})
            return
        self.prepared = None
        self._settings(snapshot.plan)
        self.logs.take_up(snapshot.plan, snapshot.router)
        self.recorder.take_up(snapshot.plan, snapshot.router)
        self.recorder.keep(snapshot)
        self.snapshot = snapshot
        self.recall.clear()
        self.board.cells[self._row + P_GENERATION] = snapshot.generation
        if not self.committed:
            self.committed = True
            gc.collect()
            gc.freeze()  # what exists now stays: collections need not look at it again
        self.certificates.settle(snapshot.plan)
        self.outgoing.place = place(snapshot.plan["edge"]["user"], snapshot.plan["paths"]["run"])
        for listener in self.listeners.values():
            self._accept(listener)
        self.say({"type": "committed", "generation": snapshot.generation})

    def _settings(self, plan: Plan) -> None:
        """What holds for the whole process and may change with each generation."""
        edge = plan["edge"]
        self.limits = edge["limits"]
        self.file_memory.resize(self.limits["file_memory"])
        timeouts = edge["timeouts"]
        self.head_ns, self.body_ns, self.send_ns, self.handshake_ns, self.idle_ns, self.drain_ns = (
            int(seconds * NANOSECONDS)
            for seconds in (
                timeouts["head"], timeouts["body"], timeouts["send"], timeouts["handshake"], timeouts["idle"], timeouts["drain"],
            )
        )  # fmt: skip
        before = self.snapshot.plan["edge"] if self.committed else None
        if before is None or before["error_log"] != edge["error_log"]:
            gapura_log.setup(f"worker {os.getpid()}", edge["error_log"])
        if before is None or before["trusted_proxies"] != edge["trusted_proxies"]:
            self.trust = Trust(edge["trusted_proxies"])
        self._run_folder = plan["paths"]["run"]

    def _on_abort(self, message: dict[str, Any], fds: list[int]) -> None:
        self.prepared = None

    def _on_listen(self, message: dict[str, Any], fds: list[int]) -> None:
        for (host, port), fd in zip(message["addresses"], fds, strict=True):
            listener = Listener(self, host, port, socket.socket(fileno=fd))
            old = self.listeners.pop(listener.name, None)
            if old is not None:
                old.stop()
            self.listeners[listener.name] = listener
            if self.committed:
                self._accept(listener)

    def _accept(self, listener: Listener) -> None:
        for listen in listens(self.snapshot.plan["edge"]):
            if (listen["host"], listen["port"]) == (listener.host, listener.port):
                listener.tls = listen["tls"]
        if not self.draining:
            listener.start()

    def _on_tickets(self, message: dict[str, Any], fds: list[int]) -> None:
        self.certificates.rekey(bytes.fromhex(message["secret"]))

    def _on_unlisten(self, message: dict[str, Any], fds: list[int]) -> None:
        for host, port in message["addresses"]:
            listener = self.listeners.pop(Listener.name_of(host, port), None)
            if listener is not None:
                listener.empty()

    def _on_drain(self, message: dict[str, Any], fds: list[int]) -> None:
        if self.draining:
            return
        self.draining = True
        limit = message.get("limit")
        self.drain_until = monotonic_ns() + (self.drain_ns if limit is None else int(limit * NANOSECONDS))
        for listener in self.listeners.values():
            listener.stop()
        self.recall.close()
        for connection in tuple(self.connections):
            connection.drain()
        self.pool.close()

    def _drained(self, now: int) -> None:
        if not self.connections or now > self.drain_until:
            self.say({"type": "drained"})
            self.finish()

    def _on_stop(self, message: dict[str, Any], fds: list[int]) -> None:
        self.finish()

    def _on_reopen(self, message: dict[str, Any], fds: list[int]) -> None:
        gapura_log.reopen()
        self.logs.reopen()

    def finish(self) -> None:
        """Write what is left to write and end the loop."""
        self.logs.close()
        self.loop.stop()

    def _log_trouble(self, path: str, lost: int, reason: str) -> None:
        """A log cannot be written (`reason`), or can again (""): the master shows it."""
        self.say({"type": "log", "path": path, "lost": lost, "reason": reason})

    def say(self, message: dict[str, Any], fds: tuple[int, ...] = ()) -> None:
        """Tell the master."""
        if not self.orphaned:
            self.channel.send(message, fds)

    # -- without a master -----------------------------------------------------------------------------------------------

    def _lost_master(self) -> None:
        self.loop.remove_reader(self.channel.fileno())
        self.channel.close()
        if not self.committed:
            self.finish()
            return
        log.warning("the master is gone; serving on")
        self.orphaned = True
        self.prepared = None
        self._look_for_master()

    def _look_for_master(self) -> None:
        try:
            channel = ipc.connect(self._run_folder)
        except OSError:
            self.loop.call_later(RECONNECT, self._look_for_master)
            return
        channel.sock.setblocking(False)
        self.channel = channel
        self.orphaned = False
        self.loop.add_reader(channel.fileno(), self.on_readable)
        listeners = list(self.listeners.values())
        first, later = listeners[: ipc.MAX_FDS - 1], listeners[ipc.MAX_FDS - 1 :]
        message = {
            "type": "orphan",
            "role": "worker",
            "pid": os.getpid(),
            "column": self.column,
            "generation": self.snapshot.generation,
            "draining": self.draining,
            "addresses": [[listener.host, listener.port] for listener in first],
        }
        self.say(message, (self.board.fd, *(listener.sock.fileno() for listener in first)))
        while later:
            part, later = later[: ipc.MAX_FDS], later[ipc.MAX_FDS :]
            addresses = [[listener.host, listener.port] for listener in part]
            self.say({"type": "more", "addresses": addresses}, tuple(listener.sock.fileno() for listener in part))


def _request_ids() -> Iterator[bytes]:
    """24 hexadecimal digits each: 16 of this process, 8 that count. The last two come from a table, formatting costs more."""
    process = os.urandom(8).hex().encode()
    tails = [b"%02x" % tail for tail in range(256)]
    for number in itertools.count(int.from_bytes(os.urandom(2), "big")):
        start = process + b"%06x" % (number & 0xFFFFFF)
        for tail in tails:
            yield start + tail


def _own_channel(fd: int) -> socket.socket:
    """The channel that we were started with, above the standard descriptors, whose places stay taken.

    libuv closes nothing below 3: once the master is gone, a client that was given the channel's 0 would wait for ever for the end
    of its connection.
    """
    sock = socket.socket(fileno=fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3))
    sock.setblocking(False)
    nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    os.dup2(nothing, fd)
    os.close(nothing)
    return sock


def run(fd: int) -> None:
    """The life of a worker process; `fd` is its end of the master's channel."""
    import uvloop

    gapura_log.setup(f"worker {os.getpid()}")
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)  # the terminal's signals are the master's business
    sock = _own_channel(fd)
    loop = uvloop.new_event_loop()
    asyncio.set_event_loop(loop)
    worker = Worker(loop, ipc.Channel(sock))
    loop.add_signal_handler(signal.SIGTERM, worker.finish)
    loop.add_reader(sock.fileno(), worker.on_readable)
    gc.set_threshold(50_000, 20, 20)
    try:
        loop.run_forever()
    finally:
        os._exit(0)  # nothing is left to do, and closing thousands of connections one by one takes time
