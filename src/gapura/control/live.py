"""The live stream: what the dashboard draws. Made once for each rhythm, however many look; not at all while nobody looks.

A viewer that does not keep up skips ticks, and is let go when it has skipped many: nothing waits for it, and nothing piles up.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Final

from gapura.balance import facts
from gapura.board import CONNS, H_USED, P_CONNECTIONS, P_PID, PORT, SINCE, STATE, STATES, WORKER_ROW, Board
from gapura.control.history import Figures, Moment
from gapura.control.meter import Meter
from gapura.control.names import Names
from gapura.control.picture import dated, picture
from gapura.control.processes import NOTHING, Processes
from gapura.control.requests import seen
from gapura.events import stamp
from gapura.metrics import Metrics
from gapura.records import Records

VIEWERS: Final = 64
"""Viewers at the same time."""
QUEUE: Final = 8
"""Messages that wait for a viewer."""
PATIENCE: Final = 30
"""Ticks that a viewer may miss in a row."""
NEWEST: Final = 40
"""Requests in a tick."""

Document = dict[str, Any]
log = logging.getLogger(__name__)


class Source:
    """What ticks are made of. `names` and `generation` give the committed plan's, `status` asks the master for its document."""

    def __init__(
        self,
        board: Board,
        metrics: Metrics,
        records: Records,
        names: Callable[[], Names],
        generation: Callable[[], int],
        status: Callable[[], Awaitable[Document]],
    ) -> None:
        self.board = board
        self.metrics = metrics
        self.records = records
        self.names = names
        self.generation = generation
        self.status = status


class Viewer:
    """Somebody who looks. `next` waits for what is to be sent; None: it is over."""

    def __init__(self) -> None:
        self._waiting: deque[bytes] = deque()
        self._there = asyncio.Event()
        self._closed = False
        self.missed = 0
        self.wants_picture = True

    def put(self, message: bytes) -> bool:
        """Queue a message; False when there is no room."""
        if len(self._waiting) >= QUEUE:
            return False
        self._waiting.append(message)
        self._there.set()
        return True

    def close(self) -> None:
        """Nothing more comes."""
        self._closed = True
        self._there.set()

    async def next(self) -> bytes | None:
        """All that waits, as one piece."""
        while not self._waiting:
            if self._closed:
                return None
            self._there.clear()
            await self._there.wait()
        piece = b"".join(self._waiting)
        self._waiting.clear()
        return piece


class Instances:
    """The pids of instances, which only the master knows: asked for again when the board says that one has begun or ended."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._since: tuple[int, ...] = ()
        self._asking: asyncio.Task[None] | None = None
        self.pids: dict[str, int | None] = {}

    def look(self, names: Names) -> None:
        """Ask if something has changed; the answer is there a moment later."""
        board = self._source.board
        slots = [slot for upstream, server in names.servers.values() if upstream["app"] for slot in server["slots"]]
        since = (id(names), *(board.cells[board.slot(slot) + cell] for slot in slots for cell in (SINCE, PORT)))
        if since != self._since and (self._asking is None or self._asking.done()):
            self._since = since
            self._asking = asyncio.get_running_loop().create_task(self._ask()) if slots else None

    async def _ask(self) -> None:
        try:
            document = await self._source.status()
        except Exception as error:
            log.info("the pids of instances are not known: %s", error)
            self._since = ()
            return
        self.pids = {f"{app['name']}:{one['index']}": one["pid"] for app in document["apps"] for one in app["instances"]}


class Rhythm:
    """All viewers that want a tick every `interval` seconds. `ended` is called when the last one has gone."""

    def __init__(self, source: Source, interval: int) -> None:
        self.viewers: set[Viewer] = set()
        self._source = source
        self._interval = interval
        self._meter = Meter(source.metrics, source.board)
        self._processes = Processes()
        self._instances = Instances(source)
        self._written = source.records.written()
        self._picture: Document = {}
        self._packed = b""
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self._due = self._loop.time()

    def join(self, viewer: Viewer) -> None:
        """From now on it gets the picture and ticks."""
        self.viewers.add(viewer)
        self.show()
        if self._timer is None:
            self._instances.look(self._source.names())
            self._measure_processes(self._source.names())
            self._wait()

    def leave(self, viewer: Viewer) -> None:
        """It looks no more; when it was the last, nothing is computed any more."""
        self.viewers.discard(viewer)
        if not self.viewers and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wait(self) -> None:
        self._due = max(self._due + self._interval, self._loop.time() + 0.5 * self._interval)
        self._timer = self._loop.call_at(self._due, self._tick)

    def _tick(self) -> None:
        self._timer = None
        try:
            self.show()
            message = sse("tick", self.tick())
            for viewer in list(self.viewers):
                viewer.missed = 0 if viewer.put(message) else viewer.missed + 1
                if viewer.missed > PATIENCE:
                    viewer.close()
                    self.viewers.discard(viewer)
        except Exception:
            log.exception("a tick of the live stream could not be made")
        if self.viewers:
            self._wait()

    def show(self) -> None:
        """The picture to whom it is new."""
        found = picture(self._source.names(), self._source.board, self._source.generation())
        if found != self._picture:
            self._picture = found
            self._packed = sse("picture", dated(found))
            for viewer in self.viewers:
                viewer.wants_picture = True
        for viewer in self.viewers:
            if viewer.wants_picture:
                viewer.wants_picture = not viewer.put(self._packed)

    def tick(self) -> Document:
        """What happened since the tick before."""
        names = self._source.names()
        moment = self._meter.take(names)
        self._instances.look(names)
        workers, instances, connections = self._measure_processes(names)
        servers = self._servers(names, moment)
        total = {
            **_rates(moment.total, moment.seconds),
            "bytes": round(moment.total.sent / moment.seconds),
            "p90": _ms(moment.total.p90),
            "connections": connections,
            "active": sum(server["active"] for server in servers.values()),
        }
        return {
            "at": stamp(time.time()),
            "seconds": round(moment.seconds, 3),
            "total": total,
            "sites": {site: _rates(figures, moment.seconds) for site, figures in moment.sites.items()},
            "routes": {str(row): _rates(figures, moment.seconds) for row, figures in moment.routes.items()},
            "servers": servers,
            "instances": instances,
            "workers": workers,
            "requests": self._requests(names),
        }

    def _servers(self, names: Names, moment: Moment) -> dict[str, Document]:
        board, now = self._source.board, time.monotonic_ns()
        found = {}
        for key, (_, server) in names.servers.items():
            figures = moment.servers.get(key)
            found[key] = {
                **(_rates(figures, moment.seconds) if figures else IDLE),
                "active": sum(board.total(board.slot(slot), CONNS) for slot in server["slots"]),
                "state": facts.server_state(board, server, now),
                "condition": facts.condition(board, server, now),
            }
        return found

    def _measure_processes(self, names: Names) -> tuple[list[Document], dict[str, Document], int]:
        """What workers and instances use, and the connections of all workers."""
        board = self._source.board
        rows = [board.process(WORKER_ROW + column) for column in range(board.cells[H_USED])]
        held = {pid: board.cells[row + P_CONNECTIONS] for row in rows if (pid := board.cells[row + P_PID])}
        pids = self._instances.pids
        used = self._processes.sample([pid for pid in pids.values() if pid], held)
        workers = []
        for pid, connections in held.items():
            use = used.get(pid, NOTHING)
            workers.append({"pid": pid, "cpu": round(use.cpu, 3), "memory": use.memory, "connections": connections})
        instances = {}
        for key, (upstream, server) in names.servers.items():
            if upstream["app"] and server["slots"]:
                name, (slot, _) = key.partition("/")[2], facts.best_slot(board, server, time.monotonic_ns())
                owner = pids.get(name)
                use = used.get(owner, NOTHING) if owner else NOTHING
                state = STATES[board.cells[slot + STATE]]
                instances[name] = {"cpu": round(use.cpu, 3), "memory": use.memory, "pid": owner, "state": state}
        return workers, instances, sum(held.values())

    def _requests(self, names: Names) -> list[Document]:
        """The newest since the tick before, none twice."""
        written, found = self._source.records.written(), {}
        for ring, count in written.items():
            before = self._written.get(ring, 0)
            if count != before:
                for record in self._source.records.read(*ring, after=before if count > before else 0, most=NEWEST):
                    if record.row not in names.ours:
                        found[record.id, record.started] = record
        self._written = written
        newest = sorted(found.values(), key=lambda record: record.started + record.ended, reverse=True)[:NEWEST]
        return [seen(names, record) for record in newest]


class Live:
    """Gives viewers what they want to see. `open` raises `TooMany`."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._rhythms: dict[int, Rhythm] = {}

    def open(self, interval: int) -> tuple[Viewer, Callable[[], None]]:
        """A new viewer, and what is called when it goes."""
        if sum(len(rhythm.viewers) for rhythm in self._rhythms.values()) >= VIEWERS:
            raise TooMany
        rhythm = self._rhythms.get(interval)
        if rhythm is None or not rhythm.viewers:
            rhythm = self._rhythms[interval] = Rhythm(self._source, interval)
        viewer = Viewer()
        rhythm.join(viewer)

        def leave(joined: Rhythm = rhythm) -> None:
            viewer.close()
            joined.leave(viewer)
            if not joined.viewers and self._rhythms.get(interval) is joined:
                del self._rhythms[interval]

        return viewer, leave

    def tell(self, event: Document) -> None:
        """Something has happened: all viewers hear of it at once, and see what has changed: it may be over by the next tick."""
        message = sse("event", event)
        for rhythm in self._rhythms.values():
            rhythm.show()
            for viewer in rhythm.viewers:
                viewer.put(message)


class TooMany(Exception):
    """There are as many viewers as there may be."""


def sse(kind: str, document: Document) -> bytes:
    """A server-sent event (HTML standard, 9.2)."""
    return f"event: {kind}\ndata: {json.dumps(document, separators=(',', ':'))}\n\n".encode()


def _rates(figures: Figures, seconds: float) -> Document:
    return {
        "rps": round(figures.requests / seconds, 2),
        "errors": round(figures.errors / seconds, 2),
        "p50": _ms(figures.p50),
        "p99": _ms(figures.p99),
    }


def _ms(seconds: float) -> float | None:
    return round(seconds * 1000, 3) if seconds else None


IDLE: Final = _rates(Figures(0, 0, 0, 0.0, 0.0, 0.0), 1.0)
