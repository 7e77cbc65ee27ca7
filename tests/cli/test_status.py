"""`status` and `ps`, for people and for scripts."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gapura.cli import render, status

from .conftest import FakeMaster, document, instance


def test_json_is_the_masters_document_unchanged(master: FakeMaster, gapura: Any) -> None:
    assert json.loads(gapura("status", "--json").out) == document()


def test_the_overview_for_people(master: FakeMaster, gapura: Any) -> None:
    out = gapura("status").out
    assert "Gapura 9.9.9, generation 3: master 101, control 102, 2 workers (103, 104)" in out
    assert "Listening on 127.0.0.1:8099" in out
    assert "http://shop.localhost:8099\n  /            → shop" in out
    assert "any other host, port 8099\n  /            files in /srv" in out
    assert "api (least_conn)" in out
    lines = [line.split() for line in out.splitlines()]
    assert ["127.0.0.1:3000", "unhealthy", "2", "0", "7", "0"] in lines
    assert ["127.0.0.1:3002", "up", "1", "backup", "0", "7", "0"] in lines
    assert ["shop:0", "127.0.0.1:5000", "up", "1", "0", "7", "0"] in lines
    assert ["shop:1", "crashed", "1", "0", "7", "0"] in lines


def test_a_worker_that_lags_behind_is_named(master: FakeMaster, gapura: Any) -> None:
    late = document()
    late["workers"][1]["generation"] = 2
    late["control"]["pid"] = None
    late["upstreams"][0]["servers"] = []
    master.says["status"] = [master.ok(**late)]
    out = gapura("status").out
    assert "Not yet on this generation: 104" in out
    assert "control starting" in out
    assert "no server: its name does not resolve" in out


def test_ps_shows_every_process_and_why_one_does_not_run(master: FakeMaster, gapura: Any) -> None:
    out = gapura("ps").out
    lines = [line.split() for line in out.splitlines()]
    assert ["shop:0", "ready", "4000", "127.0.0.1:5000", "0", "25.0", "MB", "1", "h", "1", "min"] in lines
    assert ["shop:1", "crashed", "0"] in lines
    assert "shop:1 crashed: port 5001 is held by pid 9202, node server.js" in out
    assert "  stop it, or choose another port" in out
    assert "  | Error: listen EADDRINUSE" in out


def test_a_crash_loop_is_called_one(master: FakeMaster, gapura: Any) -> None:
    words = {"state": "backoff", "looping": True, "returns_seconds": 12.8, "cause": "crash loop, 3 failures in a row: x"}
    master.says["status"] = [master.ok(**(document() | {"apps": [{"name": "shop", "instances": [instance(0, **words)]}]}))]
    assert "shop:0 backoff: crash loop, 3 failures in a row: x; started again in 12 s" in gapura("ps").out


def test_ps_as_json_holds_the_cause(master: FakeMaster, gapura: Any) -> None:
    apps = json.loads(gapura("ps", "--json").out)
    assert [one["index"] for one in apps[0]["instances"]] == [0, 1]
    assert "9202" in apps[0]["instances"][1]["cause"]


def test_ps_without_apps(master: FakeMaster, gapura: Any) -> None:
    master.says["status"] = [master.ok(**(document() | {"apps": []}))]
    assert gapura("ps").out == "The configuration has no apps.\n"


@pytest.mark.parametrize(
    ("words", "worth"),
    [
        ({"state": "ready", "cause": "it crashed before"}, False),
        ({"state": "starting", "cause": "connection refused", "uptime_seconds": 1.0}, False),
        ({"state": "starting", "cause": "connection refused", "uptime_seconds": 30.0}, True),
        ({"state": "backoff", "cause": "status 1"}, True),
        ({"state": "crashed", "cause": ""}, False),
    ],
)
def test_when_a_cause_is_worth_telling(words: dict[str, Any], worth: bool) -> None:
    assert status.worth_telling(instance(0, **words)) is worth


@pytest.mark.parametrize(
    ("host", "port", "said"),
    [
        ("alvin.xyz", "80", "http://alvin.xyz"),
        ("alvin.xyz", "8080", "http://alvin.xyz:8080"),
        ("*", "80", "any other host"),
        ("*", "8080", "any other host, port 8080"),
    ],
)
def test_urls(host: str, port: str, said: str) -> None:
    assert status.url(host, port) == said


@pytest.mark.parametrize(
    ("route", "said"),
    [
        ({"action": "proxy", "upstream": "api"}, "→ api"),
        ({"action": "files", "folder": "/srv"}, "files in /srv"),
        ({"action": "redirect", "location": "https://x/"}, "redirect to https://x/"),
        ({"action": "respond", "status": 204}, "respond 204"),
        ({}, ""),
    ],
)
def test_what_a_route_does(route: dict[str, Any], said: str) -> None:
    assert status.goes_to(route) == said


def test_states_are_coloured_on_a_terminal(master: FakeMaster, gapura: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.delenv("NO_COLOR", raising=False)
    out = gapura("ps").out
    assert "\x1b[32mready" in out
    assert "\x1b[31mcrashed" in out


@pytest.mark.parametrize(
    ("count", "said"),
    [(None, ""), (0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (25_600_000, "25.6 MB"), (812_000_000, "812 MB"), (2.5e9, "2.5 GB")],
)
def test_sizes(count: float | None, said: str) -> None:
    assert render.size(count) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (None, ""),
        (0, "0 s"),
        (59.9, "59 s"),
        (60, "1 min"),
        (61, "1 min 1 s"),
        (3600, "1 h"),
        (90_000, "1 d 1 h"),
        (864_000, "10 d"),
    ],
)
def test_durations(seconds: float | None, said: str) -> None:
    assert render.duration(seconds) == said


def test_what_commands_have_changed_is_marked(master: FakeMaster, gapura: Any) -> None:
    told = document()
    api = told["upstreams"][1]
    api["servers"][0] |= {"added": False, "file_weight": 1}
    api["servers"][1] |= {"added": True, "file_weight": None}
    api["removed"] = ["10.0.0.8:80"]
    master.says["status"] = [master.ok(**told)]
    out = gapura("status").out
    assert "  127.0.0.1:3001: added\n  127.0.0.1:3000: weight 2, the file says 1\n  10.0.0.8:80: removed\n" in out
    assert out.count("`gapura server reset api` makes it as the file says") == 1
    api["servers"] = []
    master.says["status"] = [master.ok(**told)]
    assert "or all were removed\n  10.0.0.8:80: removed\n" in gapura("status").out
