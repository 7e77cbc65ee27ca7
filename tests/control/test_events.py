from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from tests.control.receiver import Receiver, run, silence, until

from gapura.config.plan import Plan
from gapura.config.plan_events import EventsPlan, default
from gapura.control.event_limit import MOST
from gapura.control.events import KEPT, Events, open_states
from gapura.events import Draft, draft


def plan(folder: Path, **words: Any) -> Plan:
    events: EventsPlan = {**default(str(folder)), **words}  # type: ignore[typeddict-item]
    paths = {"run": str(folder), "logs": str(folder), "lib": str(folder)}
    return cast(Plan, {"paths": paths, "edge": {"user": ""}, "events": events})


def hook(url: str, **words: Any) -> dict[str, Any]:
    made = {"url": url, "url_file": "", "format": "json", "chat": "", "headers": {}, "secret_file": "", "only": [], "timeout": 20.0}
    return {**made, "ca": "", **words}


class Sent:
    """What the master was told."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []

    def __call__(self, message: dict[str, Any], fds: tuple[int, ...] = ()) -> None:
        self.messages.append(message)

    def heard(self) -> list[int]:
        return [message["number"] for message in self.messages if message["type"] == "heard"]


def stream(sent: Sent | None = None) -> Events:
    return Events(asyncio.get_running_loop(), sent or Sent())


def message(number: int, event: Draft | None = None) -> dict[str, Any]:
    return {"type": "event", "number": number, "event": event or draft("app.ready", f"web:{number}", "ready", "", {}, now=number)}


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "events.log").read_text().splitlines()]


def test_events_wait_for_the_first_plan_and_are_confirmed_once_written(tmp_path: Path) -> None:
    async def journey() -> None:
        sent = Sent()
        events = stream(sent)
        events.hear(message(1))
        events.tell("app.crashed", "web:1", "it crashed", hint="x")
        assert sent.heard() == []
        events.apply(plan(tmp_path))
        assert [event["id"] for event in events.ring] == [1, 2]
        assert sent.heard() == [1]
        assert [line["type"] for line in lines(tmp_path)] == ["app.ready", "app.crashed"]
        events.stop()

    run(journey())


def test_the_numbers_and_the_memory_outlive_the_process(tmp_path: Path) -> None:
    async def journey() -> None:
        before = stream()
        before.apply(plan(tmp_path))
        for number in range(MOST):
            before.tell("app.ready", f"web:{number}", "ready")
        before.stop()
        after = stream()
        restored: list[int] = []
        after.restored = lambda found: restored.append(len(found))
        after.apply(plan(tmp_path))
        assert restored == [MOST]
        assert list(after.ring) == list(before.ring)
        after.tell("app.ready", "web:x", "ready")
        assert after.ring[-1]["id"] == MOST + 1
        after.stop()

    run(journey())


def test_what_the_one_before_took_down_without_saying_so_is_no_second_event(tmp_path: Path) -> None:
    async def journey() -> None:
        first, second = message(1), message(2)
        before = stream()
        before.apply(plan(tmp_path))
        before.hear(first)
        before.stop()
        sent = Sent()
        after = stream(sent)
        after.hear(first)
        after.hear(second)
        after.apply(plan(tmp_path))
        assert [event["subject"] for event in after.ring] == ["web:1", "web:2"]
        assert sent.heard() == [1, 2]
        after.stop()

    run(journey())


def test_two_of_them_never_give_the_same_number(tmp_path: Path) -> None:
    async def journey() -> None:
        leaving, coming = stream(), stream()
        leaving.apply(plan(tmp_path))
        coming.apply(plan(tmp_path))
        coming.tell("app.ready", "web:new", "ready")
        leaving.tell("app.ready", "web:old", "ready")
        assert not coming.ring
        leaving.stop()
        await until(lambda: coming.ring)
        assert [(line["id"], line["subject"]) for line in lines(tmp_path)] == [(1, "web:old"), (2, "web:new")]
        coming.stop()

    run(journey())


def test_rotation_goes_on_in_a_new_file(tmp_path: Path) -> None:
    async def journey() -> None:
        events = stream()
        events.apply(plan(tmp_path))
        events.tell("app.ready", "web:1", "ready")
        os.rename(tmp_path / "events.log", tmp_path / "events.log-20261122T000000Z")
        events.reopen()
        events.tell("app.ready", "web:2", "ready")
        assert [(line["id"], line["type"]) for line in lines(tmp_path)] == [(1, "events.continued"), (2, "app.ready")]
        events.stop()

    run(journey())


def test_a_storm_becomes_a_summary(tmp_path: Path) -> None:
    async def journey() -> None:
        events = stream()
        loop_time = asyncio.get_running_loop().time
        now = [0.0]
        events._loop = type("Loop", (), {"time": lambda self: loop_time() + now[0], "call_at": lambda *_: None})()  # type: ignore[assignment]
        events.apply(plan(tmp_path))
        for number in range(MOST + 37):
            events.tell("app.crashed", f"web:{number}", "it crashed")
        assert len(events.ring) == MOST
        now[0] = 61.0
        events._summarize()
        assert events.ring[-1]["type"] == "events.more"
        assert events.ring[-1]["severity"] == "error"
        assert events.ring[-1]["text"].startswith("and 37 more: app.crashed")
        events._timers.clear()
        events.stop()

    run(journey())


def test_the_memory_is_bounded_and_who_comes_back_gets_what_is_left(tmp_path: Path) -> None:
    async def journey() -> None:
        events = stream()
        events._limit.most = 10 * KEPT
        events.apply(plan(tmp_path, log=""))
        for number in range(KEPT + 10):
            events.tell("app.ready" if number % 2 else "server.out", f"web:{number}", "x")
        assert len(events.ring) == KEPT
        assert len(events.since(0)) == KEPT
        assert [event["id"] for event in events.since(KEPT + 7)] == [KEPT + 8, KEPT + 9, KEPT + 10]
        assert len(events.since(10**9)) == KEPT, "a number of another life"
        assert all(event["type"] == "server.out" for event in events.since(0, ["warning"]))
        assert len(events.since(0, [], 3)) == 3
        events.stop()

    run(journey())


def test_a_listener_that_fails_harms_nobody(tmp_path: Path) -> None:
    async def journey() -> None:
        events, seen = stream(), []

        def fail(event: object) -> None:
            raise RuntimeError("x")

        events.subscribe(fail)
        leave = events.subscribe(seen.append)
        events.apply(plan(tmp_path))
        events.tell("app.ready", "web:1", "x")
        leave()
        leave()
        events.tell("app.ready", "web:2", "x")
        assert [event["subject"] for event in seen] == ["web:1"]
        events.stop()

    run(journey())


def test_a_log_that_cannot_be_written_is_told_to_the_others(tmp_path: Path) -> None:
    async def journey() -> None:
        (tmp_path / "events.log").mkdir()
        events = stream()
        events.apply(plan(tmp_path))
        for number in range(3):
            events.tell("app.ready", f"web:{number}", "x")
        assert [event["type"] for event in events.ring] == ["app.ready", "log.failed", "app.ready", "app.ready"]
        (tmp_path / "events.log").rmdir()
        events.tell("app.ready", "web:9", "x")
        assert events.ring[-1]["type"] == "log.back"
        assert "4 lines are missing" in events.ring[-1]["text"]
        assert [line["type"] for line in lines(tmp_path)] == ["app.ready", "log.back"]
        events.stop()

    run(journey())


def test_sinks_that_stay_keep_what_waits(tmp_path: Path) -> None:
    async def journey() -> None:
        async with Receiver(silence) as slow, Receiver() as quick:
            events = stream()
            events.apply(plan(tmp_path, webhooks=[hook(slow.url), hook(quick.url)]))
            events.tell("app.ready", "web:1", "x")
            await until(lambda: quick.posts and slow.posts)
            first, second = events.sinks
            events.apply(plan(tmp_path, webhooks=[hook(slow.url)], error_share=0.5))
            assert events.sinks == [first]
            assert first.waiting == 1
            assert second.waiting == 0
            assert events.busy
            events.apply(plan(tmp_path, webhooks=[hook(slow.url, timeout=1.0)]))
            assert events.sinks != [first]
            assert first.waiting == 0
            await events.close(0.0)

    run(journey())


def test_a_test_reaches_everybody_and_tells_each_outcome(tmp_path: Path) -> None:
    async def journey() -> None:
        async with Receiver() as good, Receiver(b"HTTP/1.1 403 No\r\n\r\n") as bad:
            events = stream()
            command = {"command": "exit 3", "only": ["error"], "timeout": 20.0}
            events.apply(plan(tmp_path, webhooks=[hook(good.url, only=["error"]), hook(bad.url)], on_event=command))
            outcomes = await events.test()
            assert [outcome["problem"] for outcome in outcomes] == [
                "",
                "",
                "it answered with status 403",
                "it ended with status 3",
            ]
            assert json.loads(good.posts[0].body)["type"] == "events.test"
            assert len(good.posts) == len(bad.posts) == 1
            assert lines(tmp_path)[-1]["type"] == "events.test"
            events.stop()

    run(journey())


def test_secrets_are_borrowed_from_the_master(tmp_path: Path) -> None:
    async def journey() -> None:
        async with Receiver() as receiver:
            sent = Sent()
            events = stream(sent)
            events.apply(plan(tmp_path, webhooks=[hook("", url_file="/secret/url")]))
            assert {"type": "lend", "id": "events:/secret/url", "kind": "file", "name": "/secret/url"} in sent.messages
            assert not events.lent({"type": "lent", "id": 7}, [])
            (tmp_path / "url").write_text(f"  {receiver.url} \nsecond line\n")
            fd = os.open(tmp_path / "url", os.O_RDONLY)
            assert events.lent({"type": "lent", "id": "events:/secret/url"}, [fd])
            os.close(fd)
            [_, outcome] = await events.test()
            assert outcome["problem"] == ""
            assert events.lent({"type": "lent", "id": "events:/secret/url", "error": "gone"}, [])
            assert "cannot be read" in (await events.test())[1]["problem"]
            events.stop()

    run(journey())


def test_no_master_for_a_moment_is_no_event(tmp_path: Path) -> None:
    async def journey() -> None:
        events = stream()
        timers: list[Callable[[], None]] = []
        loop = asyncio.get_running_loop()
        events.apply(plan(tmp_path))
        events.lose_master()
        events.find_master()
        assert not events._timers
        events.lose_master()
        timers.append(cast(Any, events._timers["alone"])._callback)
        timers[0]()
        assert events.ring[-1]["type"] == "gapura.orphaned"
        events.stop()
        assert loop.time() > 0

    run(journey())


def test_what_the_master_says_wrongly_is_passed_over(tmp_path: Path) -> None:
    async def journey() -> None:
        events = stream()
        events.apply(plan(tmp_path))
        for wrong in ({}, {"event": None, "number": 1}, {"event": {"type": "x"}, "number": 1}, {**message(1), "number": "1"}):
            events.hear({"type": "event", **wrong})
        assert not events.ring
        events.stop()

    run(journey())


def test_states_that_are_still_open() -> None:
    told = [
        draft("server.out", "a", "", "", {}, now=1.0),
        draft("server.out", "b", "", "", {}, now=2.0),
        draft("server.back", "a", "", "", {}, now=3.0),
        draft("app.ready", "b", "", "", {}, now=4.0),
    ]
    assert open_states(told, "server.out", "server.back") == {"b": 2.0}
