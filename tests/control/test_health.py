"""Who is watched under a plan, and that many servers are not asked in one moment."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from typing import Any, cast

import pytest

from gapura.board import HEALTH, HEALTHY, READY, READY_AT, STATE, UNHEALTHY, Board
from gapura.config.plan import Plan
from gapura.control.health import Health

HEALTH_PLAN = {"path": "/", "host": "x", "interval": 1.0, "timeout": 1.0, "misses": 2, "hits": 1, "fast_interval": 0.2}


@pytest.fixture
def board() -> Iterator[Board]:
    one = Board.create(1)
    yield one
    one.close()
    os.close(one.fd)


def plan(board: Board, count: int, health: Any = HEALTH_PLAN, name: str = "api", **words: Any) -> Plan:
    """An upstream of so many servers on UNIX sockets that are not there, on slots from 0."""
    servers = []
    for slot in range(count):
        at = board.slot(slot)
        board.cells[at + STATE] = READY
        board.cells[at + READY_AT] = 1
        server = {"id": f"unix:/none/{slot}", "host": "", "port": 0, "path": f"/none/{slot}", "slots": [slot], "down": False}
        servers.append(server | {"max_fails": 1, "fail_timeout": 10.0, "max_conns": 0, "backup": False} | words)
    upstream = {"name": name, "app": False, "servers": servers, "health": health, "tls": None}
    return cast(Plan, {"edge": {"user": ""}, "paths": {"run": ""}, "upstreams": {name: upstream}})


async def stopped(health: Health) -> None:
    """Stopped, and what was to be called in a moment has been called."""
    health.stop()
    await asyncio.sleep(0)


def test_first_checks_are_spread_over_an_interval(board: Board) -> None:
    async def journey() -> None:
        health = Health(asyncio.get_running_loop(), board)
        before = time.monotonic_ns()
        health.apply(plan(board, 1000))
        dues = sorted(watch.due - before for watch in health.watches.values())
        assert len(dues) == 1000
        in_a_tenth = [
            sum(start <= due < start + 100_000_000 for due in dues) for start in range(100_000_000, 900_000_000, 100_000_000)
        ]
        assert max(in_a_tenth) <= 110
        await stopped(health)

    asyncio.run(journey())


def test_a_reload_keeps_what_is_known_of_a_server_and_begins_anew_for_another(board: Board) -> None:
    async def journey() -> None:
        health = Health(asyncio.get_running_loop(), board)
        health.apply(plan(board, 2))
        first = health.watches[0]
        health.apply(plan(board, 2, HEALTH_PLAN | {"path": "/ready"}))
        assert health.watches[0] is first
        assert first.request.startswith(b"GET /ready ")
        assert first.peers == [health.watches[1]]
        health.apply(plan(board, 2, name="other"))
        assert health.watches[0] is not first
        await stopped(health)

    asyncio.run(journey())


@pytest.mark.parametrize(("health_plan", "words"), [(None, {}), (HEALTH_PLAN, {"down": True})])
def test_who_is_not_watched_is_healthy(board: Board, health_plan: Any, words: dict[str, Any]) -> None:
    async def journey() -> None:
        health = Health(asyncio.get_running_loop(), board)
        unwatched = plan(board, 1, health_plan, **words)
        board.cells[board.slot(0) + HEALTH] = UNHEALTHY
        health.apply(unwatched)
        assert health.watches == {}
        assert board.cells[board.slot(0) + HEALTH] == HEALTHY
        await stopped(health)

    asyncio.run(journey())


def test_a_server_without_a_slot_is_nobody_yet(board: Board) -> None:
    async def journey() -> None:
        health = Health(asyncio.get_running_loop(), board)
        health.apply(plan(board, 3, slots=[]))
        assert health.watches == {}
        await stopped(health)

    asyncio.run(journey())


def test_a_dead_server_is_found_out_while_another_can_answer(board: Board) -> None:
    """Both are dead: the first to fail is out, the last one stays."""

    async def journey() -> None:
        health = Health(asyncio.get_running_loop(), board)
        health.apply(plan(board, 2, HEALTH_PLAN | {"interval": 0.02}))
        cells = [board.slot(slot) + HEALTH for slot in range(2)]
        async with asyncio.timeout(20):
            while not any(watch.misses > 4 for watch in health.watches.values()):
                await asyncio.sleep(0.01)
        assert sorted(board.cells[cell] for cell in cells) == [HEALTHY, UNHEALTHY]
        await stopped(health)

    asyncio.run(journey())
