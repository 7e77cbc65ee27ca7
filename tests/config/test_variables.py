from __future__ import annotations

from pathlib import Path

import pytest

from gapura.config.load import load
from gapura.config.variables import ANSWER, END, FAMILIES, REQUEST, names
from gapura.edge.variables import VARIABLES, compile_text, getter


def test_the_edge_knows_just_these() -> None:
    assert set(VARIABLES) == REQUEST.keys() | ANSWER.keys() | END.keys()
    assert not REQUEST.keys() & ANSWER.keys()


def test_families_take_any_name() -> None:
    for family in FAMILIES:
        assert callable(getter(f"{family}anything"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", []), ("plain", []), ("$uri", ["uri"]), ("a${host}b$rest-$", ["host", "rest"]), ("$$uri", ["uri"]), ("${uri", [])],
)
def test_names(text: str, expected: list[str]) -> None:
    assert list(names(text)) == expected


@pytest.mark.parametrize("name", [*sorted(REQUEST), "http_accept_language", "cookie_session"])
def test_what_the_configuration_lets_pass_compiles(tmp_path: Path, name: str) -> None:
    file = tmp_path / "gapura.toml"
    file.write_text(
        f'edge.access_log.format = "${name} ${{status}}"\n'
        f'[upstreams.u]\nservers = "127.0.0.1:1"\npolicy = "hash"\nkey = "${name}"\n'
        f'[sites.a]\nredirect = "https://b/?${name}"\n'
    )
    plan = load(str(file))
    for text in (plan["edge"]["access_log"]["format"], plan["upstreams"]["u"]["key"], plan["sites"][0]["routes"][0]["location"]):
        assert callable(compile_text(text))


@pytest.mark.parametrize(
    "location", ["$request_uri", "${uri}", "$scheme://www.$host$request_uri", "/$rest", "http://b/${rest}?$args"]
)
def test_ways_to_redirect(tmp_path: Path, location: str) -> None:
    file = tmp_path / "gapura.toml"
    file.write_text(f'[sites.a]\nredirect = "{location}"\n')
    assert load(str(file))["sites"][0]["routes"][0]["location"] == location
