from __future__ import annotations

import copy
import os
from collections.abc import Callable

import pytest

from gapura.config.build_admin import add_implicit
from gapura.config.dashboards import is_implicit, urls, written
from gapura.config.findings import Findings
from gapura.config.load import examine, load
from gapura.config.plan import Plan
from gapura.config.plan_admin import HOST, UPSTREAM
from gapura.errors import ConfigError

Configure = Callable[..., str]


def loaded(file: str, slots: int = 1024) -> Plan:
    """A plan as the master gets it."""
    found = examine(file)
    add_implicit(Findings(found.sources), found.plan, slots)
    return found.plan


def test_the_dashboard_is_there_without_being_written(configure: Configure) -> None:
    plan = loaded(configure('[sites."a.test"]\nrespond = "x"\n'))
    site = plan["sites"][-1]
    assert (site["hosts"], site["tls"], is_implicit(site)) == ([HOST], None, True)
    [route] = site["routes"]
    assert (route["action"], route["upstream"], route["dashboard"], route["body_limit"]) == (
        "proxy",
        UPSTREAM,
        {"implicit": True},
        2 << 20,
    )
    assert route["access_log"] is not None
    assert route["access_log"]["path"] == ""
    assert [one["hosts"] for one in written(plan)] == [["a.test"]]
    [server] = plan["upstreams"][UPSTREAM]["servers"]
    assert server["path"] == os.path.join(plan["paths"]["run"], "dashboard.sock")
    assert plan["upstreams"][UPSTREAM]["health"] is None, "a check would have control load the API for nothing"
    assert [file["path"] for file in plan["edge"]["log_files"]][-1] == os.path.join(plan["paths"]["logs"], "audit.log")


def test_what_only_reads_a_file_sees_what_is_written(configure: Configure) -> None:
    plan = load(configure('[sites."a.test"]\nrespond = "x"\n'))
    assert [site["hosts"] for site in plan["sites"]] == [["a.test"]]
    assert plan["upstreams"] == {}
    assert plan["admin"] is None


@pytest.mark.parametrize(
    "text",
    [
        '[admin]\ndashboard = false\n[sites."a"]\nrespond = "x"\n',
        f'[sites."{HOST}"]\nrespond = "mine"\n',
        f'[sites."a"]\nhosts = ["{HOST}"]\nrespond = "mine"\n',
        f'[sites."{HOST}"]\ndashboard = true\n',
    ],
)
def test_it_is_not_there_when_it_is_not_wanted(configure: Configure, text: str) -> None:
    assert not any(is_implicit(site) for site in loaded(configure(text))["sites"])


def test_it_takes_no_servers_place(configure: Configure) -> None:
    text = '[sites."a"]\nproxy = "api"\n[upstreams.api]\nservers = ["10.0.0.1:1", "10.0.0.2:1"]\n'
    assert not any(is_implicit(site) for site in loaded(configure(text), 2)["sites"])
    assert any(is_implicit(site) for site in loaded(configure(text), 3)["sites"])


def test_twice_is_once(configure: Configure) -> None:
    file = configure('[sites."a"]\nrespond = "x"\n')
    plan = loaded(file)
    before = copy.deepcopy(plan)
    add_implicit(Findings(examine(file).sources), plan, 1024)
    assert plan == before


def test_a_site_shows_it(configure: Configure) -> None:
    plan = loaded(
        configure('[sites."admin.test"]\ndashboard = true\n[[sites."shop.test".routes]]\npath = "/metrics"\ndashboard = true\n')
    )
    found = {site["hosts"][0]: site["routes"][0] for site in plan["sites"]}
    assert {host: route["dashboard"] for host, route in found.items()} == {
        "admin.test": {"implicit": False},
        "shop.test": {"implicit": False},
        HOST: {"implicit": True},
    }
    assert list(plan["upstreams"]) == [UPSTREAM]


@pytest.mark.parametrize("name", ["admin.sock", "dashboard.sock", "x/../admin.sock", "//dashboard.sock"])
@pytest.mark.parametrize("how", ["proxy", "upstream", "mirror"])
def test_no_site_leads_to_our_sockets(configure: Configure, name: str, how: str) -> None:
    run = os.path.join(os.path.dirname(configure("")), ".gapura")
    address = f"unix:{run}/{name}"
    text = {
        "proxy": f'[sites."a"]\nproxy = "{address}"\n',
        "upstream": f'[sites."a"]\nproxy = "x"\n[upstreams.x]\nservers = ["10.0.0.1:1", "{address}"]\n',
        "mirror": f'[sites."a"]\nproxy = "localhost:3000"\nmirror = "{address}"\n',
    }[how]
    with pytest.raises(ConfigError) as caught:
        load(configure(text))
    assert "Gapura's own" in caught.value.problems[0].message


@pytest.mark.parametrize(
    ("text", "listening", "expected"),
    [
        ('respond = "x"', [("0.0.0.0", 80), ("::", 80)], ["http://gapura.localhost/"]),
        ('respond = "x"', [("0.0.0.0", 8080)], ["http://gapura.localhost:8080/"]),
        ('respond = "x"', [("127.0.0.1", 8080), ("0.0.0.0", 80)], ["http://gapura.localhost/"]),
        ('respond = "x"', [("192.168.1.1", 80)], []),
        ("dashboard = true", [("0.0.0.0", 80)], ["http://gapura.localhost/", "http://a.test/"]),
    ],
)
def test_where_it_is_found(configure: Configure, text: str, listening: list[tuple[str, int]], expected: list[str]) -> None:
    assert urls(loaded(configure(f'[sites."a.test"]\n{text}\n')), listening) == expected
