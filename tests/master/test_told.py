from __future__ import annotations

from typing import Any

import pytest

from gapura.errors import CommandError, ConfigError, Problem
from gapura.events import KINDS
from gapura.master import told


class Told:
    def __init__(self) -> None:
        self.events: list[tuple[str, str, str, dict[str, Any]]] = []

    def __call__(self, type: str, subject: str, text: str, /, *, severity: str = "", **data: Any) -> None:
        self.events.append((type, subject, text, data))


@pytest.mark.parametrize(
    ("name", "arguments", "type", "subject", "text"),
    [
        ("stop", {"app": "web", "index": None}, "app.stopped", "web", "web: stopped"),
        ("start", {"app": "web", "index": 1, "by": "anna"}, "app.started", "web:1", "web:1: started, by anna"),
        ("scale", {"app": "web", "instances": 3}, "app.scaled", "web", "web: scaled to 3 instances"),
        (
            "drain",
            {"upstream": "api", "address": "10.0.0.1:3000"},
            "server.changed",
            "api/10.0.0.1:3000",
            "api/10.0.0.1:3000: drained",
        ),
        ("token_create", {"token": "ci", "by": ["x"]}, "token.created", "ci", "ci: the token was made"),
    ],
)
def test_a_command_becomes_an_event(name: str, arguments: dict[str, Any], type: str, subject: str, text: str) -> None:
    event = told.of_command(name, {"type": "command", "name": name, **arguments})
    assert event is not None
    assert (event.type, event.subject, event.text) == (type, subject, text)


def test_every_command_that_is_told_has_its_words() -> None:
    for name, type in told.TYPES.items():
        assert type in KINDS
        assert told.of_command(name, {"app": "web", "instances": 1, "weight": 2}) is not None


@pytest.mark.parametrize("name", ["status", "ping", "reload", "close_sites", "down", "x"])
def test_what_changes_nothing_by_itself_is_not_told(name: str) -> None:
    assert told.of_command(name, {"app": "web"}) is None


def test_a_change_is_told_in_short() -> None:
    heard = Told()
    told.tell_change(heard, 7, [f"change {number}" for number in range(50)], "anna")
    [(type, subject, text, data)] = heard.events
    assert (type, subject) == ("config.changed", "generation 7")
    assert text == "a new configuration serves, by anna: change 0; change 1; change 2; and 47 more changes"
    assert len(data["changes"]) == told.CHANGES
    told.tell_change(heard, 8, [], "")
    assert heard.events[1][2] == "a new configuration serves: nothing is different"


def test_a_refusal_names_the_first_problem() -> None:
    heard = Told()
    problems = [
        Problem("there is no key", "/x/gapura.toml", 3, 4, "did you mean it?"),
        Problem("and another", "/x/gapura.toml", 9, 1),
    ]
    told.tell_refusal(heard, 7, ConfigError(problems), "")
    told.tell_refusal(heard, 7, CommandError("port 80 is taken", "stop it"), "anna")
    assert "/x/gapura.toml:3:4: there is no key (and 1 more)" in heard.events[0][2]
    assert heard.events[0][3]["problems"][1]["line"] == 9
    assert heard.events[1][2].endswith("generation 7 stays: port 80 is taken")
    assert heard.events[1][3]["by"] == "anna"


def test_maintenance_is_told_by_site() -> None:
    heard = Told()
    closed: Any = {"since": 1.0, "until": 0.0, "message": ""}
    told.tell_maintenance(heard, {"a": closed, "b": closed}, {"b": closed, "c": closed}, "")
    assert sorted(event[:2] for event in heard.events) == [("site.closed", "c"), ("site.opened", "a")]
    heard.events.clear()
    told.tell_maintenance(heard, {"a": closed}, {"a": {**closed, "until": 5.0}}, "")
    assert heard.events == []
