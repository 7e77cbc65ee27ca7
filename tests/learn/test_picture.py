"""The picture of a configuration, without and with a Gapura that runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from gapura.config.load import load
from gapura.config.plan import Plan
from gapura.learn.drawing import draw
from gapura.learn.picture import picture

CONFIG = """\
[apps.web]
command = "true"
instances = 2

[upstreams.api]
policy = "hash"
key = "$uri"
consistent = true
servers = ["127.0.0.1:1", { address = "127.0.0.1:2", weight = 3 }, { address = "127.0.0.1:3", down = true }]

[sites."a.test"]
tls = "auto"
split = [{ proxy = "web", share = 9 }, { proxy = "api", share = 1 }]

[sites."b.test"]
redirect = "https://a.test/"
"""


def nobody(names: Sequence[str]) -> Mapping[str, list[str]]:
    return {}


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    (tmp_path / "gapura.toml").write_text(CONFIG)
    return load(str(tmp_path / "gapura.toml"), nobody)


def test_what_the_file_says(plan: Plan) -> None:
    found = picture(plan)
    assert [site["id"] for site in found["sites"]] == ["a.test", "b.test"], "and not the dashboard"
    assert found["sites"][0]["tls"]
    assert found["sites"][0]["routes"][0]["upstreams"] == ["web", "api"]
    assert {one["name"]: one["policy"] for one in found["upstreams"]} == {"web": "round_robin", "api": "hash consistent"}
    api = next(one for one in found["upstreams"] if one["name"] == "api")
    assert [(server["weight"], server["state"]) for server in api["servers"]] == [(1, "up"), (3, "up"), (1, "down")]


def test_what_runs(plan: Plan) -> None:
    server: dict[str, Any] = {"id": "web:1", "address": "127.0.0.1:5", "state": "down", "condition": "crashed"}
    live = {
        "generation": 7,
        "sites": [{"hosts": ["b.test"], "closed": {"since": 1.0}}],
        "upstreams": [{"name": "web", "servers": [server]}],
    }
    found = picture(plan, live)
    assert found["generation"] == 7
    assert [site["closed"] for site in found["sites"]] == [False, True]
    web = next(one for one in found["upstreams"] if one["name"] == "web")
    assert [(one["address"], one["condition"]) for one in web["servers"]] == [("", "up"), ("127.0.0.1:5", "crashed")]
    assert "in maintenance" in draw(found)
