"""The live stream: one maker of ticks whatever the number of viewers, none while nobody looks, nobody waited for."""

from __future__ import annotations

import asyncio
import json
import os
from typing import Any

import pytest

from gapura import metrics as m
from gapura.board import CRASHED, H_USED, P_CONNECTIONS, P_PID, READY, STATE, STATES, WORKER_ROW, Board
from gapura.control import live as module
from gapura.control.live import Live, Rhythm, Source, TooMany, Viewer
from gapura.control.names import Names
from gapura.metrics import Metrics
from gapura.records import FAILED, RECENT, Record, Records


def plan() -> Any:
    server = {"host": "127.0.0.1", "port": 0, "path": "", "weight": 1, "backup": False, "down": False, "max_fails": 1}
    server |= {"fail_timeout": 10.0, "max_conns": 0, "name": "", "slow_start": None}
    match = {"name": "/", "kind": "prefix", "path": "/", "action": "proxy", "upstream": "web", "traffic": None}
    return {
        "sites": [{"hosts": ["a.test"], "tls": None, "row": 1, "routes": [{**match, "row": 2}]}],
        "upstreams": {
            "web": {"name": "web", "app": True, "policy": "random", "servers": [{**server, "id": "web:0", "slots": [0, 1]}]}
        },
    }


class World:
    """A source whose facts are set by hand. `asked` counts the questions to the master."""

    def __init__(self) -> None:
        self.board, self.metrics, self.records = Board.create(1), Metrics.create(), Records.create()
        self.writer = Records(self.records.fd, 0)
        self.names = Names(plan())
        self.generation = 1
        self.asked = 0
        cells = self.board.cells
        cells[H_USED] = 1
        row = self.board.process(WORKER_ROW)
        cells[row + P_PID], cells[row + P_CONNECTIONS] = os.getpid(), 3
        cells[self.board.slot(0) + STATE] = READY
        self.metrics.cells[m.H_ROWS], self.metrics.cells[m.H_SLOTS] = 4, 2
        self.metrics.cells[Metrics.worker_at(0) + m.USED] = 1
        self.source = Source(self.board, self.metrics, self.records, lambda: self.names, lambda: self.generation, self.status)

    async def status(self) -> dict[str, Any]:
        self.asked += 1
        return {"apps": [{"name": "web", "instances": [{"index": 0, "pid": os.getpid()}]}]}

    def close(self) -> None:
        self.writer.close()
        for memory in (self.board, self.metrics, self.records):
            memory.close()
            os.close(memory.fd)


@pytest.fixture
def world() -> Any:
    one = World()
    yield one
    one.close()


def messages(piece: bytes | None) -> list[tuple[str, Any]]:
    assert piece
    found = []
    for block in piece.decode().split("\n\n")[:-1]:
        kind, data = block.split("\n")
        found.append((kind.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return found


def test_first_the_picture_then_ticks(world: World) -> None:
    async def look() -> list[tuple[str, Any]]:
        viewer, leave = Live(world.source).open(1)
        found = messages(await viewer.next())
        while not any(kind == "tick" for kind, _ in found):
            found += messages(await viewer.next())
        leave()
        return found

    (kind, picture), (second, tick), *_ = asyncio.run(look())
    assert (kind, second) == ("picture", "tick")
    assert picture["upstreams"][0]["servers"][0]["id"] == "web:0"
    assert picture["at"]
    assert tick["total"]["connections"] == 3
    assert tick["workers"][0]["pid"] == os.getpid()
    assert tick["instances"]["web:0"]["pid"] == os.getpid()
    assert tick["instances"]["web:0"]["state"] == STATES[READY]
    assert tick["servers"]["web/web:0"] == {
        "rps": 0.0,
        "errors": 0.0,
        "p50": None,
        "p99": None,
        "active": 0,
        "state": "up",
        "condition": "up",
    }
    assert world.asked == 1


def rhythm(world: World) -> Rhythm:
    return Rhythm(world.source, 3600)


def test_a_tick_tells_the_requests_since_the_one_before_none_twice(world: World) -> None:
    async def ticks() -> list[Any]:
        world.writer.write(RECENT, record("early", 0))
        one = rhythm(world)
        world.writer.write(RECENT, record("a", 1))
        world.writer.write(FAILED, record("a", 1))
        world.writer.write(FAILED, record("b", 2))
        return [one.tick()["requests"], one.tick()["requests"]]

    first, second = asyncio.run(ticks())
    assert [request["id"] for request in first] == ["b", "a"]
    assert first[0]["site"] == "a.test"
    assert first[0]["route"] == 2
    assert second == []


def test_of_very_many_requests_the_newest_are_told(world: World) -> None:
    async def tick() -> Any:
        one = rhythm(world)
        for number in range(100):
            world.writer.write(RECENT, record(str(number), number))
        return one.tick()["requests"]

    found = asyncio.run(tick())
    assert len(found) == module.NEWEST
    assert found[0]["id"] == "99"


def record(name: str, started: int) -> Record:
    return Record(name, 1_000_000 + started * 1000, 5, row=2, status=200, method="GET", path="/")


def test_a_picture_is_sent_again_only_when_it_changes(world: World) -> None:
    async def look() -> list[list[str]]:
        one, viewer = rhythm(world), Viewer()
        one.join(viewer)
        found = [[kind for kind, _ in messages(await viewer.next())]]
        one.show()
        viewer.put(b"event: none\ndata: 0\n\n")
        found.append([kind for kind, _ in messages(await viewer.next())])
        world.generation = 2
        one.show()
        found.append([kind for kind, _ in messages(await viewer.next())])
        one.leave(viewer)
        return found

    assert asyncio.run(look()) == [["picture"], ["none"], ["picture"]]


def test_nothing_is_computed_while_nobody_looks(world: World) -> None:
    async def look() -> None:
        live = Live(world.source)
        viewer, leave = live.open(1)
        assert live._rhythms[1]._timer is not None
        timer = live._rhythms[1]._timer
        leave()
        assert timer.cancelled()
        assert not live._rhythms
        assert await viewer.next() is not None  # the picture was there
        assert await viewer.next() is None

    asyncio.run(look())


def test_viewers_of_one_rhythm_share_it(world: World) -> None:
    async def look() -> None:
        live = Live(world.source)
        leaves = [live.open(interval)[1] for interval in (1, 1, 1, 5)]
        assert {interval: len(one.viewers) for interval, one in live._rhythms.items()} == {1: 3, 5: 1}
        for leave in leaves:
            leave()

    asyncio.run(look())


def test_who_does_not_keep_up_misses_ticks_and_is_let_go(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE", 3)

    async def look() -> tuple[int, bytes | None, bytes | None]:
        one, slow = rhythm(world), Viewer()
        one.join(slow)
        ticks = 0
        while slow in one.viewers:
            one._tick()
            ticks += 1
        found = ticks, await slow.next(), await slow.next()
        if one._timer is not None:
            one._timer.cancel()
        return found

    ticks, waiting, end = asyncio.run(look())
    assert ticks == module.QUEUE - 1 + 3 + 1
    assert len(messages(waiting)) == module.QUEUE
    assert end is None


def test_a_picture_that_found_no_room_comes_later(world: World) -> None:
    async def look() -> list[str]:
        one, viewer = rhythm(world), Viewer()
        one.join(viewer)
        while viewer.put(b"event: none\ndata: 0\n\n"):
            pass
        world.generation = 5
        one.show()
        await viewer.next()
        one.show()
        found = [kind for kind, _ in messages(await viewer.next())]
        one.leave(viewer)
        return found

    assert asyncio.run(look()) == ["picture"]


def test_events_are_told_at_once(world: World) -> None:
    async def look() -> list[str]:
        live = Live(world.source)
        viewer, leave = live.open(10)
        await viewer.next()
        world.board.cells[world.board.slot(0) + STATE] = CRASHED
        live.tell({"id": 1})
        found = [kind for kind, _ in messages(await viewer.next())]
        leave()
        return found

    assert asyncio.run(look()) == ["picture", "event"]


def test_there_is_a_last_seat(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "VIEWERS", 2)

    async def look() -> None:
        live = Live(world.source)
        leaves = [live.open(1)[1], live.open(2)[1]]
        with pytest.raises(TooMany):
            live.open(1)
        leaves[0]()
        leaves[0] = live.open(1)[1]
        for leave in leaves:
            leave()

    asyncio.run(look())


def test_a_master_that_is_away_costs_only_the_pids(world: World) -> None:
    async def away() -> dict[str, Any]:
        world.asked += 1
        raise ConnectionError("away")

    world.source.status = away

    async def look() -> list[Any]:
        one = rhythm(world)
        found = []
        for _ in range(2):
            found.append(one.tick()["instances"]["web:0"]["pid"])
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        return found

    assert asyncio.run(look()) == [None, None]
    assert world.asked == 2
