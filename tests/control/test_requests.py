"""Requests with the names that people know, and where their time went."""

from __future__ import annotations

from typing import Any

import pytest

from gapura import records as r
from gapura.board import id_hash
from gapura.control.names import Names
from gapura.control.requests import failures, seen, servers, stages, timeline
from gapura.records import Record, Trial

MS = 1_000_000


def names() -> Names:
    one = {"name": "/", "action": "proxy", "upstream": "api", "row": 2, "read_timeout": None, "traffic": None}
    plan: Any = {
        "sites": [{"hosts": ["a.test"], "row": 1, "routes": [one]}],
        "upstreams": {"api": {"name": "api", "app": False, "read_timeout": 60.0, "servers": [server("x:1", 0), server("y:2", 1)]}},
        "edge": {"limits": {"body": 1}},
    }
    return Names(plan)


def server(name: str, slot: int) -> dict[str, Any]:
    return {"id": name, "slots": [slot]}


def half(name: str) -> int:
    return id_hash("api", name) & 0xFFFFFFFF


def test_a_request_has_names() -> None:
    found = seen(
        names(), Record("i", 1, 2_500_000, row=2, slot=0, server=half("x:1"), status=200, method="GET", path="/p", tries=1)
    )
    assert {**found, "at": ""} == {
        "id": "i",
        "at": "",
        "site": "a.test",
        "route": 2,
        "upstream": "api",
        "server": "x:1",
        "status": 200,
        "method": "GET",
        "path": "/p",
        "ms": 2.5,
        "tries": 1,
    }


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ({"row": 1}, ("a.test", 0, "", "")),
        ({"row": 77, "slot": 0, "server": 5}, ("", 0, "", "")),
        ({"row": 2, "server": half("x:1")}, ("a.test", 2, "", "")),
        ({}, ("", 0, "", "")),
    ],
)
def test_what_has_no_name_any_more_is_empty(words: dict[str, int], expected: tuple[str, int, str, str]) -> None:
    found = seen(names(), Record("i", 1, 2, **words))  # type: ignore[arg-type]
    assert (found["site"], found["route"], found["upstream"], found["server"]) == expected


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (
            {
                "accepted": -9 * MS,
                "tls": -4 * MS,
                "routed": 1 * MS,
                "first_claimed": 2 * MS,
                "claimed": 2 * MS,
                "connected": 5 * MS,
                "answered": 9 * MS,
            },
            [
                ("tls", -9, 5),
                ("accept", -4, 4),
                ("route", 0, 1),
                ("wait", 1, 1),
                ("connect", 2, 3),
                ("first_byte", 5, 4),
                ("done", 9, 1),
            ],
        ),
        (
            {"routed": 1 * MS, "first_claimed": 1 * MS, "claimed": 1 * MS, "answered": 3 * MS},
            [("route", 0, 1), ("wait", 1, 0), ("first_byte", 1, 2), ("done", 3, 7)],
        ),
        (
            {"routed": 1 * MS, "first_claimed": 1 * MS, "claimed": 4 * MS, "answered": 9 * MS},
            [("route", 0, 1), ("wait", 1, 3), ("first_byte", 4, 5), ("done", 9, 1)],
        ),
        ({"routed": 1 * MS}, [("route", 0, 1), ("done", 1, 9)]),
        ({}, [("done", 0, 10)]),
        ({"accepted": -1 * MS}, [("accept", -1, 1), ("done", 0, 10)]),
    ],
)
def test_stages_follow_each_other(words: dict[str, int], expected: list[tuple[str, float, float]]) -> None:
    found = [(one["name"], one["from_ms"], one["ms"]) for one in stages(Record("i", 1, 10 * MS, **words))]  # type: ignore[arg-type]
    assert found == expected


def test_a_timeline_tells_what_was_tried() -> None:
    trials = (Trial(half("x:1"), 0, r.REFUSED, 1 * MS),)
    record = Record(
        "i", 1, 3 * MS, row=2, slot=1, server=half("y:2"), status=200, tries=2, trials=trials, claimed=2 * MS, answered=3 * MS
    )
    found = timeline(names(), record)
    assert found["trials"] == [{"server": "api/x:1", "outcome": "refused", "why": "x:1 refused the connection", "at_ms": 1.0}]
    assert "x:1 refused the connection" in found["why"]
    assert servers(names(), record) == {"api/x:1", "api/y:2"}


def test_failures_that_are_alike_are_told_together() -> None:
    def failed(name: str, started: int, path: str, status: int = 502) -> Record:
        trials = (Trial(half("x:1"), 0, r.REFUSED, 1),)
        words: Any = {"slot": 0, "server": half("x:1"), "cause": r.REFUSED, "trials": trials, "path": path}
        return Record(name, started, 5, row=2, status=status, **words)

    found = failures(names(), [failed("c", 3, "/c"), failed("b", 2, "/b"), failed("x", 2, "/x", 504), failed("a", 1, "/a")], 10)
    assert [(group["alike"], group["last"]["id"]) for group in found] == [(3, "c"), (1, "x")]
    assert found[0]["why"]
    assert len(failures(names(), [failed("c", 3, "/c"), failed("x", 2, "/x", 504)], 1)) == 1
