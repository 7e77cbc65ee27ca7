"""Lines of an access log, read back: what they say, and which of them are wanted."""

from __future__ import annotations

import fnmatch
import functools
import json
import re
import time
from collections.abc import Callable
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Any, Final, NamedTuple

KNOWN: Final = ("combined", "common", "json")
"""Formats whose lines can be taken apart."""
_VALUE: Final = r'"((?:[^"\\]|\\x[0-9A-Fa-f]{2})*)"'
COMBINED: Final = re.compile(
    r"(?P<remote_addr>\S+) - (?P<remote_user>.*?) \[(?P<time>[^\]]{26})\] "
    r'"(?P<request_method>[^ "]+) (?P<request_uri>(?:[^"\\]|\\x[0-9A-Fa-f]{2})*) (?P<server_protocol>HTTP/[0-9.]+)" '
    r"(?P<status>[0-9]{3}) (?P<body_bytes_sent>[0-9]+)"
    rf"(?: {_VALUE.replace('(', '(?P<http_referer>', 1)} {_VALUE.replace('(', '(?P<http_user_agent>', 1)}"
    r"(?: (?P<request_id>\S+) (?P<server>\S+) (?P<tries>[0-9]+) (?P<request_time>[0-9.]+) (?P<upstream_time>[0-9.]+|-))?)?"
)
_ESCAPED: Final = re.compile(r"\\x([0-9A-Fa-f]{2})")
_LONGEST: Final = 1 << 20
"""Characters of a line that is taken apart; no request makes a longer one."""
_STATUS: Final = re.compile(r"([1-5])xx|([1-5][0-9]{2})(?:-([1-5][0-9]{2}))?", re.ASCII)
_TEXTS: Final = ("remote_addr", "request_method", "request_uri")


def statuses_of(text: str) -> list[tuple[int, int]]:
    """Lowest and highest statuses from what people write: `404,5xx,400-499`. Raises ValueError with the word that is none."""
    ranges = []
    for word in text.split(","):
        match = _STATUS.fullmatch(word.strip().lower())
        if match is None:
            raise ValueError(word)
        ranges.append((int(match[1]) * 100, int(match[1]) * 100 + 99) if match[1] else (int(match[2]), int(match[3] or match[2])))
    return ranges


class Entry(NamedTuple):
    """One line: its text, and what it says; `fields` has the names of the format `json`. `when` is in seconds since 1970."""

    text: str
    when: float
    fields: dict[str, Any]

    @property
    def status(self) -> int:
        return int(self.fields["status"])

    @property
    def seconds(self) -> float | None:
        """How long it took, where the format tells."""
        value = self.fields.get("request_time")
        return float(value) if isinstance(value, int | float) else None


@functools.lru_cache(maxsize=16)  # a line is looked at more than once
def parse(text: str) -> Entry | None:
    """What a line in one of our formats, or nginx's `combined`, says; None for any other line."""
    if len(text) > _LONGEST:
        return None
    return _json(text) if text.startswith("{") else _combined(text)


def _combined(text: str) -> Entry | None:
    match = COMBINED.fullmatch(text)
    if match is None:
        return None
    fields: dict[str, Any] = {name: value for name, value in match.groupdict().items() if value is not None}
    stamp = fields.pop("time")
    when = _moment(stamp, "%d/%b/%Y:%H:%M:%S %z")
    if when is None:
        return None
    for name in ("remote_user", "request_uri", "http_referer", "http_user_agent"):
        if name in fields:
            fields[name] = _ESCAPED.sub(lambda found: chr(int(found[1], 16)), fields[name])
    for name in ("status", "body_bytes_sent", "tries"):
        if name in fields:
            fields[name] = int(fields[name])
    for name in ("request_time", "upstream_time"):
        if fields.get(name, "-") != "-":
            fields[name] = _number(fields[name])
    zone = stamp[-5:]
    local = time.gmtime(when + (1 if zone[0] == "+" else -1) * (int(zone[1:3]) * 3600 + int(zone[3:]) * 60))
    return Entry(text, when, {"time_iso8601": time.strftime("%Y-%m-%dT%H:%M:%S", local) + zone, **fields})


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _json(text: str) -> Entry | None:
    try:
        fields = json.loads(text)
        when = _moment(fields["time_iso8601"], "%Y-%m-%dT%H:%M:%S%z")
        good = type(fields["status"]) is int and all(type(fields[name]) is str for name in _TEXTS)
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return Entry(text, when, fields) if good and when is not None else None


_moments: dict[tuple[str, str], float] = {}


def _moment(stamp: str, form: str) -> float | None:
    """A time stamp in seconds since 1970. Many lines have the same one."""
    found = _moments.get((stamp, form))
    if found is None:
        try:
            fields = time.strptime(stamp, form)
        except ValueError:
            return None
        # mktime reads it as our standard time; what it is off by, and the stamp's own offset, are taken away again
        found = time.mktime((*fields[:8], 0)) - time.timezone - (fields.tm_gmtoff or 0)
        if len(_moments) > 1000:
            _moments.clear()
        _moments[stamp, form] = found
    return found


class Filters:
    """Which entries are wanted."""

    def __init__(
        self,
        statuses: list[tuple[int, int]],
        slow: float,
        path: str,
        clients: list[IPv4Network | IPv6Network],
        method: str,
        since: float,
    ) -> None:
        self.since = since
        self.slow = slow
        self._tests: list[Callable[[Entry], bool]] = []
        if statuses:
            self._tests.append(lambda entry: any(low <= entry.status <= high for low, high in statuses))
        if slow:
            self._tests.append(lambda entry: (entry.seconds or 0.0) >= slow)
        if path:
            matches = re.compile(fnmatch.translate(path)).match
            self._tests.append(lambda entry: matches(entry.fields["request_uri"].partition("?")[0]) is not None)
        if clients:
            self._tests.append(lambda entry: _within(entry.fields["remote_addr"], clients))
        if method:
            self._tests.append(lambda entry: entry.fields["request_method"] == method.upper())
        if since:
            self._tests.append(lambda entry: entry.when >= since)

    def __bool__(self) -> bool:
        return bool(self._tests)

    def of_site(self, name: str) -> None:
        """Only those of a site, by its name in the log."""
        self._tests.append(lambda entry: entry.fields.get("site") == name)

    def want(self, entry: Entry) -> bool:
        """Whether it passes all of them."""
        return all(test(entry) for test in self._tests)


def _within(client: str, networks: list[IPv4Network | IPv6Network]) -> bool:
    try:
        address = ip_address(client)
    except ValueError:
        return False
    return any(address in network for network in networks if network.version == address.version)
