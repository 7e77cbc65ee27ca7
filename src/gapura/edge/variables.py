"""`$variables` in strings of the configuration: compiled once, read from the exchange when needed.

Which names there are, and what they mean, stands in `config/variables.py`.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Container
from typing import TYPE_CHECKING, Any, Final

from gapura.config.plan import join_address
from gapura.config.variables import PATTERN
from gapura.wire.headers import cookies, find, find_all
from gapura.wire.trace_context import parse_traceparent

if TYPE_CHECKING:
    from gapura.edge.encrypted import Encrypted
    from gapura.edge.exchange import Exchange
    from gapura.wire.request import RequestHead

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


def _query(exchange: Exchange) -> bytes:
    return (exchange.rewritten or exchange.head.target).partition(b"?")[2]


def _uri(exchange: Exchange) -> bytes:
    return exchange.head.path


def _site(exchange: Exchange) -> bytes:
    return exchange.site.name if exchange.site else b"-"


def _rest(exchange: Exchange) -> bytes:
    route = exchange.route
    return exchange.head.path[len(route.prefix) :] if route is not None and not route.regex else b""


def _tls(exchange: Exchange) -> Encrypted | None:
    """TLS of the client's connection, None without it."""
    return getattr(exchange.sink, "tls", None)


def _trace_id(exchange: Exchange) -> bytes:
    """The id that is told to servers, else the one that came: without `[tracing]` that is the same."""
    trace = getattr(exchange, "trace", None)
    if trace is not None:
        return bytes(trace.id)
    said = find_all(exchange.head.lines, b"traceparent")
    parent = parse_traceparent(said[0]) if len(said) == 1 else None
    return parent.trace if parent is not None else b"-"


def _port(which: str) -> Getter:
    """The port of one end of the client's connection: asked for only when somebody wants to know."""

    def read(exchange: Exchange) -> bytes:
        sink: Any = exchange.sink
        while hasattr(sink, "inner"):
            sink = sink.inner
        transport = getattr(sink, "transport", None)
        name = transport.get_extra_info(which) if transport is not None else None
        return b"%d" % name[1] if isinstance(name, tuple) else b""

    return read


def _time_local(exchange: Exchange) -> bytes:
    return time.strftime("%d/%b/%Y:%H:%M:%S %z").encode()


def _time_iso(exchange: Exchange) -> bytes:
    return time.strftime("%Y-%m-%dT%H:%M:%S%z").encode()


VARIABLES: Final[dict[str, Getter]] = {
    "remote_addr": lambda exchange: exchange.client,
    "remote_user": lambda exchange: getattr(exchange, "user", b"-"),
    "time_local": _time_local,
    "time_iso8601": _time_iso,
    "msec": lambda exchange: b"%.3f" % time.time(),
    "request": lambda exchange: b"%b %b HTTP/1.%d" % (exchange.head.method, exchange.head.target, exchange.head.minor),
    "request_method": lambda exchange: exchange.head.method,
    "request_uri": lambda exchange: exchange.head.target,
    "uri": _uri,
    "document_uri": _uri,
    "args": _query,
    "query": _query,
    "is_args": lambda exchange: b"?" if _query(exchange) else b"",
    "content_length": lambda exchange: b"%d" % exchange.head.length if exchange.head.length > 0 else b"",
    "content_type": lambda exchange: find(exchange.head.lines, b"content-type") or b"",
    "dollar": lambda exchange: b"$",
    "remote_port": _port("peername"),
    "server_port": _port("sockname"),
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
    "site": _site,
    "ssl_cipher": lambda exchange: tls.cipher.encode() if (tls := _tls(exchange)) else b"",
    "ssl_client_s_dn": lambda exchange: tls.subject.encode() if (tls := _tls(exchange)) else b"",
    "ssl_client_verify": lambda exchange: (b"SUCCESS" if tls.subject else b"NONE") if (tls := _tls(exchange)) else b"",
    "ssl_protocol": lambda exchange: tls.version.encode() if (tls := _tls(exchange)) else b"",
    "ssl_server_name": lambda exchange: tls.server_name if (tls := _tls(exchange)) else b"",
    "server_name": _site,
    "route": lambda exchange: exchange.route.name if exchange.route else b"-",
    "trace_id": _trace_id,
    "upstream": lambda exchange: exchange.route.plan["upstream"].encode() or b"-" if exchange.route else b"-",
    "server": lambda exchange: exchange.server.id_bytes if exchange.server else b"-",
    "upstream_addr": _upstream_addr,
    "tries": lambda exchange: b"%d" % exchange.tries,
    "upstream_response_time": _upstream_time,
    "upstream_time": _upstream_time,
    "rest": _rest,
}


def _header(name: str) -> Getter:
    wanted = name.replace("_", "-").encode()
    return lambda exchange: field(exchange.head, wanted) or b""


def field(head: RequestHead, name: bytes) -> bytes | None:
    """The value of a field of the request as sent, in lower case; those that a proxy deals with itself as well."""
    found = find(head.lines, name)
    if found is None and name in _TAKEN_OUT:
        return _TAKEN_OUT[name](head)
    return found


_TAKEN_OUT: Final[dict[bytes, Callable[[RequestHead], bytes | None]]] = {
    b"host": lambda head: head.host,
    b"upgrade": lambda head: head.upgrade or None,
    b"connection": lambda head: b", ".join(head.connection) or None,
    b"x-request-id": lambda head: head.request_id or None,
    b"content-length": lambda head: b"%d" % head.length if head.length_seen and head.length >= 0 else None,
    b"expect": lambda head: b"100-continue" if head.expect_continue else None,
    b"forwarded": lambda head: find(list(head.forwarded), b"forwarded"),
    b"x-real-ip": lambda head: find(list(head.forwarded), b"x-real-ip"),
    b"x-forwarded-for": lambda head: find(list(head.forwarded), b"x-forwarded-for"),
    b"x-forwarded-proto": lambda head: find(list(head.forwarded), b"x-forwarded-proto"),
    b"x-forwarded-host": lambda head: find(list(head.forwarded), b"x-forwarded-host"),
    b"x-forwarded-port": lambda head: find(list(head.forwarded), b"x-forwarded-port"),
}


def _argument(name: str) -> Getter:
    """An argument behind the ?, as sent; capital letters of the name do not count (nginx: $arg_NAME)."""
    wanted = name.lower().encode()

    def read(exchange: Exchange) -> bytes:
        for pair in _query(exchange).split(b"&"):
            key, _, value = pair.partition(b"=")
            if key.lower() == wanted:
                return value
        return b""

    return read


def _group(name: str) -> Getter:
    """A group of the regex that was found last: by number or name."""
    key: int | str = int(name) if name.isdigit() else name

    def read(exchange: Exchange) -> bytes:
        found = exchange.groups
        try:
            return (found[key] if found is not None else None) or b""
        except IndexError:
            return b""

    return read


def _cookie(name: str) -> Getter:
    wanted = name.encode()

    def read(exchange: Exchange) -> bytes:
        found = cookies(exchange.head.lines, wanted)
        return found[0] if found else b""

    return read


def getter(name: str, groups: Container[str] = ()) -> Getter:
    """The getter of one variable; `groups` are the named groups of a regex. Raises KeyError for an unknown one."""
    found = VARIABLES.get(name)
    if found:
        return found
    if name.isdigit() or name in groups:
        return _group(name)
    if name.startswith("arg_"):
        return _argument(name[4:])
    if name.startswith("http_"):
        return _header(name[5:].lower())
    if name.startswith("cookie_"):
        return _cookie(name[7:])
    raise KeyError(name)


_DECODED: Final = frozenset(("uri", "document_uri", "rest"))


def compile_text(text: str, quote: Quote | None = None, quote_decoded: Quote | None = None, groups: Container[str] = ()) -> Getter:
    """A function from an exchange to the string with its variables filled in, each passed through `quote`.

    `quote_decoded` is for $uri, $rest and groups of a regex, whose percent signs are no escapes any more. `groups` are the names of
    such groups. Raises KeyError for an unknown variable.
    """
    parts: list[bytes | Getter] = []
    position = 0
    for match in PATTERN.finditer(text):
        name = match[1] or match[2]
        decoded = name in _DECODED or name.isdigit() or name in groups
        quoted = _quoted(getter(name, groups), quote_decoded if decoded and quote_decoded else quote)
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


_IN_PATH: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~!$&'()*+,;=:@/")


def quote_path(path: bytes) -> bytes:
    """A decoded path (`wire.target`) with everything percent-encoded that may not stand in a target: the way back, exactly.

    An encoded slash stays one, and what only looked like one after decoding stays that (`%252F`).
    """
    if not path.translate(None, _PLAIN_PATH):
        return path
    quoted = b"".join([bytes((byte,)) if byte in _IN_PATH else b"%%%02X" % byte for byte in path])
    return _ESCAPED_SLASH.sub(rb"%\1", quoted) if b"2F" in quoted else quoted


_PLAIN_PATH: Final = bytes(_IN_PATH)
_ESCAPED_SLASH: Final = re.compile(rb"%25((?:25)*2F)")
