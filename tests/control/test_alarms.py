from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.authority import Authority

from gapura.board import (
    BACKOFF,
    COLUMNS,
    DOWN_AT,
    FIXED,
    H_USED,
    HEALTH,
    READY,
    READY_AT,
    REFUSED,
    SERVED,
    STATE,
    STOPPED,
    UNHEALTHY,
    Board,
)
from gapura.config.load import load
from gapura.config.plan import Plan
from gapura.control.alarms import Alarms
from gapura.control.events import Events
from gapura.control.names import Names
from gapura.events import draft
from gapura.metrics import Metrics

TOML = """
[apps.web]
command = "true"
instances = 2
[upstreams.api]
servers = ["10.0.0.1:3000"]
[sites."web.test"]
proxy = "web"
[sites."api.test"]
proxy = "api"
"""


class World:
    """A board that a test writes, and what is told of it."""

    def __init__(self, folder: Path, text: str = TOML) -> None:
        (folder / "gapura.toml").write_text(text)
        self.plan: Plan = load(str(folder / "gapura.toml"))
        self.board, self.metrics = Board.create(1), Metrics.create()
        slot = 0
        self.slots: dict[str, list[int]] = {}
        for upstream in self.plan["upstreams"].values():
            for server in upstream["servers"]:
                server["slots"] = list(range(slot, slot + (2 if upstream["app"] else 1)))
                slot += len(server["slots"])
                self.slots[server["id"]] = [self.board.slot(number) for number in server["slots"]]
                self.up(server["id"])
        self.loop = asyncio.new_event_loop()
        self.events = Events(self.loop, lambda message, fds=(): None)
        self.alarms = Alarms(self.loop, self.events)
        self.events.apply(self.plan)
        self.alarms.apply(self.plan, self.board, self.metrics, Names(self.plan))

    def put(self, server: str, cell: int, value: int) -> None:
        self.board.cells[self.slots[server][0] + cell] = value

    def up(self, server: str) -> None:
        self.put(server, READY_AT, time.monotonic_ns())
        self.put(server, STATE, READY)

    def look(self) -> list[str]:
        """What has been told after another look, with all that is settled now settled."""
        self.alarms._look_at_servers()
        for outage in [*self.alarms._outages._servers.values(), *self.alarms._outages._upstreams.values()]:
            outage.settle = 0.0
            if outage.since is not None:
                outage.since -= 10.0
        self.alarms._look_at_servers()
        return [f"{event['type']} {event['subject']}" for event in self.events.ring]

    def close(self) -> None:
        self.alarms.stop()
        self.events.stop()
        self.loop.close()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.close()


def crash(world: World, name: str, text: str = "out of memory") -> None:
    world.events.hear({"type": "event", "number": 1, "event": _crashed(name, text)})


def _crashed(name: str, text: str) -> dict[str, Any]:
    return {**draft("app.crashed", name, f"{name}: {text}", "", {})}


def test_all_is_well(world: World) -> None:
    assert world.look() == []


def test_a_crash_takes_a_server_out_with_its_cause(world: World) -> None:
    world.put("web:0", STATE, BACKOFF)
    assert world.look() == [], "a restart by command looks like this, too"
    crash(world, "web:0")
    assert world.look() == ["app.crashed web:0", "server.out web/web:0"]
    assert world.events.ring[-1]["text"] == "web:0 is out: out of memory"
    world.up("web:0")
    assert world.look()[-1] == "server.back web/web:0"


def test_a_crash_of_a_second_process_takes_nobody_out(world: World) -> None:
    crash(world, "web:0")
    assert world.look() == ["app.crashed web:0"]
    world.put("web:0", STATE, STOPPED)
    assert world.look() == ["app.crashed web:0"]


def test_an_old_crash_says_nothing_of_now(world: World) -> None:
    old = {**_crashed("web:0", "x"), "at": "2020-01-01T00:00:00.000Z"}
    world.events.hear({"type": "event", "number": 1, "event": old})
    world.put("web:0", STATE, BACKOFF)
    assert world.look() == ["app.crashed web:0"]


def test_unhealthy(world: World) -> None:
    world.put("web:1", HEALTH, UNHEALTHY)
    assert world.look() == ["server.out web/web:1"]


def test_benched_and_back_only_once_it_has_answered(world: World) -> None:
    server = "10.0.0.1:3000"
    timeout = int(world.plan["upstreams"]["api"]["servers"][0]["fail_timeout"] * 1e9)
    world.put(server, DOWN_AT, time.monotonic_ns() | REFUSED)
    assert world.look() == ["server.out api/10.0.0.1:3000", "upstream.out api"]
    assert "refused" in world.events.ring[0]["text"]
    world.put(server, READY_AT, 1)
    world.put(server, DOWN_AT, (time.monotonic_ns() - 2 * timeout) & ~REFUSED)
    assert len(world.look()) == 2, "its time is over, but nobody has asked it yet"
    world.board.cells[H_USED] = 1
    world.put(server, FIXED + SERVED * COLUMNS, 5)
    assert world.look()[2:] == ["server.back api/10.0.0.1:3000", "upstream.back api"]


def test_an_outage_goes_on_in_the_next_control(tmp_path: Path) -> None:
    first = World(tmp_path)
    first.put("web:0", HEALTH, UNHEALTHY)
    assert first.look() == ["server.out web/web:0"]
    first.close()
    second = World(tmp_path)
    second.put("web:0", HEALTH, UNHEALTHY)
    assert second.look() == ["server.out web/web:0"], "it was told already"
    second.up("web:0")
    second.put("web:0", HEALTH, 0)
    assert second.look() == ["server.out web/web:0", "server.back web/web:0"]
    second.close()


def test_errors_are_counted_by_site(world: World) -> None:
    for row, site in enumerate(world.plan["sites"], 1):
        site["row"] = row
    world.alarms.apply(world.plan, world.board, world.metrics, Names(world.plan))
    assert dict(world.alarms._counts()) == {"web.test": (0, 0), "api.test": (0, 0)}


def test_certificates_in_files_are_looked_at(tmp_path: Path) -> None:
    certificate, key = Authority(tmp_path).issue("web.test", file="web", days=2, age=60)
    site = f'[sites."web.test"]\nrespond = "x"\ntls = {{ certificate = "{certificate}", key = "{key}" }}\n'
    world = World(tmp_path, f"[edge]\nhttps = 8443\n{site}")
    world.alarms._look()
    [event] = world.events.ring
    assert (event["type"], event["severity"], event["data"]["days"]) == ("certificate.expires", "error", 3)
    world.alarms._dated = -1e9
    world.alarms._look()
    assert len(world.events.ring) == 1
    Path(certificate).write_text("no certificate")
    world.alarms._dated = -1e9
    world.alarms._look()
    world.close()
