"""`$variables` in strings of the configuration: compiled once, read from the exchange when needed.

Which names there are, and what they mean, stands in `config/variables.py`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from gapura.config.plan import join_address
from gapura.config.variables import PATTERN
from gapura.wire.headers import find

if TYPE_CHECKING:
    from gapura.edge.exchange import Exchange

Getter = Callable[["Exchange"], bytes]
Quote = Callable[[bytes], bytes]


def _seconds(nanoseconds: int) -> bytes:
    return b"%.3f" % (nanoseconds / 1e9)


def _upstream_time(exchange: Exchange) -> bytes:
    return _seconds(exchange.answered_at - exchange.claimed_at) if exchange.answered_at else b"-"


def _upstream_addr(exchange: Exchange) -> bytes:
    server = exchange.server
    if server is None:
        return b"-"
    return server.address.encode() if server.path else join_address(server.host, exchange.server_port).encode()


def _time_local(exchange: Exchange) -> bytes:
    return time.strftime("%d/%b/%Y:%H:%M:%S %z").encode()


def _time_iso(exchange: Exchange) -> bytes:
    return time.strftime("%Y-%m-%dT%H:%M:%S%z").encode()


VARIABLES: Final[dict[str, Getter]] = {
    "remote_addr": lambda exchange: exchange.client,
    "remote_user": lambda exchange: b"-",
    "time_local": _time_local,
    "time_iso8601": _time_iso,
    "msec": lambda exchange: b"%.3f" % time.time(),
    "request": lambda exchange: b"%b %b HTTP/1.%d" % (exchange.head.method, exchange.head.target, exchange.head.minor),
    "request_method": lambda exchange: exchange.head.method,
    "request_uri": lambda exchange: exchange.head.target,
    "uri": lambda exchange: exchange.head.path,
    "args": lambda exchange: exchange.head.target.partition(b"?")[2],
    "query": lambda exchange: exchange.head.target.partition(b"?")[2],
    "host": lambda exchange: exchange.host_name,
    "http_host": lambda exchange: exchange.head.host or b"",
    "scheme": lambda exchange: exchange.sink.scheme,
    "server_protocol": lambda exchange: b"HTTP/1.%d" % exchange.head.minor,
    "status": lambda exchange: b"%d" % exchange.status,
    "bytes_sent": lambda exchange: b"%d" % exchange.sent,
    "body_bytes_sent": lambda exchange: b"%d" % exchange.sent,
    "request_time": lambda exchange: _seconds(exchange.ended_at - exchange.started_at),
    "request_id": lambda exchange: exchange.request_id,
    "http_user_agent": lambda exchange: exchange.head.user_agent or b"-",
    "http_referer": lambda exchange: exchange.head.referer or b"-",
    "site": lambda exchange: exchange.site.name if exchange.site else b"-",
    "route": lambda exchange: exchange.route.name if exchange.route else b"-",
    "upstream": lambda exchange: exchange.route.plan["upstream"].encode() or b"-" if exchange.route else b"-",
    "server": lambda exchange: exchange.server.id_bytes if exchange.server else b"-",
    "upstream_addr": _upstream_addr,
    "tries": lambda exchange: b"%d" % exchange.tries,
    "upstream_response_time": _upstream_time,
    "upstream_time": _upstream_time,
    "rest": lambda exchange: exchange.head.path[len(exchange.route.prefix) :] if exchange.route else b"",
}


def _header(name: str) -> Getter:
    wanted = name.replace("_", "-").encode()
    return lambda exchange: find(exchange.head.lines, wanted) or b""


def _cookie(name: str) -> Getter:
    wanted = name.encode() + b"="

    def read(exchange: Exchange) -> bytes:
        for pair in (find(exchange.head.lines, b"cookie") or b"").split(b";"):
            pair = pair.strip(b" \t")
            if pair.startswith(wanted):
                return pair[len(wanted) :]
        return b""

    return read


def getter(name: str) -> Getter:
    """The getter of one variable. Raises KeyError for an unknown one."""
    found = VARIABLES.get(name)
    if found:
        return found
    if name.startswith("http_"):
        return _header(name[5:].lower())
    if name.startswith("cookie_"):
        return _cookie(name[7:])
    raise KeyError(name)


_DECODED: Final = frozenset(("uri", "rest"))


def compile_text(text: str, quote: Quote | None = None, quote_decoded: Quote | None = None) -> Getter:
    """A function from an exchange to the string with its variables filled in, each passed through `quote`.

    `quote_decoded` is for $uri and $rest, whose percent signs are no escapes any more. Raises KeyError for an unknown variable.
    """
    parts: list[bytes | Getter] = []
    position = 0
    for match in PATTERN.finditer(text):
        name = match[1] or match[2]
        quoted = _quoted(getter(name), quote_decoded if name in _DECODED and quote_decoded else quote)
        parts += [text[position : match.start()].encode(), quoted]
        position = match.end()
    parts.append(text[position:].encode())
    if len(parts) == 1:
        constant = text.encode()
        return lambda exchange: constant

    def build(exchange: Exchange) -> bytes:
        return b"".join([part if isinstance(part, bytes) else part(exchange) for part in parts])

    return build


def _quoted(read: Getter, quote: Quote | None) -> Getter:
    return (lambda exchange: quote(read(exchange))) if quote else read


_ESCAPED: Final = {byte: b"\\x%02x" % byte for byte in (*range(0x20), 0x7F, *range(0x80, 0x100))} | {0x22: b"\\x22", 0x5C: b"\\x5C"}
_PLAIN: Final = bytes(byte for byte in range(0x20, 0x7F) if byte not in (0x22, 0x5C))
MAX_LOGGED: Final = 2048


def escape(value: bytes) -> bytes:
    """A value as it may stand between quotes in a log line: one line, no quote, no control or 8-bit character (CWE-117)."""
    if len(value) > MAX_LOGGED:
        value = value[:MAX_LOGGED]
    if not value.translate(None, _PLAIN):
        return value
    return b"".join(_ESCAPED.get(byte) or bytes((byte,)) for byte in value)


_URL: Final = bytes(range(0x21, 0x7F)).translate(None, b'"<>\\^`{|}')


def quote_url(value: bytes) -> bytes:
    """A value as part of a URL in a header: what does not belong there is percent-encoded again."""
    if not value.translate(None, _URL):
        return value
    return b"".join(bytes((byte,)) if byte in _URL else b"%%%02X" % byte for byte in value)


def quote_path(path: bytes) -> bytes:
    """A decoded path with everything percent-encoded that may not stand in a target; `%2F` stays."""
    plain = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~!$&'()*+,;=:@/"
    return b"".join(bytes((byte,)) if byte in plain else b"%%%02X" % byte for byte in path).replace(b"%252F", b"%2F")
