"""A scene: servers with their slots on a real board, without any process."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from gapura.balance.server import Server
from gapura.balance.upstream import Upstream, upstream_of
from gapura.board import H_USED, READY, READY_AT, STATE, Board
from gapura.config.plan import ServerPlan, UpstreamPlan

SECOND = 1_000_000_000


def server_plan(identity: str, slots: list[int], **settings: Any) -> ServerPlan:
    """A server with nginx's defaults; `settings` replace them."""
    host, _, port = identity.rpartition(":")
    plan: dict[str, Any] = {"id": identity, "host": host.strip("[]"), "port": int(port), "path": "", "name": ""}
    plan |= {
        "weight": 1,
        "max_fails": 1,
        "fail_timeout": 10.0,
        "max_conns": 0,
        "backup": False,
        "down": False,
        "slots": slots,
        "slow_start": None,
    }
    if len(slots) > 1:
        plan |= {"host": "127.0.0.1", "port": 0}
    return plan | settings  # type: ignore[return-value]


class Scene:
    """A board, the plan of one upstream, and its `Upstream` in column 0. `now` is the clock; tests move it.

    Each item of `servers` is a dictionary of settings. Servers are named a:1, b:1, … unless `id` says otherwise.
    """

    def __init__(self, servers: list[dict[str, Any]], columns: int = 1, slots_each: int = 1, **upstream: Any) -> None:
        self.now = 1_000 * SECOND
        self.board = Board.create(self.now)
        self.cells = self.board.cells
        self.cells[H_USED] = columns
        plans = []
        for number, settings in enumerate(servers):
            slots = [number * slots_each + turn for turn in range(slots_each)]
            plans.append(server_plan(settings.get("id", f"{chr(97 + number)}:1"), slots, **settings))
            self.put(slots[0], STATE, READY)
            self.put(slots[0], READY_AT, self.now - 100 * SECOND)
        self.plan: UpstreamPlan = {
            "name": "u", "app": slots_each > 1, "policy": "round_robin", "key": "", "consistent": False, "servers": plans,
            "names": [], "health": None, "hold": 3.0, "connect_timeout": 2.0, "read_timeout": 60.0, "send_timeout": 60.0,
            "tries": 0, "keepalive": 32, "keepalive_timeout": 60.0,
            "sticky": None, "queue": None, "queue_timeout": None, "tls": None,
        }  # fmt: skip
        self.plan.update(upstream)  # type: ignore[typeddict-item]
        self.upstream = upstream_of(self.plan, self.board, 0)
        self.servers = self.upstream.servers

    def put(self, slot: int, cell: int, value: int) -> None:
        """Write a cell as the master or control would."""
        self.cells[self.board.slot(slot) + cell] = value

    def get(self, slot: int, cell: int) -> int:
        return int(self.cells[self.board.slot(slot) + cell])

    def worker(self, column: int, previous: Upstream | None = None) -> Upstream:
        """The same upstream as another worker sees it."""
        return Upstream(self.plan, self.board, column, previous)

    def pick(self, key: bytes = b"", tried: list[Server] | None = None, upstream: Upstream | None = None) -> Server | None:
        """Claim and release at once."""
        upstream = upstream or self.upstream
        server = upstream.claim(self.now, key, tried)
        if server is not None:
            upstream.release(server, server.slot)
        return server

    def row(self, picks: int, **arguments: Any) -> str:
        """The first letters of so many picks in a row; "-" where no server was eligible."""
        found = (self.pick(**arguments) for _ in range(picks))
        return "".join(server.id[0] if server else "-" for server in found)

    def fail(self, server: Server, upstream: Upstream | None = None, refused: bool = True, opened_at: int | None = None) -> None:
        (upstream or self.upstream).failed(server, server.slot, self.now if opened_at is None else opened_at, self.now, refused)

    def answer(self, server: Server, upstream: Upstream | None = None, latency_ns: int = 1_000_000) -> None:
        (upstream or self.upstream).answered(server, server.slot, self.now, self.now, latency_ns)

    def pass_time(self, seconds: float) -> None:
        self.now += int(seconds * SECOND)

    def close(self) -> None:
        self.board.close()
        os.close(self.board.fd)


@pytest.fixture(scope="session")
def new_scene() -> type[Scene]:
    """The class itself, for property tests that need a scene per example and close it themselves."""
    return Scene


@pytest.fixture
def scene() -> Iterator[Callable[..., Scene]]:
    """Makes scenes that are closed when the test is over."""
    made: list[Scene] = []

    def make(*servers: dict[str, Any], **settings: Any) -> Scene:
        made.append(Scene(list(servers), **settings))
        return made[-1]

    yield make
    for item in made:
        item.close()
