from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gapura.control.api.visitor import Visitor
from gapura.control.audit import KEPT, LONGEST, REFUSALS, VALUES, Audit

WHO = Visitor("dashboard", "token ci", "203.0.113.9", True, False)


def entries(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_who_what_from_where_and_how_it_ended(tmp_path: Path) -> None:
    audit = Audit()
    audit.open(str(tmp_path / "audit.log"))
    audit.note(WHO, "scale", {"app": "shop", "instances": 3})
    audit.note(WHO, "scale", {"app": "shop", "instances": 0}, "an app has at least one instance")
    audit.note(None, "reload", {})
    one, two, three = entries(tmp_path / "audit.log")
    assert one.pop("at").endswith("+00:00")
    assert one == {
        "action": "scale",
        "by": "token ci",
        "from": "203.0.113.9",
        "door": "dashboard",
        "what": {"app": "shop", "instances": 3},
        "outcome": "done",
    }
    assert (two["outcome"], two["why"]) == ("failed", "an app has at least one instance")
    assert three["by"] == "control"
    assert len(audit.newest) == 3
    audit.close()


@pytest.mark.parametrize("name", ["token", "api_token", "secret", "password", "Key", "code"])
def test_secrets_are_left_out(tmp_path: Path, name: str) -> None:
    audit = Audit()
    audit.open(str(tmp_path / "audit.log"))
    audit.note(WHO, "x", {name: "hush", "text": "password = 'hush'"})
    assert "hush" not in (tmp_path / "audit.log").read_text()
    audit.close()


def test_one_line_of_bounded_size_whatever_comes(tmp_path: Path) -> None:
    audit = Audit()
    audit.open(str(tmp_path / "audit.log"))
    nasty = Visitor("dashboard", "a\nb" * 1000, "\x1b[31m" * 1000, True, False)
    values: dict[str, Any] = {f"v{number}": "\r\n" * 10_000 for number in range(100)}
    values |= {"v0": ["x" * 10_000] * 1000, "v1": {"a": "b" * 10_000}, "v2": object(), "v3": None, "v4": float("inf")}
    audit.note(nasty, "\u2028" * 1000, values, "e" * 10_000)
    text = (tmp_path / "audit.log").read_text()
    assert text.count("\n") == 1
    assert text.isascii()
    assert "\x1b" not in text
    assert len(text) < 2 * VALUES * (LONGEST + 20) * 6
    audit.close()


def test_a_flood_of_refusals_fills_no_disk(tmp_path: Path) -> None:
    audit = Audit()
    audit.open(str(tmp_path / "audit.log"))
    for _ in range(1000):
        audit.refuse(WHO, "GET /", "no")
    assert len(entries(tmp_path / "audit.log")) == REFUSALS
    for _ in range(KEPT + 50):
        audit.note(WHO, "x", {})
    assert len(audit.newest) == KEPT
    audit.close()


def test_rotation_and_a_link(tmp_path: Path) -> None:
    audit = Audit()
    file = tmp_path / "audit.log"
    audit.open(str(file))
    file.rename(tmp_path / "older")
    audit.reopen()
    audit.note(WHO, "x", {})
    assert len(entries(file)) == 1
    file.unlink()
    file.symlink_to(tmp_path / "victim")
    audit.reopen()
    assert not (tmp_path / "victim").exists()
    audit.note(WHO, "y", {})
    audit.close()
