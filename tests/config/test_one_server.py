"""A server that a command adds is checked as one of the file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gapura.config import overrides
from gapura.config.load import load
from gapura.config.one_server import check_server
from gapura.config.plan import Plan
from gapura.errors import ConfigError

Configure = Callable[..., str]
FILE = """
[edge]
http = "127.0.0.1:8080"

[upstreams.api]
servers = ["10.0.0.1:80"]
max_fails = 3

[upstreams.sticky]
policy = "ip_hash"
servers = ["10.0.0.1:80"]

[upstreams.secure]
tls = true
servers = ["10.0.0.1:443"]

[sites."a.b"]
proxy = "api"
"""
NAMES = {"two.internal": ["10.9.0.1", "10.9.0.2"]}


def known(names: Sequence[str]) -> Mapping[str, list[str]]:
    return NAMES


@pytest.fixture
def plan(configure: Configure) -> Plan:
    return load(configure(FILE))


def test_the_same_server_as_in_the_file(plan: Plan, configure: Configure) -> None:
    words = {"address": "10.0.0.2:80", "weight": 2, "backup": True, "max_fails": 0, "fail_timeout": "5s", "max_conns": 9}
    server, warnings = check_server(plan, "api", words, known)
    changed = overrides.applied(plan, overrides.add(plan, {}, "api", server)).plan
    assert changed["upstreams"]["api"]["servers"][1].pop("added"), "but for the mark that it stands in no file"
    written = '{ address = "10.0.0.2:80", weight = 2, backup = true, max_fails = 0, fail_timeout = "5s", max_conns = 9 }'
    assert changed == load(
        configure(FILE.replace('servers = ["10.0.0.1:80"]\nmax_fails', f'servers = ["10.0.0.1:80", {written}]\nmax_fails'))
    )
    assert warnings == []


def test_a_name_stands_for_all_its_addresses(plan: Plan) -> None:
    server, warnings = check_server(plan, "api", {"address": "Two.internal:81"}, known)
    assert (server["id"], server["named"], server["addresses"]) == ("two.internal:81", True, NAMES["two.internal"])
    assert warnings == []


def test_a_name_that_does_not_resolve_is_a_warning(plan: Plan) -> None:
    server, warnings = check_server(plan, "api", {"address": "nobody.invalid:81"}, known)
    assert server["addresses"] == []
    assert [warning.message for warning in warnings] == ["the name nobody.invalid does not resolve"]


@pytest.mark.parametrize(
    ("upstream", "words", "message", "hint"),
    [
        ("api", {}, "a server has no address", "write address = …"),
        ("api", {"address": ""}, "has no host", "localhost:3000"),
        ("api", {"address": 5}, "address must be a text", ""),
        ("api", {"address": "http://10.0.0.2"}, "is a URL, not an address", 'write "10.0.0.2"'),
        ("api", {"address": "10.0.0.2:http"}, "is not a port", "1 to 65535"),
        ("api", {"address": "10.0.0.2:0"}, "is not a port", "1 to 65535"),
        ("api", {"address": "10.0.0.2:65536"}, "is not a port", "1 to 65535"),
        ("api", {"address": "10.0.0.256:80"}, "is not an IPv4 address", "four numbers"),
        ("api", {"address": "a b:80"}, "is not a host name", "letters"),
        ("api", {"address": "10.0.0.2:80\r\nX: y"}, "is not a port", ""),
        ("api", {"address": "unix:run.sock"}, "needs a whole path", "unix:/run/app.sock"),
        ("api", {"address": "127.0.0.1:8080"}, "is Gapura itself", "another http"),
        ("api", {"address": "10.0.0.2:80", "weight": 0}, "weight must be from 1 to 10000", "down = true"),
        ("api", {"address": "10.0.0.2:80", "weight": 10001}, "weight must be from 1 to 10000", ""),
        ("api", {"address": "10.0.0.2:80", "weight": "2"}, "weight must be a whole number", ""),
        ("api", {"address": "10.0.0.2:80", "weight": True}, "weight must be a whole number", ""),
        ("api", {"address": "10.0.0.2:80", "wieght": 2}, 'there is no key "wieght"', 'did you mean "weight"?'),
        ("api", {"address": "10.0.0.2:80", "max_fails": -1}, "max_fails must be at least 0", ""),
        ("api", {"address": "10.0.0.2:80", "max_conns": 1.5}, "max_conns must be a whole number", ""),
        ("api", {"address": "10.0.0.2:80", "fail_timeout": 0}, "must be longer than 0", "seconds"),
        ("api", {"address": "10.0.0.2:80", "fail_timeout": "soon"}, "is not a duration", ""),
        ("api", {"address": "10.0.0.2:80", "backup": 1}, "backup must be true or false", ""),
        ("api", {"address": "10.0.0.2:80", "down": True}, "down can only be said in the file", "leave it out"),
        ("sticky", {"address": "10.0.0.2:80", "backup": True}, 'the policy "ip_hash" knows no backup', "leave backup out"),
        ("secure", {"address": "unix:/run/app.sock"}, "no name that a certificate could be for", "server_name"),
    ],
)
def test_bad_words(plan: Plan, upstream: str, words: dict[str, Any], message: str, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_server(plan, upstream, words, known)
    [problem] = caught.value.problems
    assert message in problem.message
    assert hint in problem.hint
    assert "\n" not in problem.message


VALUES = st.one_of(st.none(), st.booleans(), st.integers(-2, 20_000), st.floats(), st.text(max_size=12))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(st.sampled_from(("weight", "backup", "max_fails", "fail_timeout", "max_conns")), VALUES), st.text(max_size=30)
)
def test_whatever_is_said_is_a_server_or_a_problem(plan: Plan, words: dict[str, Any], address: str) -> None:
    try:
        server, _ = check_server(plan, "api", {**words, "address": address}, known)
    except ConfigError:
        pass  # whose problems the table above holds
    else:
        assert overrides.understood({"api": {"added": [server], "removed": {}, "weights": {}}})
