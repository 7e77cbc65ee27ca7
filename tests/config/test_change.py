from __future__ import annotations

import copy
import subprocess
import sys
from collections.abc import Callable

import pytest

from gapura.config.change import diff, must_roll, sentences
from gapura.config.load import load
from gapura.config.plan import Plan, expand

Configure = Callable[..., str]
BEFORE = """
[edge]
http = 8080

[apps.web]
command = "npm start"
instances = 2

[apps.old]
command = "x"

[upstreams.api]
servers = ["10.0.0.1:3000", { address = "10.0.0.2:3000", weight = 2 }, "name.internal:80"]

[sites."a.b"]
proxy = "web"
[[sites."a.b".routes]]
path = "/api/"
proxy = "api"

[sites."c.d"]
respond = "x"
"""


@pytest.fixture
def plan(configure: Configure) -> Callable[..., Plan]:
    """The plan of `BEFORE` with texts replaced: `plan(("old", "new"), …)`."""

    def make(*changes: tuple[str, str]) -> Plan:
        text = BEFORE
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        return load(configure(text))

    return make


Make = Callable[..., Plan]


def test_nothing_changed(plan: Make) -> None:
    change = diff(plan(), plan())
    assert not change
    assert sentences(change) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            [("http = 8080", 'http = "127.0.0.1:8080"')],
            ["listens on 127.0.0.1:8080", "no longer listens on 0.0.0.0:8080", "no longer listens on [::]:8080"],
        ),
        ([("http = 8080", "http = 8080\nworkers = 4")], ["workers: 2 → 4"]),
        ([("http = 8080", "http = 8080\nserved_by = false")], ["served by: on → off"]),
        ([("http = 8080", "http = 8080\nlimits.body = 5")], ["limits changed"]),
        ([("instances = 2", "instances = 3")], ["app web: 2 → 3 instances"]),
        ([("npm start", "npm run x")], ["app web: command changed, its instances are restarted one after the other"]),
        (
            [("instances = 2", "env = { A = 1 }\nport = 3000\ninstances = 2")],
            ["app web: port, env changed, its instances are restarted one after the other"],
        ),
        (
            [("instances = 2", "instances = 2\nstop_timeout = 9\nhold = 1")],
            ["app web: stop_timeout, hold changed, without a restart"],
        ),
        ([("[apps.old]", "[apps.new]")], ["app new added", "app old removed"]),
        ([("weight = 2", "weight = 5, down = true")], ["upstream api: server 10.0.0.2:3000: weight 2 → 5, down off → on"]),
        (
            [("10.0.0.1:3000", "10.0.0.3:3000")],
            ["upstream api: server 10.0.0.3:3000 added", "upstream api: server 10.0.0.1:3000 removed"],
        ),
        (
            [("name.internal:80", "other.internal:80")],
            ["upstream api: server other.internal:80 added", "upstream api: server name.internal:80 removed"],
        ),
        (
            [("[upstreams.api]", '[upstreams.api]\npolicy = "least_conn"\nread_timeout = 5')],
            ["upstream api: policy, read_timeout changed"],
        ),
        ([("/api/", "/v1/")], ["site a.b route /v1/ added, route /api/ removed"]),
        ([('respond = "x"', 'respond = "y"')], ["site c.d route / changed"]),
        ([('respond = "x"', 'respond = "x"\nhosts = "e.f"')], ["site c.d hosts are c.d, e.f"]),
        ([('[sites."c.d"]', '[sites."e.f"]')], ["site e.f added", "site c.d removed"]),
    ],
)
def test_changes_are_told(plan: Make, changes: list[tuple[str, str]], said: list[str]) -> None:
    change = diff(plan(), plan(*changes))
    assert change
    assert sentences(change) == said


def test_the_order_of_servers_and_routes_is_a_change(plan: Make) -> None:
    old, new = plan(), plan()
    new["upstreams"]["api"]["servers"].reverse()
    new["sites"][0]["routes"].reverse()
    assert sentences(diff(old, new)) == ["upstream api: order of the servers changed", "site a.b has its routes in another order"]


def test_what_is_rolled_and_what_is_scaled(plan: Make) -> None:
    change = diff(
        plan(), plan(("npm start", "npm run x"), ("instances = 2", "instances = 1"), ('command = "x"', 'command = "x"\nhold = 1'))
    )
    assert change.apps.changed == ["web", "old"]
    assert change.rolled == ["web"]
    assert change.scaled == {"web": (2, 1)}
    assert not change.upstreams


@pytest.mark.parametrize("field", ["instances", "stop_signal", "max_memory", "log_size", "autorestart"])
def test_without_a_restart(plan: Make, field: str) -> None:
    old = plan()["apps"]["web"]
    new = copy.deepcopy(old)
    new[field] = "other"  # type: ignore[literal-required]
    assert not must_roll(old, new)


def test_slots_and_answers_of_dns_are_no_change(plan: Make) -> None:
    old, new = plan(), plan()
    api = new["upstreams"]["api"]
    api["servers"] = expand(api, "name.internal", 80, ["10.0.0.7", "10.0.0.8"])
    for number, server in enumerate(api["servers"]):
        server["slots"] = [number]
    assert not diff(old, new)


def test_the_master_stays_small() -> None:
    heavy = "{'pydantic', 'socket', 'asyncio', 'ssl'}"
    program = f"import gapura.config.change, gapura.config.place, sys; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
