"""`gapura events`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gapura.events import KINDS, draft

from .conftest import FakeMaster


@pytest.fixture
def log(folder: Path) -> Path:
    path = folder / ".gapura" / "logs" / "events.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    events = [
        draft("app.ready", "shop:0", "shop:0 is ready", "", {}),
        draft(
            "app.crashed", "shop:0", "shop:0: out of memory\x1b[2J", "", {"hint": "more of it", "lines": ["a", "b", "c", "d\x07"]}
        ),
        draft("server.out", "shop/shop:0", "shop:0 is out", "", {}),
        draft("config.changed", "generation 2", "a new configuration serves", "", {}, now=1.0),
    ]
    lines = [json.dumps({"id": number, **event}) for number, event in enumerate(events, 1)]
    head = json.dumps({"id": 9, **draft("app.ready", "", "x", "", {}), "type": "events.continued"})
    path.write_text("\n".join([head, *lines[:2], "torn {", "[]", *lines[2:]]) + "\n")
    return path


def shown(text: str) -> list[str]:
    return [line.split()[2] for line in text.splitlines() if not line.startswith("  ")]


def test_the_last_ones(log: Path, gapura: Any) -> None:
    out = gapura("events").out
    assert [word for word in out.split() if word in KINDS] == ["app.ready", "app.crashed", "server.out", "config.changed"]
    assert "more of it" in out
    assert "| b" in out
    assert "| a" not in out
    assert "\x1b" not in out
    assert "\x07" not in out
    assert "1970-01-01" in out


@pytest.mark.parametrize(
    ("words", "types"),
    [
        (("-n", "1"), ["config.changed"]),
        (("--severity", "error"), ["app.crashed"]),
        (("--severity", "warning"), ["app.crashed", "server.out"]),
        (("--type", "app"), ["app.ready", "app.crashed"]),
        (("--type", "app.ready,server"), ["app.ready", "server.out"]),
        (("--type", "app", "--severity", "error"), ["app.crashed"]),
        (("--type", "certificate"), []),
        (("-n", "0"), []),
    ],
)
def test_filters(log: Path, gapura: Any, words: tuple[str, ...], types: list[str]) -> None:
    lines = gapura("events", "--json", *words).out.splitlines()
    assert [json.loads(line)["type"] for line in lines] == types


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--type", "app.crashd"), "did you mean `app.crashed`"),
        (("--type", "zzzzzz"), "gapura events types"),
        (("--severity", "loud"), "loud"),
        (("-n", "-1"), "-1"),
        (("tset",), "tset"),
        (("test", "-f"), "not for test"),
        (("types", "--severity", "error"), "not for types"),
    ],
)
def test_wrong_words(log: Path, gapura: Any, words: tuple[str, ...], said: str) -> None:
    done = gapura("events", *words)
    assert done.status == 2
    assert said in done.err


def test_a_broken_file_does_not_hide_what_has_happened(log: Path, folder: Path, gapura: Any) -> None:
    (folder / "gapura.toml").write_text("[site")
    assert "app.crashed" in gapura("events").out


def test_no_log_yet_and_none_at_all(folder: Path, gapura: Any) -> None:
    assert "`gapura up` starts it" in gapura("events").err
    with (folder / "gapura.toml").open("a") as file:
        file.write("[events]\nlog = false\n")
    assert "log = false" in gapura("events").err


def test_all_types(gapura: Any, folder: Path) -> None:
    assert [line.split()[0] for line in gapura("events", "types").out.splitlines()[1:]] == list(KINDS)
    assert json.loads(gapura("events", "types", "--json").out)["app.crashed"]["severity"] == "error"


def test_a_test_tells_each_outcome(master: FakeMaster, gapura: Any) -> None:
    master.says["test_events"] = [
        master.ok(outcomes=[{"sink": "log x", "problem": ""}, {"sink": "on_event", "problem": "status 3\x1b"}])
    ]
    done = gapura("events", "test")
    assert done.out.splitlines() == ["log x: ok", "on_event: status 3\\x1b"]
    assert done.status == 1
    assert "1 of 2" in done.err
    master.says["test_events"] = [master.ok(outcomes=[])]
    assert "Nobody is told" in gapura("events", "test").out
