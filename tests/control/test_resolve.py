"""Names are followed, changes are told, and nothing waits for a resolver."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, cast

import pytest

from gapura.config.plan import Plan
from gapura.control import resolve
from gapura.control.resolve import Resolver

Told = tuple[str, str, int, list[str]]


def plan(known: dict[str, list[str]], port: int = 80) -> Plan:
    """A plan with an upstream "u-NAME" for each name, which knows these addresses."""
    upstreams = {
        f"u-{host}": {
            "name": f"u-{host}",
            "servers": [{"host": address, "name": f"{host}:{port}"} for address in addresses],
            "names": [{"host": host, "port": port, "server": {}}],
        }
        for host, addresses in known.items()
    }
    return cast(Plan, {"upstreams": upstreams})


class Names:
    """A resolver whose answers the test sets; it also counts the questions."""

    def __init__(self, **answers: list[str]) -> None:
        self.answers = answers
        self.asked: list[str] = []
        self.told: list[Told] = []

    def lookup(self, host: str) -> list[str]:
        self.asked.append(host)
        return self.answers.get(host, [])

    def changed(self, *what: Any) -> None:
        self.told.append(cast(Told, what))

    async def until_asked(self, times: int) -> None:
        while len(self.asked) < times:
            await asyncio.sleep(0.005)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolve, "PERIOD", 0.04)
    monkeypatch.setattr(resolve, "IMPATIENT", 0.02)
    monkeypatch.setattr(resolve, "LIMIT", 0.05)


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(coroutine, 90))


def test_a_change_is_told_and_the_same_again_is_not() -> None:
    async def journey() -> None:
        names = Names(db=["10.0.0.1", "10.0.0.2"])
        resolver = Resolver(asyncio.get_running_loop(), names.changed, names.lookup)
        resolver.apply(plan({"db": ["10.0.0.2", "10.0.0.1"]}))
        await names.until_asked(3)
        assert names.told == []
        names.answers["db"] = ["10.0.0.3"]
        while not names.told:
            await asyncio.sleep(0.005)
        assert names.told[0] == ("u-db", "db", 80, ["10.0.0.3"])
        resolver.apply(plan({"db": ["10.0.0.3"]}))
        names.told.clear()
        await names.until_asked(len(names.asked) + 3)
        assert names.told == []
        resolver.stop()

    run(journey())


def test_a_name_that_stops_resolving_keeps_its_addresses() -> None:
    async def journey() -> None:
        names = Names()
        resolver = Resolver(asyncio.get_running_loop(), names.changed, names.lookup)
        resolver.apply(plan({"db": ["10.0.0.1"]}))
        await names.until_asked(4)
        assert names.told == []
        resolver.stop()

    run(journey())


def test_a_name_in_two_upstreams_is_asked_once_and_told_to_both() -> None:
    async def journey() -> None:
        names = Names(db=["10.0.0.9"])
        both = plan({"db": []})
        both["upstreams"]["other"] = {**both["upstreams"]["u-db"], "name": "other"}
        resolver = Resolver(asyncio.get_running_loop(), names.changed, names.lookup)
        resolver.apply(both)
        while len(names.told) < 2:
            await asyncio.sleep(0.005)
        assert len(names.asked) == 1
        assert {told[0] for told in names.told} == {"u-db", "other"}
        resolver.stop()

    run(journey())


def test_a_name_that_left_the_plan_is_not_asked_any_more() -> None:
    async def journey() -> None:
        names = Names(db=["10.0.0.1"], web=["10.0.0.2"])
        resolver = Resolver(asyncio.get_running_loop(), names.changed, names.lookup)
        resolver.apply(plan({"db": ["10.0.0.1"], "web": ["10.0.0.2"]}))
        await names.until_asked(2)
        resolver.apply(plan({"web": ["10.0.0.2"]}))
        await names.until_asked(len(names.asked) + 1)  # a lookup that was under way may still be counted
        names.asked.clear()
        await names.until_asked(3)
        assert set(names.asked) == {"web"}
        resolver.stop()

    run(journey())


def test_a_hanging_lookup_holds_up_neither_the_loop_nor_other_names_nor_is_it_doubled() -> None:
    release = threading.Event()
    asked: list[str] = []

    def lookup(host: str) -> list[str]:
        asked.append(host)
        if host == "stuck":
            release.wait(20)
        return ["10.0.0.1"]

    async def journey() -> None:
        told: list[Told] = []
        resolver = Resolver(asyncio.get_running_loop(), lambda *what: told.append(what), lookup)
        resolver.apply(plan({"stuck": [], "db": ["10.0.0.1"]}))
        while asked.count("db") < 8:
            await asyncio.sleep(0.005)
        assert asked.count("stuck") == 1
        release.set()
        while not told:
            await asyncio.sleep(0.005)
        assert told[0] == ("u-stuck", "stuck", 80, ["10.0.0.1"])
        resolver.stop()

    run(journey())


@pytest.mark.parametrize("name", ["", "a..b", "x" * 300])
def test_names_that_cannot_resolve(name: str) -> None:
    assert resolve.lookup(name) == []


def test_lookup_of_numbers_needs_no_server() -> None:
    assert resolve.lookup("127.0.0.1") == ["127.0.0.1"]
    assert resolve.lookup("localhost")
