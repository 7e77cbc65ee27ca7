"""What the master says, and what the worker does: generations, listeners, draining, and life without a master."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import uvloop

from gapura import ipc
from gapura.board import P_BEAT, P_CONNECTIONS, P_GENERATION, WORKER_ROW, Board
from gapura.config.load import load
from gapura.edge.worker import Worker
from gapura.metrics import Metrics
from gapura.records import Records
from gapura.tally import Tally

from .backend import Request, Wire
from .client import get
from .edge import Edge, configuration, one_upstream

HI = '[sites."*"]\nrespond = "hi"\n'
HO = '[sites."*"]\nrespond = "ho"\n'


def row(edge: Edge, cell: int) -> int:
    return int(edge.board.cells[Board.process(WORKER_ROW) + cell])


async def test_a_worker_says_hello_and_beats(edge: Edge) -> None:
    await edge.start(HI)
    assert (await edge.reply("hello"))["pid"] == os.getpid()
    first = row(edge, P_BEAT)
    await edge.until(lambda: row(edge, P_BEAT) > first)
    await edge.client()
    await edge.until(lambda: row(edge, P_CONNECTIONS) == 1)
    assert row(edge, P_GENERATION) == 1


async def test_a_generation_is_served_from_its_commit_on(edge: Edge) -> None:
    await edge.start(HI)
    client = await edge.client()
    assert (await client.ask()).body == b"hi"
    edge.say({"type": "prepare", "generation": 2, "plan": edge.plan(configuration(HO, {}))})
    await edge.reply("prepared")
    assert (await client.ask()).body == b"hi"
    edge.say({"type": "commit", "generation": 2})
    await edge.reply("committed")
    assert (await client.ask()).body == b"ho"
    assert row(edge, P_GENERATION) == 2


async def test_an_exchange_keeps_its_generation(edge: Edge) -> None:
    go_on = asyncio.Event()

    async def answer(request: Request, wire: Wire) -> None:
        await go_on.wait()
        wire.reply(b"old")

    backend = await edge.proxy(answer)
    client = await edge.client()
    client.send(get("/1") + get("/2"))
    await edge.until(lambda: backend.requests)
    await edge.serve(configuration(HO, {}))
    go_on.set()
    assert [(await client.answer()).body for _ in range(2)] == [b"old", b"ho"]


async def test_an_aborted_generation_is_never_served(edge: Edge) -> None:
    await edge.start(HI)
    edge.say({"type": "prepare", "generation": 2, "plan": edge.plan(configuration(HO, {}))})
    await edge.reply("prepared")
    edge.say({"type": "abort", "generation": 2})
    edge.say({"type": "commit", "generation": 2})
    assert (await edge.reply("failed"))["generation"] == 2
    assert (await (await edge.client()).ask()).body == b"hi"


BROKEN: list[dict[str, Any]] = [
    {},
    {"sites": [{"hosts": ["*"], "routes": [{}]}]},
    {"upstreams": {"u": {}}},
    {"sites": None},
    {"edge": None},
]


@pytest.mark.parametrize("change", BROKEN, ids=repr)
async def test_a_broken_plan_is_refused_and_the_old_one_stays(edge: Edge, change: dict[str, Any]) -> None:
    await edge.start(HI)
    plan: dict[str, Any] = {**edge.plan(configuration(HO, {})), **change} if change else {}
    edge.say({"type": "prepare", "generation": 2, "plan": plan})
    message = await edge.reply("failed", "prepared")
    assert (message["type"], message["generation"]) == ("failed", 2)
    assert message["error"]
    assert (await (await edge.client()).ask()).body == b"hi"


async def test_an_unknown_message_is_ignored(edge: Edge) -> None:
    await edge.start(HI)
    edge.say({"type": "sing"}, (edge.board.fd,))
    edge.say({})
    assert (await (await edge.client()).ask()).body == b"hi"


async def test_the_rotation_goes_on_across_a_reload(edge: Edge) -> None:
    backends = [await edge.backend() for _ in range(2)]
    first, second = (backend.address for backend in backends)
    text = f'[upstreams.u]\nservers = [{{ address = "{first}", weight = 2 }}, {{ address = "{second}" }}]\n'
    text += '[sites."*"]\nproxy = "u"\n'
    await edge.start(text)
    client = await edge.client()
    for _ in range(10):
        for _ in range(4):
            assert (await client.ask()).status == 200
        await edge.serve(configuration(text, {}))
    assert abs(len(backends[0].requests) - 2 * len(backends[1].requests)) <= 2


async def test_an_address_comes_and_goes(edge: Edge) -> None:
    await edge.start(HI)
    second = await edge.listen()
    client = await edge.client(second)
    assert (await client.ask()).body == b"hi"
    edge.say({"type": "unlisten", "addresses": [["127.0.0.1", second]]})
    await edge.until(lambda: len(edge.worker.listeners) == 1)
    assert (await client.ask()).body == b"hi"
    with pytest.raises(OSError):  # noqa: PT011
        await edge.client(second)


async def test_who_is_in_the_queue_of_an_address_that_goes_is_served(edge: Edge) -> None:
    await edge.start(HI)
    port = await edge.listen()
    clients = [socket.create_connection(("127.0.0.1", port)) for _ in range(20)]  # the loop does not run meanwhile
    edge.say({"type": "unlisten", "addresses": [["127.0.0.1", port]]})
    for client in clients:
        client.sendall(get("/", "Connection: close"))
        client.setblocking(False)
        found = b""
        while data := await edge.loop.sock_recv(client, 1 << 16):
            found += data
        assert found.endswith(b"hi")
        client.close()


async def test_draining_announces_itself_and_waits_for_what_is_under_way(edge: Edge) -> None:
    go_on = asyncio.Event()

    async def answer(request: Request, wire: Wire) -> None:
        await go_on.wait()
        wire.reply(b"done")

    backend = await edge.proxy(answer)
    busy, idle = await edge.client(), await edge.client()
    busy.send(get())
    await edge.until(lambda: backend.requests and len(edge.worker.connections) == 2)
    edge.say({"type": "drain"})
    edge.say({"type": "drain"})
    await edge.until(lambda: edge.worker.draining)
    with pytest.raises(OSError):  # noqa: PT011
        await edge.client()
    assert not edge.worker.finished
    go_on.set()
    for client in (busy, idle):
        if client is idle:
            idle.send(get())
        answer_ = await client.answer()
        assert (answer_.body, answer_.get("connection")) == (b"done", "close")
        assert await client.end() == b""
    await edge.reply("drained")
    assert edge.worker.finished
    await edge.until(lambda: backend.open == 0)


async def test_draining_has_a_limit(edge: Edge) -> None:
    await edge.start(HI)
    await edge.client()
    await edge.until(lambda: edge.worker.connections)
    edge.say({"type": "drain", "limit": 0.05})
    await edge.reply("drained")
    assert edge.worker.finished


async def test_a_worker_without_a_master_serves_on_and_finds_the_next_one(edge: Edge) -> None:
    await edge.start(HI)
    client = await edge.client()
    run = edge.worker.snapshot.plan["paths"]["run"]
    os.makedirs(run, exist_ok=True)
    edge.loop.remove_reader(edge.master.fileno())
    edge.master.close()
    await edge.until(lambda: edge.worker.orphaned)
    assert (await client.ask()).body == b"hi"
    door = socket.socket(socket.AF_UNIX)
    door.bind(ipc.socket_path(run))
    door.listen()
    door.setblocking(False)
    sock, _ = await edge.loop.sock_accept(door)
    door.close()
    edge.master = ipc.Channel(sock)
    fds: list[int] = []
    messages: list[dict[str, Any]] = []

    def hear() -> None:
        for message, more in edge.master.receive():
            messages.append(message)
            fds.extend(more)

    edge.loop.add_reader(sock.fileno(), hear)
    await edge.until(lambda: messages)
    assert messages[0] == {
        "type": "orphan", "role": "worker", "pid": os.getpid(), "column": 0, "generation": 1, "draining": False,
        "addresses": [["127.0.0.1", edge.port]],
    }  # fmt: skip
    assert len(fds) == 2
    with socket.socket(fileno=fds[1]) as listening:
        assert listening.getsockname() == ("127.0.0.1", edge.port)
    os.close(fds[0])
    assert (await client.ask()).body == b"hi"


def test_a_worker_that_is_told_to_stop_ends_its_loop() -> None:
    master, theirs = ipc.pair()
    theirs.setblocking(False)
    loop = uvloop.new_event_loop()
    worker = Worker(loop, ipc.Channel(theirs))
    loop.add_reader(theirs.fileno(), worker.on_readable)
    master.send({"type": "stop"})
    loop.run_forever()
    loop.remove_reader(theirs.fileno())
    loop.close()
    worker.channel.close()
    master.close()


def test_a_worker_that_never_served_ends_with_its_master() -> None:
    master, theirs = ipc.pair()
    theirs.setblocking(False)
    loop = uvloop.new_event_loop()
    worker = Worker(loop, ipc.Channel(theirs))
    loop.add_reader(theirs.fileno(), worker.on_readable)
    master.close()
    loop.run_forever()
    loop.close()


async def test_two_upstreams_of_one_name_hold_their_own_slots(edge: Edge) -> None:
    backend = await edge.proxy()
    client = await edge.client()
    await client.ask()
    other = await edge.backend()
    await edge.serve(configuration(one_upstream([other.address]), {}))
    assert (await client.ask()).get("x-served-by") == other.address
    assert len(backend.requests) == 1


def test_a_worker_without_master_closes_what_it_has_answered(tmp_path: Path) -> None:
    """In a process of its own: the number of the descriptor that the master's channel had goes to the next client."""
    file = tmp_path / "gapura.toml"
    file.write_text('[edge]\nhttp = "127.0.0.1:8080"\nworkers = 1\n[sites."*"]\nrespond = "hi"\n')
    board = Board.create(time.monotonic_ns())
    shared = {"board": board.fd, "tally": Tally.create().fd, "records": Records.create().fd, "metrics": Metrics.create().fd}
    master, theirs = ipc.pair()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = listening.getsockname()
        worker = subprocess.Popen([sys.executable, "-P", "-m", "gapura.edge", "0"], stdin=theirs)
        theirs.close()
        try:
            welcome = {"type": "welcome", "column": 0, "heartbeat": 0.25, "memories": list(shared)}
            master.send(welcome, tuple(shared.values()))
            master.send({"type": "prepare", "generation": 1, "plan": load(str(file))})
            master.send({"type": "listen", "addresses": [list(address)]}, (listening.fileno(),))
            master.send({"type": "commit", "generation": 1})
            while master.wait(10)["type"] != "committed":
                pass
            master.close()
            for _ in range(3):
                with socket.create_connection(address, timeout=60) as client:
                    client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                    with client.makefile("rb") as answer:
                        assert answer.read().endswith(b"\r\n\r\nhi")
        finally:
            worker.kill()
            worker.wait()
            for fd in shared.values():
                os.close(fd)
