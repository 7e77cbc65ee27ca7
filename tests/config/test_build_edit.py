"""Edits of a site and its routes in one plan: name by name, and rules in the order in which they are tried."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gapura.config.load import examine, load
from gapura.config.plan import RoutePlan
from gapura.config.plan_edit import EditPlan

Configure = Callable[..., str]


def routes(file: str) -> list[RoutePlan]:
    return load(file)["sites"][0]["routes"]


def edits(file: str, index: int = 0) -> EditPlan:
    found = routes(file)[index]["edit"]
    assert found is not None
    return found


def test_the_route_counts_for_what_it_names_and_the_site_for_the_rest(configure: Configure) -> None:
    file = configure("""
[sites."a.xyz"]
respond = "x"
response_headers = { set = { X-A = "site", X-B = "site", X-C = "site", X-D = "" }, add = { X-E = ["1", "2"] }, remove = ["X-F"] }
[[sites."a.xyz".routes]]
path = "/y"
respond = "y"
response_headers = { set = { x-a = "route" }, add = { X-B = "route" }, remove = ["X-C", "x-e"] }
""")
    assert edits(file, 1)["response"] == {
        "remove": ["x-f", "x-a", "x-b", "x-c", "x-d"],
        "add": [["X-A", "site"], ["X-B", "site"], ["X-C", "site"], ["X-E", "1"], ["X-E", "2"]],
    }
    assert edits(file)["response"] == {
        "remove": ["x-f", "x-d", "x-c", "x-e", "x-a"],
        "add": [["x-a", "route"], ["X-B", "route"]],
    }


def test_exact_redirects_are_tried_first(configure: Configure) -> None:
    file = configure("""
[sites."a.xyz"]
respond = "x"
redirects = [{ match = "^/a", to = "/1" }, { path = "/a%20b", to = "/2", status = 301 }, { match = "^/(?<n>b)", to = "/$n" }]
""")
    assert [(rule["path"], rule["match"], rule["status"]) for rule in edits(file)["redirects"]] == [
        ("/a b", "", 301), ("", "^/a", 302), ("", "^/(?P<n>b)", 302),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("rewrite", "plain", "rules"),
    [
        ('"/new/"', "/new/", []),
        ('{ to = "/new/" }', "/new/", []),
        ('"/new/$rest"', None, [("", "/new/$rest", False)]),
        ('"/new?"', None, [("", "/new?", False)]),
        ('{ match = "^/(.*)", to = "/$1" }', None, [("^/(.*)", "/$1", False)]),
        ('{ to = "/new", reroute = true }', None, [("", "/new", True)]),
    ],
)
def test_the_forms_of_rewrite(configure: Configure, rewrite: str, plain: str | None, rules: list[tuple[str, str, bool]]) -> None:
    file = configure(f'[[sites."a.xyz".routes]]\npath = "/x/"\nproxy = "localhost:3000"\nrewrite = {rewrite}\n')
    route = routes(file)[0]
    assert route["rewrite"] == plain
    found = route["edit"]["rewrites"] if route["edit"] else []
    assert [(rule["match"], rule["to"], rule["reroute"]) for rule in found] == rules


def test_a_plain_route_has_no_plan(configure: Configure) -> None:
    assert routes(configure('[sites."a.xyz"]\nproxy = "localhost:3000"\n'))[0]["edit"] is None


def test_what_no_route_takes_is_edited_too(configure: Configure) -> None:
    text = '[sites."a.xyz"]\nresponse_headers = { set = { X-A = "1" } }\n[[sites."a.xyz".routes]]\npath = "/x"\nrespond = "x"\n'
    assert [route["action"] for route in routes(configure(text))] == ["respond", "nowhere"]
    assert [route["action"] for route in routes(configure(text.replace("/x", "/")))] == ["respond"]


def test_a_regex_that_could_run_away_is_warned_of(configure: Configure) -> None:
    file = configure("""
[sites."a.xyz"]
proxy = "localhost:3000"
redirects = [{ match = "^/(a+)+$", to = "/" }]
[[sites."a.xyz".routes]]
kind = "regex"
path = "^/(.*,)*x$"
match = { header = { X-A = ["fine", "~(b*)*"] } }
proxy = "localhost:3000"
rewrite = { match = "([^/]+)+", to = "/$1" }
""")
    told = [(warning.line, warning.message) for warning in examine(file).warnings]
    message = "in this regex a repeat stands within a repeat"
    assert sorted(told) == [(line, message) for line in (4, 7, 8, 10)]
