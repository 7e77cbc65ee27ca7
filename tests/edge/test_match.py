"""Conditions beside the path: each kind of test, on requests as they come."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from gapura.config.build_match import match
from gapura.config.findings import Findings
from gapura.config.plan_match import MatchPlan
from gapura.config.schema_match import Match, MatchOptions
from gapura.config.source import Sources
from gapura.edge.match import FITS, FITS_NOT, OTHER_METHOD, Conditions
from gapura.wire.request import parse_request


def plan(methods: list[str] | None = None, **tests: object) -> MatchPlan:
    route = MatchOptions(methods=methods, match=Match(**tests) if tests else None)  # type: ignore[arg-type]
    found = match(route, (), Findings(Sources("/dev/null")))
    assert found is not None
    return found


def asking(target: str = "/", *lines: str, method: str = "GET", client: bytes = b"10.0.0.1") -> SimpleNamespace:
    block = "\r\n".join([f"{method} {target} HTTP/1.1", "Host: a.example", *lines]).encode("latin-1")
    return SimpleNamespace(head=parse_request(block), client=client, groups=None, rewritten=b"")


@pytest.mark.parametrize(
    ("value", "lines", "fits"),
    [
        ("1", ["X-Beta: 1"], True),
        ("1", ["x-beta:   1  "], True),
        ("1", ["X-Beta: 2"], False),
        ("1", [], False),
        ("1", ["X-Beta: 2", "X-Beta: 1"], True),
        ("1", ["X-Beta: 11"], False),
        ("~^[12]$", ["X-Beta: 2"], True),
        ("~^[12]$", ["X-Beta: 3"], False),
        ("~json", ["X-Beta: application/json"], True),
        ("~json", ["X-Beta: application/JSON"], False),
        ("~*json", ["X-Beta: application/JSON"], True),
        (True, ["X-Beta: anything"], True),
        (True, ["X-Beta:"], True),
        (True, [], False),
        (False, [], True),
        (False, ["X-Beta: x"], False),
        (["1", "~^x"], ["X-Beta: xyz"], True),
        (["1", "~^x"], ["X-Beta: 1"], True),
        (["1", "~^x"], ["X-Beta: yx"], False),
        (2, ["X-Beta: 2"], True),
    ],
)
def test_a_header(value: object, lines: list[str], fits: bool) -> None:
    assert Conditions(plan(header={"X-Beta": value})).check(asking("/", *lines)) == (FITS if fits else FITS_NOT)


@pytest.mark.parametrize(
    ("name", "value", "lines"),
    [
        ("Upgrade", "websocket", ["Connection: Upgrade", "Upgrade: websocket"]),
        ("User-Agent", "~curl", ["User-Agent: curl/8"]),
        ("Referer", "~example", ["Referer: https://a.example/"]),
        ("X-Request-Id", "abc", ["X-Request-Id: abc"]),
        ("Content-Length", "3", ["Content-Length: 3"]),
    ],
)
def test_headers_that_the_proxy_deals_with_itself(name: str, value: str, lines: list[str]) -> None:
    assert Conditions(plan(header={name: value})).check(asking("/", *lines)) == FITS
    assert Conditions(plan(header={name: value})).check(asking("/")) == FITS_NOT


@pytest.mark.parametrize(
    ("value", "target", "fits"),
    [
        ("2", "/?v=2", True),
        ("2", "/?a=1&v=2", True),
        ("2", "/?v=1&v=2", True),
        ("2", "/?v=%32", True),
        ("2", "/?%76=2", True),
        ("2", "/?V=2", False),
        ("2", "/?vv=2", False),
        ("2", "/", False),
        ("a b", "/?v=a+b", True),
        ("a b", "/?v=a%20b", True),
        ("%32", "/?v=%2532", True),
        ("2", "/?v=%", False),
        (True, "/?v", True),
        (True, "/?v=", True),
        (True, "/?x=v", False),
        (False, "/", True),
        (False, "/?v", False),
    ],
)
def test_an_argument(value: object, target: str, fits: bool) -> None:
    assert Conditions(plan(query={"v": value})).check(asking(target)) == (FITS if fits else FITS_NOT)


@pytest.mark.parametrize(
    ("value", "lines", "fits"),
    [
        ("b", ["Cookie: a=b"], True),
        ("b", ["Cookie: x=y;a=b; c=d"], True),
        ("b", ["Cookie: x=y", "Cookie: a=b"], True),
        ("b", ["Cookie: aa=b"], False),
        ("b", ["Cookie: A=b"], False),
        ("b=c", ["Cookie: a=b=c"], True),
        (True, ["Cookie: a="], True),
        (True, ["Cookie: a"], False),
        (False, [], True),
    ],
)
def test_a_cookie(value: object, lines: list[str], fits: bool) -> None:
    assert Conditions(plan(cookie={"a": value})).check(asking("/", *lines)) == (FITS if fits else FITS_NOT)


@pytest.mark.parametrize(
    ("networks", "client", "fits"),
    [
        ("10.0.0.0/8", b"10.1.2.3", True),
        ("10.0.0.0/8", b"11.1.2.3", False),
        (["192.168.0.0/16", "2001:db8::/32"], b"2001:db8::5", True),
        ("2001:db8::/32", b"10.1.2.3", False),
        ("127.0.0.1", b"127.0.0.1", True),
        ("0.0.0.0/0", b"unknown", False),
    ],
)
def test_a_client(networks: object, client: bytes, fits: bool) -> None:
    conditions = Conditions(plan(client=[networks] if isinstance(networks, str) else networks))
    for _ in range(2):  # the second time from memory
        assert conditions.check(asking(client=client)) == (FITS if fits else FITS_NOT)


def test_all_conditions_must_hold_and_the_method_is_told_apart() -> None:
    conditions = Conditions(plan(["GET", "PUT"], header={"X": "1"}, query={"v": "2"}))
    assert conditions.check(asking("/?v=2", "X: 1")) == FITS
    assert conditions.check(asking("/?v=2", "X: 1", method="HEAD")) == FITS
    assert conditions.check(asking("/?v=2", "X: 1", method="POST")) == OTHER_METHOD
    assert conditions.check(asking("/?v=2", method="POST")) == FITS_NOT
    assert conditions.check(asking("/?v=3", "X: 1")) == FITS_NOT


def test_a_preflight_is_for_the_method_that_it_asks_for() -> None:
    preflight = asking("/", "Origin: https://b.example", "Access-Control-Request-Method: PUT", method="OPTIONS")
    assert Conditions(plan(["PUT"]), preflight=True).check(preflight) == FITS
    assert Conditions(plan(["POST"]), preflight=True).check(preflight) == OTHER_METHOD
    assert Conditions(plan(["PUT"])).check(preflight) == OTHER_METHOD


def test_addresses_that_are_remembered_are_not_without_number() -> None:
    conditions = Conditions(plan(client=["10.0.0.0/8"]))
    for number in range(5000):
        assert conditions.check(asking(client=b"10.0.%d.%d" % divmod(number, 256))) == FITS
