"""Events through the API: those of the past, and those to come."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from gapura.control.api import events as module

from .world import World, events


def test_without_any_there_is_nothing(world: World) -> None:
    assert world.ask("GET", "/v1/events").json == {"events": []}
    assert world.ask("POST", "/v1/events/test").json == {"sinks": []}


def test_the_past_is_told_by_number_kind_and_severity(world: World) -> None:
    async def ask() -> list[list[int]]:
        world.context.events = stream = events(world)
        stream.tell("app.ready", "web:0", "it is ready")
        stream.tell("app.crashed", "web:0", "it ended")
        stream.tell("server.out", "web/web:0", "it is out")
        found = []
        for query in ("", "?since=1", "?only=app", "?only=error", "?only=server.out&only=app.ready", "?limit=1"):
            answer = await world.request("GET", f"/v1/events{query}")
            found.append([event["id"] for event in answer.json["events"]])
        stream.stop()
        return found

    assert asyncio.run(ask()) == [[1, 2, 3], [2, 3], [1, 2], [2], [1, 3], [3]]


def test_whoever_follows_hears_the_past_and_what_comes(world: World) -> None:
    async def follow() -> list[tuple[int, str]]:
        world.context.events = stream = events(world)
        stream.tell("app.ready", "web:0", "it is ready")
        stream.tell("app.crashed", "web:0", "it ended")
        pieces = module._follow(world.context, 1, ("app",), 100)
        found = [await anext(pieces)]
        stream.tell("server.out", "web/web:0", "it is out")
        stream.tell("app.ready", "web:0", "again")
        found.append(await anext(pieces))
        await pieces.aclose()  # type: ignore[attr-defined]
        assert not stream._listeners
        stream.stop()
        return [told(piece) for piece in found]

    assert asyncio.run(follow()) == [(2, "it ended"), (4, "again")]
    assert module._listening == 0


def test_who_does_not_keep_up_is_let_go(world: World) -> None:
    async def follow() -> int:
        world.context.events = stream = events(world)
        pieces = module._follow(world.context, 0, (), 100)
        await anext(pieces)
        for number in range(50):
            stream.tell("app.ready", f"web:{number}", "it is ready")
        found = [piece async for piece in pieces]
        stream.stop()
        return sum(piece.count(b"event: event") for piece in found)

    assert 0 < asyncio.run(follow()) < 50


def test_not_everybody_may_listen_at_the_same_time(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LISTENERS", 0)
    assert world.ask("GET", "/v1/events", accept="text/event-stream").status == 429


def told(piece: bytes) -> tuple[int, str]:
    first, kind, data = piece.decode().strip().split("\n")
    event: dict[str, Any] = json.loads(data.removeprefix("data: "))
    assert (first, kind) == (f"id: {event['id']}", "event: event")
    return event["id"], event["text"]
