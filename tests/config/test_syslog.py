"""Addresses of syslog servers."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic_core import PydanticCustomError

from gapura.config.syslog import parse_syslog

LOCAL = {"path": "/dev/log", "host": "", "port": 0, "rfc": 3164, "priority": 190, "tag": "gapura"}
REMOTE = LOCAL | {"path": "", "host": "h", "port": 514, "rfc": 5424}


@pytest.mark.parametrize(
    ("text", "plan"),
    [
        ("syslog:", LOCAL),
        ("syslog:/run/x", LOCAL | {"path": "/run/x"}),
        ("syslog:?tag=shop", LOCAL | {"tag": "shop"}),
        ("syslog:/dev/log?rfc=5424", LOCAL | {"rfc": 5424}),
        ("syslog:udp://h", REMOTE),
        ("syslog:udp://h:1514/", REMOTE | {"port": 1514}),
        ("syslog:udp://[::1]:99", REMOTE | {"host": "::1", "port": 99}),
        ("syslog:udp://h?facility=kern&severity=emerg", REMOTE | {"priority": 0}),
        ("syslog:udp://h?facility=local0&severity=debug&rfc=3164", REMOTE | {"priority": 135, "rfc": 3164}),
        ("syslog:?facility=news", LOCAL | {"priority": 62}),
        ("syslog:?facility=uucp", LOCAL | {"priority": 70}),
        ("syslog:?facility=ftp", LOCAL | {"priority": 94}),
    ],
)
def test_servers(text: str, plan: dict[str, Any]) -> None:
    assert parse_syslog(text) == plan


@pytest.mark.parametrize(
    "text",
    [
        "syslog:relative",
        "syslog:tcp://h",
        "syslog:udp://",
        "syslog:udp://h:x",
        f"syslog:udp://{64 * 'x'}.example",
        "syslog:udp://h:99999",
        "syslog:udp://h/path",
        "syslog:udp://me@h",
        "syslog:udp://[::1",
        "syslog:?facility=locl0",
        "syslog:?severity=bad",
        "syslog:?tag=",
        "syslog:?tag=two%20words",
        "syslog:?tag=" + "x" * 33,
        "syslog:?rfc=1",
        "syslog:?colour=red",
    ],
)
def test_what_is_none(text: str) -> None:
    with pytest.raises(PydanticCustomError) as caught:
        parse_syslog(text)
    assert caught.value.context
