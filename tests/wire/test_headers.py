"""Header fields: checked, remembered when that is safe, found again."""

from __future__ import annotations

import pytest

from gapura.wire import request, response
from gapura.wire.headers import (
    MAX_KNOWN,
    MAX_REMEMBERED,
    KnownLines,
    bad,
    cookies,
    find,
    find_all,
    tokens,
    value_of,
    without,
)


def known(**kinds: int) -> KnownLines:
    return KnownLines({name.encode(): kind for name, kind in kinds.items()}, varying=frozenset((b"cookie",)))


def test_a_line_is_its_kind_and_its_value() -> None:
    lines = known(host=7)
    assert lines.learn(b"HoSt: \t example.com \t") == (7, b"example.com")
    assert lines.learn(b"Host:") == (7, b"")
    assert lines[b"Host:"] == (7, b"")


def test_a_line_that_is_passed_on_is_plain() -> None:
    lines = known()
    assert lines.learn(b"Accept:*/*") is True
    assert lines[b"Accept:*/*"] is True


def test_a_kind_may_have_a_parser() -> None:
    lines = KnownLines({b"n": 3}, frozenset(), {3: int})
    assert lines.learn(b"N: 12") == (3, 12)
    for _ in range(2):
        with pytest.raises(ValueError, match="invalid literal"):
            lines.learn(b"N: x")


@pytest.mark.parametrize(
    "line",
    [
        b"no colon",
        b": no name",
        b"Name : space before the colon",
        b" Name: leading space",
        b"Na me: space inside",
        b"Na\xe4me: eight bits",
        b"Name\0: NUL",
        b"Name(: delimiter",
        b"Name: a\rb",
        b"Name: a\nb",
        b"Name: a\0b",
        b"Name: a\x0bb",
        b"Name: a\x7fb",
        b"",
    ],
)
def test_a_malformed_line_is_refused_and_not_remembered(line: bytes) -> None:
    lines = known()
    with pytest.raises(ValueError, match="header"):
        lines.learn(line)
    assert line not in lines


def test_white_space_that_only_python_strips_stays() -> None:
    assert known(a=1).learn(b"A: \x85x\xa0")[1] == b"\x85x\xa0"


def test_the_memory_is_bounded() -> None:
    lines = known()
    for number in range(3 * MAX_KNOWN):
        lines.learn(b"A: %d" % number)
        assert len(lines) <= MAX_KNOWN
    lines.learn(b"B: " + b"b" * MAX_REMEMBERED)
    assert not [line for line in lines if len(line) > MAX_REMEMBERED]


def test_the_memory_of_names_is_bounded_in_bytes() -> None:
    """A client chooses its names: thousands of long ones must not stay."""
    lines = known()
    for number in range(3 * MAX_KNOWN):
        lines.learn(b"%d%s: a" % (number, b"n" * 1000))
    assert sum(map(len, lines._names)) <= MAX_KNOWN * MAX_REMEMBERED


@pytest.mark.parametrize(
    "name",
    [
        "Cookie",
        "authorization",
        "PROXY-AUTHORIZATION",
        "X-Api-Key",
        "X-Auth-Token",
        "X-CSRF-Token",
        "X-XSRF-Token",
        "Sec-WebSocket-Key",
    ],
)
def test_secrets_of_clients_are_not_remembered(name: str) -> None:
    line = f"{name}: s3cr3t".encode()
    head = request.parse_request(b"GET / HTTP/1.1\r\nHost: a\r\nAccept: secretless\r\n" + line)
    assert line in head.lines
    assert not [kept for kept in request.KNOWN if b"s3cr3t" in kept]
    assert b"Accept: secretless" in request.KNOWN


def test_secrets_of_servers_are_not_remembered() -> None:
    response.parse_response(b"HTTP/1.1 200 OK\r\nSet-Cookie: id=s3cr3t\r\nServer: secretless", b"GET")
    assert not [kept for kept in response.KNOWN if b"s3cr3t" in kept]
    assert b"Server: secretless" in response.KNOWN


def test_lines_are_found_by_name() -> None:
    lines = [b"A: 1", b"b:\t2 ", b"a: 3"]
    assert value_of(b"A: x: y ") == b"x: y"
    assert find(lines, b"b") == b"2"
    assert find(lines, b"c") is None
    assert find_all(lines, b"a") == [b"1", b"3"]
    assert without(lines, {b"a"}) == [b"b:\t2 "]


def test_a_list_is_its_members() -> None:
    assert tokens(b" Close,, keep-alive ,\t,X") == (b"close", b"keep-alive", b"x")
    assert tokens(b"") == ()


@pytest.mark.parametrize(
    ("value", "good"), [(b"a b\tc\xff", True), (b"", True), (b"a\r\nB: c", False), (b"a\0", False), (b"\x7f", False)]
)
def test_the_last_check_before_a_value_leaves(value: bytes, good: bool) -> None:
    assert bad(value) is not good


def test_cookies() -> None:
    lines = [b"Cookie: a=1; b = 2;b=3=4 ;\tB=5; ab=6", b"Accept: b=7", b"COOKIE:b=;b"]
    assert cookies(lines, b"b") == [b"3=4", b""]
    assert cookies(lines, b"a") == [b"1"]
    assert cookies([], b"a") == []
