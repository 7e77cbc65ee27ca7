"""Logs of sites and routes: what they inherit, and which files there are."""

from __future__ import annotations

from typing import Any

import pytest

from gapura.config.load import load
from gapura.errors import ConfigError

from .conftest import Configure

SITE = '[sites."a.example"]\nrespond = "x"\n'
DEFAULT = {"size": 100 << 20, "every": 86400.0, "keep": 14, "compress": True}


def plan_of(configure: Configure, text: str) -> Any:
    file = configure(text)
    return load(file)


def rotations(plan: Any) -> dict[str, Any]:
    return {file["path"].rpartition("/")[2]: file["rotate"] for file in plan["edge"]["log_files"]}


def test_nothing_said(configure: Configure) -> None:
    plan = plan_of(configure, SITE)
    assert rotations(plan) == {"access.log": DEFAULT, "error.log": DEFAULT, "events.log": DEFAULT}
    assert plan["sites"][0]["access_log"] is None
    assert plan["sites"][0]["routes"][0]["access_log"] is None
    assert plan["edge"]["access_log"]["mask"] is None


@pytest.mark.parametrize(
    ("text", "plan"),
    [
        ("access_log = false", {"path": ""}),
        ("access_log = true", {"path": "access.log"}),
        ('access_log = "x.log"', {"path": "x.log", "format": "$status"}),
        ('access_log = { format = "json" }', {"path": "access.log", "format": "json", "anonymize": True}),
        ("access_log = { mask = true }", {"mask": None}),
        ("access_log = { mask = false }", {"mask": []}),
        ("access_log = {}", {"mask": ["t"]}),
        ('access_log = { only = "4xx, 503,500-502" }', {"only": [[400, 499], [503, 503], [500, 502]]}),
        ("access_log = { sample = 0.5 }", {"sample": {"rate": 0.5, "errors": True, "slow": 0.0}}),
        ("access_log = { sample = 1 }", {"sample": None}),
        ('access_log = { sample = { slow = "2s", rate = 0 } }', {"sample": {"rate": 0.0, "errors": True, "slow": 2.0}}),
    ],
)
def test_a_site_says_what_is_different(configure: Configure, text: str, plan: dict[str, Any]) -> None:
    edge = '[edge]\naccess_log = { format = "$status", anonymize = true, mask = ["t"] }\n'
    found = plan_of(configure, f"{edge}{SITE}{text}\n")["sites"][0]["access_log"]
    found["path"] = found["path"].rpartition("/")[2]
    assert {key: found[key] for key in plan} == plan


def test_a_route_inherits_from_its_site(configure: Configure) -> None:
    text = f'{SITE}access_log = {{ path = "a.log", format = "common" }}\n'
    route = '[[sites."a.example".routes]]\npath = "/{0}"\nrespond = "x"\naccess_log = {1}\n'
    text += route.format("one", "{ anonymize = true }") + route.format("two", "false") + route.format("three", '"syslog:"')
    one, two, three, site = plan_of(configure, text)["sites"][0]["routes"]
    assert [item["access_log"]["format"] for item in (one, two, three, site)] == ["common"] * 4
    assert [item["access_log"]["anonymize"] for item in (one, two, three, site)] == [True, False, False, False]
    assert [item["access_log"]["path"].rpartition("/")[2] for item in (one, two, site)] == ["a.log", "", "a.log"]
    assert three["access_log"]["syslog"]["path"] == "/dev/log"


@pytest.mark.parametrize(
    ("edge", "site", "rotate"),
    [
        ("", '{ path = "a.log", rotate = { keep = 3 } }', DEFAULT | {"keep": 3}),
        ("", '{ path = "a.log", rotate = false }', None),
        ("", '{ path = "a.log", rotate = true }', DEFAULT),
        ("access_log = { rotate = { keep = 2 } }", '"a.log"', DEFAULT | {"keep": 2}),
        ("access_log = { rotate = false }", '"a.log"', None),
        ("", '{ path = "a.log", rotate = { size = "none", every = "1w" } }', DEFAULT | {"size": 0, "every": 7 * 86400.0}),
        ("", '{ path = "a.log", rotate = { size = "1G", every = "none" } }', DEFAULT | {"size": 1 << 30, "every": 0.0}),
    ],
)
def test_rotation(configure: Configure, edge: str, site: str, rotate: Any) -> None:
    plan = plan_of(configure, f"[edge]\n{edge}\n{SITE}access_log = {site}\n")
    assert rotations(plan)["a.log"] == rotate


def test_error_log(configure: Configure) -> None:
    plan = plan_of(configure, f'[edge]\nerror_log = {{ path = "e.log", rotate = {{ keep = 1 }} }}\n{SITE}')
    assert plan["edge"]["error_log"].endswith("/e.log")
    assert rotations(plan)["e.log"] == DEFAULT | {"keep": 1}
    assert "e.log" not in rotations(plan_of(configure, f'[edge]\nerror_log = "-"\n{SITE}'))


def test_a_file_has_one_rotation(configure: Configure) -> None:
    table = '{ path = "a.log", rotate = { keep = %d } }'
    text = f"[edge]\naccess_log = {table % 1}\n{SITE}access_log = {table % 2}\n"
    with pytest.raises(ConfigError) as caught:
        load(configure(text))
    (problem,) = caught.value.problems
    assert "a.log is rotated otherwise elsewhere" in problem.message
    assert problem.line == 5
    plan_of(configure, text.replace("keep = 2", "keep = 1"))
