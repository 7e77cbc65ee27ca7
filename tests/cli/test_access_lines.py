"""Lines of access logs: whatever was written is read back, and nothing else is taken for a line."""

from __future__ import annotations

import json
import time
from ipaddress import ip_network
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapura.access_lines import Entry, Filters, parse
from gapura.cli.access_lines import coloured
from gapura.edge.log_format import compile_format

PRINTED = bytes(range(0x21, 0x7F)).replace(b"#", b"")
TARGETS = st.binary(max_size=60).map(lambda data: b"/" + bytes(PRINTED[byte % len(PRINTED)] for byte in data))
VALUES = st.binary(max_size=60).map(lambda data: data.replace(b"\n", b"").replace(b"\r", b""))


def log_plan(**words: Any) -> Any:
    plan = {"path": "x", "format": "combined", "escape": "text", "mask": [], "anonymize": False}
    return plan | {"only": [], "sample": None, "syslog": None} | words


def an_exchange(**words: Any) -> Any:
    head = SimpleNamespace(
        **{"method": b"GET", "target": b"/", "minor": 1, "user_agent": b"", "referer": b"", "lines": [], "host": b"a"}
        | {key: words.pop(key) for key in ("method", "target", "user_agent", "referer") if key in words}
    )
    head.path = head.target.partition(b"?")[0]
    start = time.monotonic_ns()
    facts: dict[str, Any] = {"head": head, "client": b"10.0.0.1", "status": 200, "sent": 5, "request_id": b"abc", "server": None}
    facts |= {"started_at": start, "ended_at": start + 3_000_000, "answered_at": 0, "claimed_at": 0, "site": None, "route": None}
    facts |= {"tries": 0, "host_name": b"a", "rewritten": b"", "user": b"", "sink": SimpleNamespace(scheme=b"http")}
    return SimpleNamespace(**facts | words)


@pytest.mark.parametrize("name", ["combined", "common", "json"])
@given(target=TARGETS, agent=VALUES, referer=VALUES, status=st.integers(100, 599), sent=st.integers(0, 1 << 40))
def test_what_is_written_is_read_back(name: str, target: bytes, agent: bytes, referer: bytes, status: int, sent: int) -> None:
    exchange = an_exchange(target=target, user_agent=agent, referer=referer, status=status, sent=sent)
    line = compile_format(log_plan(format=name))(exchange)
    assert line.count(b"\n") == 1
    entry = parse(line.decode()[:-1])
    assert entry is not None
    assert entry.status == status
    assert entry.fields["request_uri"] == target.decode("latin-1")
    assert entry.fields["body_bytes_sent"] == sent
    assert abs(entry.when - time.time()) < 30
    if name != "common":
        assert entry.fields["http_user_agent"] == (agent.decode("latin-1") or "-")
        assert entry.fields["http_referer"] == (referer.decode("latin-1") or "-")
        assert entry.fields["request_id"] == "abc"
        assert entry.seconds == pytest.approx(0.003, abs=0.001)


@given(st.text(max_size=300))
def test_anything_else_is_no_line(text: str) -> None:
    entry = parse(text)
    assert entry is None or isinstance(entry, Entry)
    assert coloured(text, entry, 0.0).isprintable()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "{}",
        "[1]",
        '{"time_iso8601": "2026-11-22T14:03:07+0700", "status": "200"}',
        '{"time_iso8601": "x", "status": 200, "remote_addr": "", "request_method": "", "request_uri": ""}',
        '{"a": ' * 5000,
        '1.2.3.4 - - [22/Nov/2026:14:03:07 +0700] "GET / HTTP/1.1" 200',
        '1.2.3.4 - - [99/Nov/2026:14:03:07 +0700] "GET / HTTP/1.1" 200 5',
        '1.2.3.4 - - [22/Nov/2026:14:03:07 +0700] "GET / HTTP/1.1" 200 5 "a" "b" junk',
        "x" * (1 << 20) + "y",
        '"' * 5000,
    ],
)
def test_what_is_no_line(text: str) -> None:
    assert parse(text) is None


def test_nginx() -> None:
    line = '1.2.3.4 - bob [22/Nov/2026:14:03:07 +0700] "GET /a?b=c HTTP/1.1" 404 5 "-" "curl/8 \\x22q\\x22"'
    entry = parse(line)
    assert entry is not None
    assert entry.when == 1795330987.0
    assert entry.fields == {
        "time_iso8601": "2026-11-22T14:03:07+0700",
        "remote_addr": "1.2.3.4",
        "remote_user": "bob",
        "request_method": "GET",
        "request_uri": "/a?b=c",
        "server_protocol": "HTTP/1.1",
        "status": 404,
        "body_bytes_sent": 5,
        "http_referer": "-",
        "http_user_agent": 'curl/8 "q"',
    }


def entry_of(**words: Any) -> Entry:
    fields = {"time_iso8601": "2026-11-22T14:03:07+0000", "remote_addr": "10.1.2.3", "request_method": "GET", "status": 200}
    found = parse(json.dumps(fields | {"request_uri": "/api/x?y=/z", "request_time": 0.2} | words))
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ({}, True),
        ({"statuses": [(200, 299)]}, True),
        ({"statuses": [(500, 599), (404, 404)]}, False),
        ({"slow": 0.2}, True),
        ({"slow": 0.21}, False),
        ({"path": "/api/*"}, True),
        ({"path": "/api"}, False),
        ({"path": "*z"}, False),
        ({"clients": [ip_network("10.0.0.0/8")]}, True),
        ({"clients": [ip_network("::/0"), ip_network("10.1.2.4/32")]}, False),
        ({"method": "get"}, True),
        ({"method": "POST"}, False),
        ({"since": 1795356187.0}, True),
        ({"since": 1795356188.0}, False),
    ],
)
def test_filters(words: dict[str, Any], wanted: bool) -> None:
    none: dict[str, Any] = {"statuses": [], "slow": 0.0, "path": "", "clients": [], "method": "", "since": 0.0}
    filters = Filters(**none | words)
    assert bool(filters) is bool(words)
    assert filters.want(entry_of()) is wanted


def test_a_client_that_is_no_address_is_in_no_network() -> None:
    filters = Filters([], 0.0, "", [ip_network("0.0.0.0/0")], "", 0.0)
    assert not filters.want(entry_of(remote_addr="unix:"))


def test_colours_say_nothing_else() -> None:
    line = compile_format(log_plan())(an_exchange(status=502, user_agent=b"\x1b[31mred", ended_at=time.monotonic_ns() + 5 * 10**9))
    text = line.decode()[:-1]
    shown = coloured(text, parse(text), 0.0)
    assert "\x1b[31m\x1b[1m502\x1b[0m" in shown
    assert "\x1b[31mred" not in shown
    assert "\\x1b[31mred" in shown
    assert "\x1b[35m" in shown, "slow"
    hostile = "\x1b]0;title\x07" + text + "\u202e"
    assert "\x1b]" not in coloured(hostile, None, 0.0)
