"""The access log: one line per exchange, formatted when it ends, written in batches.

`combined` is nginx's format with five fields behind it: request id, server, tries, request time, time to the server's answer.
`json` is one object a line. Anything else is a format string with `$variables`.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from gapura.edge.variables import compile_text, escape, getter
from gapura.log import open_log

if TYPE_CHECKING:
    from gapura.edge.exchange import Exchange

Format = Callable[["Exchange"], bytes]

BATCH: Final = 64 << 10
"""Bytes of lines after which they are written at once."""
_REMEMBERED: Final = 1024
"""User agents and referers whose escaped form is kept, none longer than `_LONGEST`: clients choose them."""
_LONGEST: Final = 256

_JSON_FIELDS: Final = (
    "time_iso8601",
    "remote_addr",
    "site",
    "request_method",
    "request_uri",
    "server_protocol",
    "status",
    "body_bytes_sent",
    "http_referer",
    "http_user_agent",
    "request_id",
    "upstream",
    "server",
    "upstream_addr",
    "tries",
    "request_time",
    "upstream_time",
)
_NUMBERS: Final = frozenset(("status", "body_bytes_sent", "tries", "request_time", "upstream_time"))


_MILLISECONDS: Final = tuple(b"%d.%03d" % divmod(milliseconds, 1000) for milliseconds in range(2000))
"""Durations below two seconds, ready to be written."""


_SMALL: Final = tuple(b"%d" % number for number in range(1000))
_STATUS: Final = {status: b"%d" % status for status in range(100, 600)}
_AFTER_TARGET: Final = (b' HTTP/1.0" ', b' HTTP/1.1" ')
QUOTE, BACKSLASH = 0x22, 0x5C


def _seconds(nanoseconds: int) -> bytes:
    milliseconds = nanoseconds // 1_000_000
    return _MILLISECONDS[milliseconds] if 0 <= milliseconds < 2000 else b"%.3f" % (nanoseconds / 1e9)


class _Combined:
    """The default format, by hand: it is on the path of every request."""

    __slots__ = ("_second", "_stamp", "_escaped")

    def __init__(self) -> None:
        self._second = 0
        self._stamp = b""
        self._escaped: dict[bytes, bytes] = {b"": b"-"}

    def line(self, exchange: Exchange) -> bytes:
        """The line of an exchange that has ended."""
        ended = exchange.ended_at
        second = ended // 1_000_000_000
        if second != self._second:
            self._second = second
            self._stamp = time.strftime(" - - [%d/%b/%Y:%H:%M:%S %z] ").encode()
        head = exchange.head
        target = head.target
        if QUOTE in target or BACKSLASH in target:
            target = escape(target)
        escaped = self._escaped
        agent, referer = head.user_agent, head.referer
        answered = exchange.answered_at
        server = exchange.server
        sent = exchange.sent
        return b"".join(
            (
                exchange.client, self._stamp, b'"', head.method, b" ", target, _AFTER_TARGET[head.minor],
                _STATUS.get(exchange.status) or b"%d" % exchange.status, b" ",
                _SMALL[sent] if sent < 1000 else b"%d" % sent, b' "',
                escaped.get(referer) or self._escape(referer), b'" "',
                escaped.get(agent) or self._escape(agent), b'" ',
                exchange.request_id, b" ",
                server.id_bytes if server is not None else b"-", b" ",
                _SMALL[exchange.tries] if exchange.tries < 1000 else b"999", b" ",
                _seconds(ended - exchange.started_at), b" ",
                _seconds(answered - exchange.claimed_at) if answered else b"-", b"\n",
            )
        )  # fmt: skip

    def _escape(self, value: bytes) -> bytes:
        result = escape(value)
        if len(value) <= _LONGEST:
            if len(self._escaped) >= _REMEMBERED:
                self._escaped = {b"": b"-"}
            self._escaped[value] = result
        return result


def _json_format() -> Format:
    getters = [(name, getter(name)) for name in _JSON_FIELDS]

    def build(exchange: Exchange) -> bytes:
        fields: dict[str, object] = {}
        for name, read in getters:
            text = read(exchange).decode("latin-1")
            fields[name] = (float(text) if "." in text else int(text)) if name in _NUMBERS and text != "-" else text
        return json.dumps(fields).encode() + b"\n"

    return build


def compile_format(text: str) -> Format:
    """The function that makes a line. Raises KeyError for an unknown variable."""
    if text == "combined":
        return _Combined().line
    if text == "json":
        return _json_format()
    build = compile_text(text, escape)
    return lambda exchange: build(exchange) + b"\n"


class AccessLog:
    """Collects lines and writes them to a file that can be opened anew. A full disk loses lines and counts them."""

    __slots__ = ("path", "lost", "_format", "_lines", "_size", "_fd")

    def __init__(self, path: str, text: str) -> None:
        self.path = path
        self._format = compile_format(text)
        self.lost = 0
        self._lines: list[bytes] = []
        self._size = 0
        self._fd = -1
        self.reopen()

    def add(self, exchange: Exchange) -> None:
        """Log an exchange that has ended."""
        line = self._format(exchange)
        self._lines.append(line)
        self._size += len(line)
        if self._size > BATCH:
            self.flush()

    def flush(self) -> None:
        """Write what has been collected: called every half second, and when a batch is full."""
        lines = self._lines
        if not lines:
            return
        data = b"".join(lines)
        count = len(lines)
        lines.clear()
        self._size = 0
        try:
            written = os.write(self._fd, data) if self._fd >= 0 else 0
            if written < len(data) and self._fd >= 0:
                written += os.write(self._fd, data[written:])
        except OSError:
            written = 0
        if written < len(data):
            self.lost += count

    def reopen(self) -> None:
        """Open the file anew, after rotation by somebody else. Keeps the old one when that fails."""
        self.flush()
        try:
            fresh = os.dup(1) if self.path == "-" else open_log(self.path)
        except OSError:
            return
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = fresh

    def close(self) -> None:
        """Write the rest and close."""
        self.flush()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
