"""The control process: its channel to the master, its heartbeat, and what it does for the committed plan."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from collections.abc import Callable

from gapura import ipc
from gapura import log as logs
from gapura.board import CONTROL_ROW, P_BEAT, P_GENERATION, Board
from gapura.config.plan import Plan
from gapura.control.admin import Admin
from gapura.control.alarms import Alarms
from gapura.control.api.context import Context
from gapura.control.audit import Audit
from gapura.control.borrower import Borrower
from gapura.control.certificates import Certificates
from gapura.control.events import Events
from gapura.control.health import Health
from gapura.control.history import History
from gapura.control.orphan import Lent, Orphan
from gapura.control.resolve import Resolver
from gapura.control.sampler import Sampler
from gapura.control.sessions import Sessions
from gapura.control.tracer import Tracer
from gapura.metrics import Metrics
from gapura.records import Records

BEAT = 0.25
"""Seconds between two heartbeats, unless the master asks for another rhythm."""

LAST_WORDS = 1.5
"""Seconds for events that wait for a webhook or command when control is told to stop."""

log = logging.getLogger(__name__)


class Control:
    """Health checks and name resolution on one loop. `run()` returns when the master has said `stop`."""

    def __init__(self, loop: asyncio.AbstractEventLoop, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._loop = loop
        self._channel: ipc.Channel | None = None
        self._board: Board | None = None
        self._records: Records | None = None
        self._metrics: Metrics | None = None
        self._given: dict[str, int] = {}  # descriptors by name: shared memories, listening sockets
        self._health: Health | None = None
        self._orphan: Orphan | None = None
        self._lent: Lent = {}
        self._resolver = Resolver(loop, self._resolved)
        self._certificates = Certificates(loop, self._send)
        self.events = Events(loop, self._send)
        self._alarms = Alarms(loop, self.events)
        self._certificates.tell = self.events.tell
        self.context = Context(self._tell)
        self.context.dates = self._alarms.dates
        self.context.events = self.events
        self.context.sessions = Sessions()
        self.context.audit = Audit()
        self.context.history = History()
        self._borrower = self.context.borrower = Borrower(self._tell)
        self._sampler: Sampler | None = None
        self._admin = Admin(loop, self.context)
        self._prepared: tuple[int, Plan] | None = None
        self._plan: Plan | None = None
        self._generation = 0
        self._row = Board.process(CONTROL_ROW)
        self._beat_every = BEAT
        self._told_names: dict[str, list[str]] = {}
        self._leaving: asyncio.Task[None] | None = None
        self._testing: asyncio.Task[None] | None = None
        self._handlers: dict[str, Callable[[ipc.Message, list[int]], None]] = {
            "welcome": self._on_welcome,
            "prepare": self._on_prepare,
            "commit": self._on_commit,
            "abort": self._on_abort,
            "stop": self._on_stop,
            "reopen": self._on_reopen,
            "output": self._on_output,
            "kept": self._on_answer,
            "lent": self._on_answer,
            "renew": self._on_renew,
            "admin": self._on_admin,
            "tokens": self._on_tokens,
            "code": self._on_code,
            "reply": self._on_reply,
            "event": self._on_event,
            "test_events": self._on_test_events,
        }
        self._listen_to(ipc.Channel(sock))
        self._send({"type": "hello", "role": "control", "pid": os.getpid()})

    def run(self) -> None:
        """Serve until told to stop."""
        self._loop.run_forever()

    # -- the channel ------------------------------------------------------------------------------------------------------

    def _listen_to(self, channel: ipc.Channel) -> None:
        self._channel = channel
        self._loop.add_reader(channel.fileno(), self._readable)

    def _readable(self) -> None:
        channel = self._channel
        if channel is None:
            return
        try:
            messages = channel.receive()
        except ipc.ChannelClosed:
            self._lose_master(channel)
            return
        for message, fds in messages:
            handler = self._handlers.get(str(message.get("type")))
            try:
                if handler is not None:
                    handler(message, fds)
            except Exception:
                log.exception("the master's message %r could not be carried out", message.get("type"))
            for fd in fds:  # who keeps some takes them out
                os.close(fd)

    def _send(self, message: ipc.Message, fds: tuple[int, ...] = ()) -> None:
        if self._channel is not None:
            self._channel.send(message, fds)
            self._flush()

    def _tell(self, message: ipc.Message) -> bool:
        """Send, if there is a master."""
        if self._channel is None:
            return False
        self._send(message)
        return True

    def _flush(self) -> None:
        if self._channel is None:
            return
        if self._channel.flush():
            self._loop.remove_writer(self._channel.fileno())
        else:
            self._loop.add_writer(self._channel.fileno(), self._flush)

    def _lose_master(self, channel: ipc.Channel) -> None:
        self._loop.remove_reader(channel.fileno())
        self._loop.remove_writer(channel.fileno())
        channel.close()
        self._channel = None
        self._prepared = None
        self._certificates.pause()
        self.context.lose_master()
        self.events.lose_master()
        if self._plan is None:
            self._loop.stop()
            return
        log.warning("the master is gone; health checks go on until a new one takes over")
        self._orphan = Orphan(self._loop, self._plan, self._lent, self._find_master, self._loop.stop)

    def _find_master(self, channel: ipc.Channel) -> None:
        assert self._board is not None
        self._orphan = None
        self.events.find_master()
        self._listen_to(channel)
        self._send(
            {
                "type": "orphan",
                "role": "control",
                "pid": os.getpid(),
                "column": -1,
                "generation": self._generation,
                "addresses": [],
                "draining": False,
            },
            (self._board.fd,),
        )

    # -- what the master says -----------------------------------------------------------------------------------------------

    def _on_welcome(self, message: ipc.Message, fds: list[int]) -> None:
        if self._board is not None:
            return
        self._beat_every = float(message.get("heartbeat") or BEAT)
        self._given = given = dict(zip(message["memories"], fds, strict=True))
        fds.clear()
        self._board = Board(given["board"])
        self._records = Records(given["records"])
        self._metrics = Metrics(given["metrics"])
        self._health = Health(self._loop, self._board)
        self.context.board, self.context.records, self.context.metrics = self._board, self._records, self._metrics
        self._sampler = Sampler(self._loop, self._metrics, self._board, self.context.history)
        self.context.traces = Tracer(self._records, lambda: self.context.names)
        self._beat()

    def _on_prepare(self, message: ipc.Message, fds: list[int]) -> None:
        generation = int(message["generation"])
        plan: Plan = message["plan"]
        if not isinstance(plan, dict) or "upstreams" not in plan:
            self._send({"type": "failed", "generation": generation, "error": "the plan holds no upstreams"})
            return
        self._prepared = (generation, plan)
        self._send({"type": "prepared", "generation": generation})

    def _on_commit(self, message: ipc.Message, fds: list[int]) -> None:
        prepared, self._prepared = self._prepared, None
        if prepared is None or prepared[0] != message.get("generation") or self._health is None or self._board is None:
            log.warning("asked to commit generation %s, which was never prepared", message.get("generation"))
            return
        self._generation, self._plan = prepared
        self._health.apply(self._plan)
        self._resolver.apply(self._plan)
        self._board.cells[self._row + P_GENERATION] = self._generation
        self.context.settle(self._plan, self._generation)
        self.events.apply(self._plan)  # logs are open before the master hears: a folder that is removed later is not made again
        self._send({"type": "committed", "generation": self._generation})
        if self._sampler is not None:
            self._sampler.names = self.context.names
            self._sampler.start()
        self._admin.apply(self._plan)
        if self.context.traces is not None:
            self.context.traces.apply(self._plan)
        self._certificates.apply(self._plan)
        self._alarms.watches, self._alarms.certificates = self._health.watches, self._certificates.hosts
        self._alarms.apply(self._plan, self._board, self._metrics, self.context.names)

    def _on_abort(self, message: ipc.Message, fds: list[int]) -> None:
        self._prepared = None

    def _on_stop(self, message: ipc.Message, fds: list[int]) -> None:
        if not self.events.busy:
            self._loop.stop()
            return
        self._leaving = self._loop.create_task(self.events.close(LAST_WORDS))
        self._leaving.add_done_callback(lambda task: self._loop.stop())

    def _on_event(self, message: ipc.Message, fds: list[int]) -> None:
        self.events.hear(message)

    def _on_test_events(self, message: ipc.Message, fds: list[int]) -> None:
        """Try all sinks, for `gapura events test`."""

        async def test() -> None:
            self._send({"type": "tested", "id": message.get("id"), "outcomes": await self.events.test()})

        self._testing = self._loop.create_task(test())

    def _on_reopen(self, message: ipc.Message, fds: list[int]) -> None:
        logs.reopen()
        if self.context.audit is not None:
            self.context.audit.reopen()
        self.events.reopen()

    def _on_admin(self, message: ipc.Message, fds: list[int]) -> None:
        """Listening sockets of the admin API, and whose the master is."""
        self.context.owner = int(message["owner"])
        self._admin.open([str(name) for name in message["names"]], fds)
        fds.clear()

    def _on_tokens(self, message: ipc.Message, fds: list[int]) -> None:
        if self.context.sessions is not None:
            self.context.sessions.take_up(message["tokens"])

    def _on_code(self, message: ipc.Message, fds: list[int]) -> None:
        if self.context.sessions is not None:
            self.context.sessions.expect(str(message["hash"]), str(message["role"]))

    def _on_reply(self, message: ipc.Message, fds: list[int]) -> None:
        self.context.replied(message)

    def _on_output(self, message: ipc.Message, fds: list[int]) -> None:
        """What to read and write down while there is no master; without descriptors: no longer."""
        name = str(message["name"])
        for fd in self._lent.pop(name, ()):
            os.close(fd)
        if len(fds) == 2:
            self._lent[name] = (fds[0], fds[1])
            fds.clear()

    def _on_answer(self, message: ipc.Message, fds: list[int]) -> None:
        """What the child that gets a certificate has asked the master, or somebody here."""
        if not self.events.lent(message, fds) and not self._borrower.answer(message, fds):
            self._certificates.answer(message, fds)

    def _on_renew(self, message: ipc.Message, fds: list[int]) -> None:
        self._certificates.hurry(str(host) for host in message["hosts"])

    # -- what it does by itself ---------------------------------------------------------------------------------------------

    def _beat(self) -> None:
        assert self._board is not None
        self._board.cells[self._row + P_BEAT] = time.monotonic_ns()
        self._loop.call_later(self._beat_every, self._beat)

    def _resolved(self, upstream: str, host: str, port: int, addresses: list[str]) -> None:
        self._send({"type": "resolved", "upstream": upstream, "host": host, "port": port, "addresses": addresses})
        subject = f"{upstream}/{host}:{port}"
        if self._told_names.get(subject) != addresses:
            self._told_names[subject] = addresses
            self.events.tell("name.changed", subject, f"{upstream}: {host} is now {', '.join(addresses)}", addresses=addresses)

    def close(self) -> None:
        """Let go of everything; nothing is told to anybody."""
        if self._health is not None:
            self._health.stop()
        self._resolver.stop()
        self._alarms.stop()
        self.events.stop()
        if self._sampler is not None:
            self._sampler.stop()
        if self.context.traces is not None:
            self.context.traces.close()
        self._admin.close()
        self._certificates.pause()
        if self._orphan is not None:
            self._orphan.close()
        if self._channel is not None:
            self._channel.close()
