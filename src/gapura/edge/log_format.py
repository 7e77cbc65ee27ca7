"""What a line of the access log looks like.

`combined` is nginx's format with five fields behind it: request id, server, tries, request time, time to the server's answer.
`common` is the same without referer, agent and these. `json` is one object a line. Anything else is a format string with
`$variables`. Values that a client chooses cannot break a line (CWE-117), and secrets in query strings are hidden (`edge/mask.py`).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from gapura.config.plan_log import SECRETS, AccessLogPlan
from gapura.config.variables import PATTERN
from gapura.edge.mask import Mask, anonymous, masking
from gapura.edge.variables import Getter, escape, getter

if TYPE_CHECKING:
    from gapura.edge.exchange import Exchange

Format = Callable[["Exchange"], bytes]

_REMEMBERED: Final = 1024
"""User agents, referers and addresses whose written form is kept, none longer than `_LONGEST`: clients choose them."""
_LONGEST: Final = 256

JSON_FIELDS: Final = (
    "time_iso8601",
    "remote_addr",
    "remote_user",
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
"""The names of `json`, in their order: they are promised (docs/logs.md), new ones may follow."""
NUMBERS: Final = frozenset(("status", "body_bytes_sent", "bytes_sent", "tries", "request_time", "upstream_time", "msec"))
_MASKED: Final = frozenset(("request", "request_uri", "args", "query", "http_referer"))
"""Variables in which a query string stands."""

_MILLISECONDS: Final = tuple(b"%d.%03d" % divmod(milliseconds, 1000) for milliseconds in range(2000))
"""Durations below two seconds, ready to be written."""
_SMALL: Final = tuple(b"%d" % number for number in range(1000))
_STATUS: Final = {status: b"%d" % status for status in range(100, 600)}
_AFTER_TARGET: Final = (b' HTTP/1.0" ', b' HTTP/1.1" ')
QUOTE, BACKSLASH = 0x22, 0x5C
SECOND: Final = 1_000_000_000
"""In ns."""


def compile_format(plan: AccessLogPlan) -> Format:
    """The function that makes a line. Raises KeyError for an unknown variable."""
    text = plan["format"]
    if text == "combined":
        return Combined(plan).whole
    if text == "common":
        return Combined(plan).common
    if text == "json":
        return _json_format(plan)
    return _own_format(plan)


def _seconds(nanoseconds: int) -> bytes:
    milliseconds = nanoseconds // 1_000_000
    return _MILLISECONDS[milliseconds] if 0 <= milliseconds < 2000 else b"%.3f" % (nanoseconds / 1e9)


class Combined:
    """The default format, by hand: it is on the path of every request."""

    __slots__ = ("_until", "_stamp", "_escaped", "_mask", "_anonymous", "_addresses")

    def __init__(self, plan: AccessLogPlan) -> None:
        self._until = 0  # CLOCK_MONOTONIC in ns
        self._stamp = b""
        self._escaped: dict[bytes, bytes] = {b"": b"-"}
        self._mask = _mask(plan)
        self._anonymous = plan["anonymize"]
        self._addresses: dict[bytes, bytes] = {}

    def line(self, exchange: Exchange) -> bytes:
        """The line of an exchange that has ended."""
        ended = exchange.ended_at
        if ended >= self._until:
            self._tick()
        head = exchange.head
        target = head.target
        if target is not head.path and self._mask is not None:
            target = self._mask(target)
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

    def whole(self, exchange: Exchange) -> bytes:
        """The same where addresses are cut, or somebody may have logged in (nginx: $remote_user)."""
        line = self.line(exchange)
        user: bytes = getattr(exchange, "user", b"")
        if user:
            line = line.replace(b" - - [", b" - %b [" % escape(user).replace(b" ", b"\\x20"), 1)
        if self._anonymous:
            line = self._address(exchange.client) + line[len(exchange.client) :]
        return line

    def common(self, exchange: Exchange) -> bytes:
        """The same in the Common Log Format of the first web servers: without referer, agent and our own fields."""
        whole = self.whole(exchange)
        return whole[: whole.index(b' "', whole.index(b'" ') + 2)] + b"\n"

    def middle(self, exchange: Exchange) -> bytes:
        """What stays of a line when the very same request gets the very same answer again: from the request line to the agent."""
        line = self.line(exchange)
        start = line.index(b'] "') + 2
        return line[start : line.rindex(b'" ') + 2]

    def again(self, client: bytes, middle: bytes, request_id: bytes, started_at: int, ended_at: int) -> bytes:
        """The line of a request whose `middle` is known and that no server was asked for. Times are CLOCK_MONOTONIC in ns."""
        if ended_at >= self._until:
            self._tick()
        if self._anonymous:
            client = self._address(client)
        taken = _seconds(ended_at - started_at)
        return b"".join((client, self._stamp, middle, request_id, b" - 0 ", taken, b" -\n"))

    def _tick(self) -> None:
        """Have the stamp of this second, which holds until the wall clock's next one."""
        self._until = time.monotonic_ns() + SECOND - time.time_ns() % SECOND
        self._stamp = time.strftime(" - - [%d/%b/%Y:%H:%M:%S %z] ").encode()

    def _escape(self, value: bytes) -> bytes:
        result = escape(self._mask(value) if self._mask is not None else value)
        if len(value) <= _LONGEST:
            if len(self._escaped) >= _REMEMBERED:
                self._escaped = {b"": b"-"}
            self._escaped[value] = result
        return result

    def _address(self, client: bytes) -> bytes:
        found = self._addresses.get(client)
        if found is None:
            if len(self._addresses) >= _REMEMBERED:
                self._addresses = {}
            found = self._addresses[client] = anonymous(client)
        return found


def _mask(plan: AccessLogPlan) -> Mask | None:
    names = SECRETS if plan["mask"] is None else plan["mask"]
    return masking(names) if names else None


def _read(plan: AccessLogPlan, name: str) -> Getter:
    """The getter of a variable, with what the log is not to tell taken out."""
    read = getter(name)
    mask = _mask(plan)
    if mask is not None and name in _MASKED:
        if name in ("args", "query"):
            return lambda exchange: mask(b"?" + read(exchange))[1:]
        return lambda exchange: mask(read(exchange))
    if plan["anonymize"] and name == "remote_addr":
        return lambda exchange: anonymous(read(exchange))
    return read


def _json_format(plan: AccessLogPlan) -> Format:
    getters = [(name, _read(plan, name)) for name in JSON_FIELDS]

    def build(exchange: Exchange) -> bytes:
        fields: dict[str, object] = {}
        for name, read in getters:
            text = read(exchange).decode("latin-1")
            fields[name] = (float(text) if "." in text else int(text)) if name in NUMBERS and text != "-" else text
        return json.dumps(fields).encode() + b"\n"

    return build


def _json_escape(value: bytes) -> bytes:
    """A value as it may stand between quotes in JSON: 8-bit characters one by one, as in `json`."""
    return json.dumps(value[:MAX_VALUE].decode("latin-1"))[1:-1].encode()


MAX_VALUE: Final = 2048
"""Bytes of one value in a format of one's own."""


def _own_format(plan: AccessLogPlan) -> Format:
    quote = _json_escape if plan["escape"] == "json" else escape
    text = plan["format"]
    parts: list[bytes | Getter] = []
    position = 0
    for match in PATTERN.finditer(text):
        parts += [text[position : match.start()].encode(), _quoted(_read(plan, match[1] or match[2]), quote)]
        position = match.end()
    parts += [text[position:].encode(), b"\n"]

    def build(exchange: Exchange) -> bytes:
        return b"".join([part if isinstance(part, bytes) else part(exchange) for part in parts])

    return build


def _quoted(read: Getter, quote: Callable[[bytes], bytes]) -> Getter:
    return lambda exchange: quote(read(exchange))
