from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from gapura.events import GROUPS, KINDS, LONGEST_TEXT, SEVERITIES, draft, moment, read, stamp, wanted

SOURCE = Path(__file__).resolve().parent.parent / "src" / "gapura"


def test_the_table_is_sound() -> None:
    for name, kind in KINDS.items():
        assert re.fullmatch(r"[a-z]+\.[a-z_]+", name)
        assert kind.severity in SEVERITIES
        assert kind.when.endswith(".")
        assert kind.ends in ("", *KINDS)


def test_every_type_is_told_somewhere_and_no_other() -> None:
    """By its name in the source; those of workers and control are put together there."""
    text = "\n".join(path.read_text() for path in SOURCE.rglob("*.py") if path.name != "events.py" or path.parent != SOURCE)
    composed = {f"{role}.{what}" for role in ("worker", "control") for what in ("died", "hung", "replaced")}
    missing = [name for name in KINDS if f'"{name}"' not in text and name not in composed]
    assert not missing
    told = set(re.findall(r'tell\(\s*"([a-z]+\.[a-z_]+)"', text))
    assert told <= set(KINDS)


def test_an_event_is_one_line_of_bounded_length() -> None:
    event = draft("app.crashed", "web:0", "a\nb\t c" + "x" * 5000, "", {}, now=0.5)
    assert event["text"].startswith("a b c")
    assert len(event["text"]) == LONGEST_TEXT
    assert event["at"] == "1970-01-01T00:00:00.500Z"
    assert event["severity"] == "error"


def test_its_data_is_bounded() -> None:
    data = {"lines": ["x" * 10**6] * 100, "pid": 7, "problems": [{"line": 3, "message": "y" * 10**6}], "none": None, "ok": True}
    found = draft("app.crashed", "web:0", "x", "", data)["data"]
    assert len(json.dumps(found)) < 25 * LONGEST_TEXT
    assert len(found["lines"]) == 20
    assert (found["pid"], found["none"], found["ok"], found["problems"][0]["line"]) == (7, None, True, 3)


@pytest.mark.parametrize("seconds", [0.0, 0.001, 1.9994, 1.9996, 1_700_000_000.25, 4_000_000_000.999])
def test_a_stamp_can_be_read_again(seconds: float) -> None:
    assert moment(stamp(seconds)) == pytest.approx(seconds, abs=0.001)


@pytest.mark.parametrize("text", ["", "x", "2026-11-22", "2026-13-22T20:01:02Z", "2026-11-22T20:01:02.xZ", "9" * 40])
def test_what_is_no_stamp_is_no_time(text: str) -> None:
    assert moment(text) == 0.0


@pytest.mark.parametrize(
    "found",
    [
        None,
        [],
        "x",
        {},
        {"at": "x", "type": "t", "subject": "s", "text": "t", "severity": "loud", "data": {}},
        {"at": "x", "type": "t", "subject": "s", "text": 1, "severity": "info", "data": {}},
        {"at": "x", "type": "t", "subject": "s", "text": "t", "severity": "info", "data": []},
        {"at": "x", "type": None, "subject": "s", "text": "t", "severity": "info", "data": {}},
    ],
)
def test_what_is_no_event_is_none(found: object) -> None:
    assert read(found) is None


def test_an_event_of_another_version_is_read() -> None:
    found = {"id": 3, "at": "x", "type": "moon.landed", "subject": "s", "text": "t", "severity": "info", "data": {}, "new": 1}
    assert read(found) == {"at": "x", "type": "moon.landed", "subject": "s", "text": "t", "severity": "info", "data": {}}


@pytest.mark.parametrize(
    ("only", "type", "severity", "answer"),
    [
        ([], "app.ready", "info", True),
        (["app"], "app.ready", "info", True),
        (["app.crashed"], "app.ready", "info", False),
        (["warning"], "app.ready", "info", False),
        (["warning"], "app.crashed", "error", True),
        (["error"], "server.out", "warning", False),
        (["error", "server"], "server.out", "warning", True),
        (["info"], "server.out", "warning", True),
        (["ap"], "app.ready", "info", False),
    ],
)
def test_which_events_are_meant(only: list[str], type: str, severity: str, answer: bool) -> None:
    assert wanted(only, draft(type, "s", "t", severity, {})) is answer


def test_no_word_means_two_things() -> None:
    assert len({*SEVERITIES, *GROUPS, *KINDS}) == len(SEVERITIES) + len(GROUPS) + len(KINDS)
