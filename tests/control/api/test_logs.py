"""Logs through the API: only files of the plan, no links, followed through renaming."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from gapura.control.api import logs as module

from .world import World

PATH = "/v1/apps/shop/instances/0/log"
LINE = '127.0.0.1 - - [22/Nov/2026:20:00:0{0} +0000] "GET /{0} HTTP/1.1" {1} 5 "-" "-" id{0} s:1 1 {2} 0.001\n'


def log_of(world: World) -> Path:
    return Path(world.plan["paths"]["logs"]) / "shop-0.log"


def test_the_last_lines_of_an_instance(world: World) -> None:
    assert world.ask("GET", PATH).json == {"lines": []}
    log_of(world).write_text("2026-11-22T14:03:07.123 one\ntwo\n2026-11-22T14:03:08.000 three\nhalf")
    assert world.ask("GET", f"{PATH}?lines=2").json == {
        "lines": [{"at": "", "text": "two"}, {"at": "2026-11-22T14:03:08.000", "text": "three"}]
    }


def test_a_link_in_the_log_s_place_is_not_followed(world: World, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("hush\n")
    log_of(world).symlink_to(tmp_path / "secret")
    answer = world.ask("GET", PATH)
    assert answer.status == 403
    assert b"hush" not in answer.body


def test_what_control_may_not_open_is_lent_by_the_master(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    log_of(world).write_text("one\n")
    lent: list[tuple[str, str]] = []

    def refuse(path: str) -> int:
        raise PermissionError(path)

    async def lend(kind: str, name: str) -> int:
        lent.append((kind, name))
        return os.open(log_of(world), os.O_RDONLY)

    monkeypatch.setattr(module, "open_log", refuse)
    assert world.ask("GET", PATH).status == 403
    monkeypatch.setattr(world.context, "lend", lend)
    assert world.ask("GET", PATH).json["lines"] == [{"at": "", "text": "one"}]
    assert lent == [("log", "shop:0")]


def test_a_log_is_followed_through_renaming(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSE", 0.001)
    monkeypatch.setattr(module, "RENAMED", 0.01)
    log = log_of(world)
    log.write_text("one\n")

    async def follow() -> list[bytes]:
        async def opened() -> int:
            return module.open_log(str(log))

        pieces = module._follow(module.Tail(await opened()), opened, 10, module._line)
        found = [await anext(pieces)]
        log.rename(log.with_suffix(".1"))
        with log.with_suffix(".1").open("a") as stream:
            stream.write("two\n")
        found.append(await anext(pieces))
        log.write_text("three\n")
        found.append(await anext(pieces))
        await pieces.aclose()  # type: ignore[attr-defined]
        return found

    texts = [piece.split(b'"text": "')[1].split(b'"')[0] for piece in asyncio.run(follow())]
    assert texts == [b"one", b"two", b"three"]
    assert module._following == 0


def test_a_log_that_comes_later_is_followed_too(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSE", 0.001)
    monkeypatch.setattr(module, "RENAMED", 0.0)

    async def follow() -> bytes:
        async def opened() -> int:
            return module.open_log(str(log_of(world)))

        pieces = module._follow(None, opened, 10, module._line)
        waiting = asyncio.ensure_future(anext(pieces))
        await asyncio.sleep(0)
        log_of(world).write_text("late\n")
        found = await waiting
        await pieces.aclose()  # type: ignore[attr-defined]
        return found

    assert b"late" in asyncio.run(follow())


def test_not_everybody_may_follow_at_the_same_time(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FOLLOWERS", 0)
    assert world.ask("GET", PATH, accept="text/event-stream").status == 429


def access_log(world: World) -> Path:
    return Path(world.plan["edge"]["access_log"]["path"])


def lines(world: World, query: str) -> list[str]:
    return [line["fields"]["request_uri"] for line in world.ask("GET", f"/v1/logs/access{query}").json["lines"]]


def test_access_lines_are_filtered(world: World) -> None:
    assert world.ask("GET", "/v1/logs/access").json == {"lines": []}
    written = [LINE.format(number, status, took) for number, status, took in ((1, 200, 0.1), (2, 404, 2.5), (3, 502, 0.2))]
    access_log(world).write_text("".join(written))
    assert lines(world, "") == ["/1", "/2", "/3"]
    assert lines(world, "?lines=1") == ["/3"]
    assert lines(world, "?status=404") == ["/2"]
    assert lines(world, "?status=4xx,500-599") == ["/2", "/3"]
    assert lines(world, "?slow=1") == ["/2"]
    found = world.ask("GET", "/v1/logs/access?lines=1").json["lines"][0]
    assert (found["file"], found["fields"]["status"]) == ("access.log", 502)


def test_a_site_s_lines_need_a_log_of_its_own_or_json(world: World) -> None:
    answer = world.ask("GET", "/v1/logs/access?site=shop.test")
    assert answer.status == 409
    assert "access_log" in answer.json["hint"]
    plan: Any = world.plan
    plan["edge"]["access_log"] = {**plan["edge"]["access_log"], "format": "json"}
    stamp = '"time_iso8601":"2026-11-22T20:00:00+00:00","status":200,"remote_addr":"::1","request_method":"GET"'
    access_log(world).write_text(
        f'{{{stamp},"request_uri":"/a","site":"shop.test"}}\n{{{stamp},"request_uri":"/b","site":"api.test"}}\n'
    )
    assert lines(world, "?site=shop.test") == ["/a"]
    plan["edge"]["access_log"] = {**plan["edge"]["access_log"], "format": "$status"}
    assert world.ask("GET", "/v1/logs/access?status=404").status == 409
    plan["edge"]["access_log"] = {**plan["edge"]["access_log"], "path": "-"}
    assert world.ask("GET", "/v1/logs/access").status == 409
