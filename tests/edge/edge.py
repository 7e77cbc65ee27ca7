"""The edge under test: a worker with a board, a master's end of its channel, and listening sockets, in this process."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gapura import ipc
from gapura.board import CONNS, H_USED, HEALTH, ID, PORT, READY, READY_AT, RETURNS_AT, SINCE, SLOTS, STATE, Board, id_hash
from gapura.config.load import load
from gapura.config.plan import Plan
from gapura.edge.worker import Worker
from gapura.metrics import H_ROWS, H_SLOTS, ROWS, Metrics
from gapura.records import Records
from gapura.tally import Tally

from .backend import Answer, Backend, ordinary
from .client import Client

PATIENCE = 90.0
"""Seconds until a test is given up. No test is about this figure: it only has to be longer than the slowest machine takes."""


class Observed(Worker):
    """A worker that shares its loop: when it is finished it says so instead of ending the loop."""

    finished = False
    left = False

    def beat(self) -> None:
        if not self.left:  # a timer that arms itself anew would keep the loop from closing
            super().beat()

    def finish(self) -> None:
        self.finished = True
        self.logs.flush()


class Edge:
    """`await edge.start(toml)`, then `await edge.client()`. What it leaves behind is checked by `close`."""

    def __init__(self, loop: asyncio.AbstractEventLoop, folder: Path) -> None:
        self.loop = loop
        self.folder = folder
        self.log = folder / "access.log"
        self.backends: list[Backend] = []
        self.clients: list[Client] = []
        self.heard: list[dict[str, Any]] = []
        self.slots: dict[str, int] = {}
        self.port = 0
        self.generation = 0
        self.worker: Observed
        self.board: Board
        self.tally: Tally
        self.records: Records
        self.metrics: Metrics
        self.master: ipc.Channel

    # -- setting up -------------------------------------------------------------------------------------------------------

    async def backend(self, answer: Answer = ordinary, **where: Any) -> Backend:
        backend = await Backend(answer).start(**where)
        self.backends.append(backend)
        return backend

    def plan(self, text: str) -> Plan:
        """The plan of a configuration, with slots and rows, as the master gives them."""
        file = self.folder / "gapura.toml"
        file.write_text(text)
        plan = load(str(file))
        for upstream in plan["upstreams"].values():
            for server in upstream["servers"]:
                name = f"{upstream['name']}/{server['id']}"
                if name not in self.slots:
                    self.slots[name] = 2 * len(self.slots)
                    self.put(name, ID, id_hash(upstream["name"], server["id"]))
                    self.put(name, STATE, READY)
                    self.put(name, READY_AT, time.monotonic_ns())
                server["slots"] = [self.slots[name], self.slots[name] + 1] if upstream["app"] else [self.slots[name]]
        for row, counted in enumerate([one for site in plan["sites"] for one in (site, *site["routes"])], 1):
            counted["row"] = row
        self.metrics.cells[H_ROWS], self.metrics.cells[H_SLOTS] = ROWS, SLOTS
        return plan

    async def start(self, text: str = "", log: str = "", **edge: Any) -> Edge:
        """Serve a configuration: `text` is TOML; `edge` are keys of its [edge] table, `log` the access log's format."""
        self.board = Board.create(time.monotonic_ns())
        self.board.cells[H_USED] = 1
        self.tally = Tally.create()
        self.master, theirs = ipc.pair()
        theirs.setblocking(False)
        self.worker = Observed(self.loop, ipc.Channel(theirs))
        self.loop.add_reader(theirs.fileno(), self.worker.on_readable)
        self.loop.add_reader(self.master.fileno(), self._hear)
        self.records, self.metrics = Records.create(), Metrics.create()
        shared = {name: getattr(self, name).fd for name in ("board", "tally", "records", "metrics")}
        self.say({"type": "welcome", "column": 0, "heartbeat": 0.1, "memories": list(shared)}, tuple(shared.values()))
        await self.serve(configuration(text, edge, log))
        self.port = await self.listen()
        return self

    async def proxy(self, answer: Answer = ordinary, upstream: str = "", log: str = "", **edge: Any) -> Backend:
        """Serve one backend on every host; `upstream` are further lines of its table."""
        backend = await self.backend(answer)
        await self.start(one_upstream([backend.address], upstream), log, **edge)
        return backend

    async def serve(self, text: str) -> None:
        """Prepare and commit a configuration."""
        self.generation += 1
        self.say({"type": "prepare", "generation": self.generation, "plan": self.plan(text)})
        assert (await self.reply("prepared", "failed"))["type"] == "prepared"
        self.say({"type": "commit", "generation": self.generation})
        assert (await self.reply("committed", "failed"))["type"] == "committed"

    async def listen(self) -> int:
        """Hand the worker a socket; its port."""
        sock = socket.socket()
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        port: int = sock.getsockname()[1]
        self.say({"type": "listen", "addresses": [["127.0.0.1", port]]}, (sock.fileno(),))
        sock.close()
        await self.until(lambda: f"127.0.0.1:{port}" in self.worker.listeners)
        return port

    async def client(self, port: int = 0, **limits: Any) -> Client:
        client = Client(*await asyncio.open_connection("127.0.0.1", port or self.port, **limits))
        self.clients.append(client)
        return client

    # -- the master's side ------------------------------------------------------------------------------------------------

    def say(self, message: dict[str, Any], fds: tuple[int, ...] = ()) -> None:
        self.master.send(message, fds)

    def _hear(self) -> None:
        try:
            self.heard += [message for message, _ in self.master.receive()]
        except ipc.ChannelClosed:
            self.loop.remove_reader(self.master.fileno())

    async def reply(self, *types: str) -> dict[str, Any]:
        """The next message of one of these types."""
        await self.until(lambda: any(message["type"] in types for message in self.heard))
        found = next(message for message in self.heard if message["type"] in types)
        self.heard.remove(found)
        return found

    # -- the board --------------------------------------------------------------------------------------------------------

    def put(self, server: str, cell: int, value: int) -> None:
        """Write a cell of a server's first slot, as master or control would. `server`: "upstream/address"."""
        self.board.cells[self.board.slot(self.slots[server]) + cell] = value

    def instance(self, server: str, state: int, port: int = 0, **times: int) -> None:
        """What the master writes about an app's instance."""
        now = time.monotonic_ns()
        self.put(server, PORT, port)
        self.put(server, SINCE, now)
        self.put(server, RETURNS_AT, times.get("returns_at", 0))
        self.put(server, STATE, state)
        if state == READY:
            self.put(server, READY_AT, now)

    def health(self, address: str, value: int, upstream: str = "u") -> None:
        self.put(f"{upstream}/{address}", HEALTH, value)

    def conns(self) -> int:
        """Claims that are not given back, of all servers."""
        return sum(self.board.total(self.board.slot(slot + more), CONNS) for slot in self.slots.values() for more in (0, 1))

    # -- looking ----------------------------------------------------------------------------------------------------------

    async def until(self, condition: Callable[[], object], seconds: float = PATIENCE) -> None:
        """Wait for a condition."""
        limit = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < limit, "it did not come about"
            await asyncio.sleep(0.002)

    async def at_rest(self) -> None:
        """Nothing is under way: no claim, no forward, nothing held, no tunnel."""
        worker = self.worker
        await self.until(lambda: not (self.conns() or worker.forwards or worker.hold.count or worker.tunnels))

    async def forgotten(self) -> None:
        """No client connection is left either."""
        await self.at_rest()
        await self.until(lambda: not self.worker.connections and not self.worker.per_client)

    def lines(self) -> list[str]:
        """What the access log holds."""
        self.worker.logs.flush()
        return self.log.read_text().splitlines()

    def fields(self) -> list[dict[str, Any]]:
        """The lines of a log in JSON."""
        return [json.loads(line) for line in self.lines()]

    async def close(self) -> None:
        """End everything; whatever the test did, nothing may be left of it."""
        for client in self.clients:
            client.reset()
        for backend in self.backends:
            await backend.stop()
        if hasattr(self, "worker"):
            await self.forgotten()
            self.worker.left = True
            self.worker.pool.close()
            for listener in self.worker.listeners.values():
                listener.stop()
            self.worker.logs.close()
            for channel in (self.master, self.worker.channel):
                if not channel.closed:
                    self.loop.remove_reader(channel.fileno())
                    channel.close()
            await asyncio.sleep(0.03)  # the last beat
            for ours in (self, self.worker):
                for shared in (ours.board, ours.tally, ours.records, ours.metrics):
                    os.close(shared.fd)
        for backend in self.backends:
            assert backend.broken == []


def configuration(text: str, edge: dict[str, Any], log: str = "") -> str:
    """A file: [edge] with these keys, then `text`."""
    table = {"access_log": {"path": "access.log", "format": log} if log else False, **edge}
    return "[edge]\n" + "".join(f"{key} = {_toml(value)}\n" for key, value in table.items()) + text


def one_upstream(addresses: list[str], upstream: str = "", site: str = "") -> str:
    """An upstream `u` of these servers behind the site "*"."""
    return f"""
[upstreams.u]
servers = {json.dumps(addresses)}
{upstream}
[sites."*"]
proxy = "u"
{site}
"""


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items()) + " }"
    return json.dumps(value)
