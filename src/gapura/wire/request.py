"""The head of an HTTP/1 request: what a proxy must know of it, and the lines it passes on.

Whatever RFC 9112 calls ambiguous is refused: the caller answers and closes the connection.
"""

from __future__ import annotations

import re
from typing import Any, Final

from gapura.errors import ClientError
from gapura.wire.headers import TOKEN, Entry, KnownLines, find, tokens, without
from gapura.wire.target import PERCENT, QUESTION, resolve, split_absolute

CHUNKED: Final = -1
"""`RequestHead.length` of a chunked body."""
MAX_LENGTH_DIGITS: Final = 18

(
    DROP,
    HOST_FIELD,
    LENGTH,
    CODING,
    CONNECTION,
    UPGRADE,
    EXPECT,
    TE,
    FORWARDED,
    REQUEST_ID,
    USER_AGENT,
    REFERER,
) = range(1, 13)

KNOWN: Final = KnownLines(
    {
        b"keep-alive": DROP,
        b"proxy-connection": DROP,
        b"trailer": DROP,
        b"http2-settings": DROP,
        b"proxy": DROP,  # CGI programs take it for HTTP_PROXY (CVE-2016-5385)
        b"host": HOST_FIELD,
        b"content-length": LENGTH,
        b"transfer-encoding": CODING,
        b"connection": CONNECTION,
        b"upgrade": UPGRADE,
        b"expect": EXPECT,
        b"te": TE,
        b"forwarded": FORWARDED,
        b"x-forwarded-for": FORWARDED,
        b"x-forwarded-proto": FORWARDED,
        b"x-forwarded-host": FORWARDED,
        b"x-forwarded-port": FORWARDED,
        b"x-real-ip": FORWARDED,
        b"x-request-id": REQUEST_ID,
        b"user-agent": USER_AGENT,
        b"referer": REFERER,
    },
    varying=frozenset(
        (
            *(b"cookie", b"authorization", b"proxy-authorization", b"x-api-key", b"x-auth-token", b"x-csrf-token", b"x-xsrf-token"),
            *(b"x-request-id", b"content-length", b"traceparent", b"sec-websocket-key"),
        )
    ),
    parsers={CONNECTION: tokens},
    underscore=DROP,
)

IDEMPOTENT: Final = frozenset((b"GET", b"HEAD", b"PUT", b"DELETE", b"OPTIONS", b"PROPFIND", b"REPORT", b"SEARCH"))
"""Methods that may be sent a second time (RFC 9110 §9.2.2)."""
REFUSED: Final = frozenset((b"TRACE", b"CONNECT"))
_COMMON: Final = IDEMPOTENT | {b"POST", b"PATCH"}
_TARGET: Final = bytes(0x78 if 0x21 <= byte < 0x7F and byte != 0x23 else 0 for byte in range(256))
"""Marks bytes that may not stand in a request target with 0: control, 8-bit, space and `#`."""
_VERSION: Final = re.compile(rb"HTTP/\d\.\d\Z")
KEEP_ALIVE: Final = (b"keep-alive",)
"""What most clients say, and what says nothing in HTTP/1.1."""
_NOT_NOMINATED: Final = frozenset((b"host", b"content-length", b"transfer-encoding", b"x-request-id"))


class RequestHead:
    """One request head. `lines` are the header lines to forward; what a proxy deals with is taken out of them.

    `length` is the body's length, 0 when there is none, CHUNKED when the coding tells; `length_seen`: a field told so. `path` is
    the decoded path to match on, `target` what to forward (origin form), `host` the authority as sent, `minor` 0 or 1.
    """

    __slots__ = (
        "method",
        "target",
        "path",
        "minor",
        "host",
        "lines",
        "length",
        "length_seen",
        "keep_alive",
        "connection",
        "upgrade",
        "expect_continue",
        "wants_trailers",
        "forwarded",
        "request_id",
        "user_agent",
        "referer",
    )

    def __init__(self, method: bytes, target: bytes, minor: int) -> None:
        self.method = method
        self.target = target
        self.path = target
        self.minor = minor
        self.host: bytes | None = None
        self.lines: list[bytes] = []
        self.length = 0
        self.length_seen = False
        self.keep_alive = minor == 1
        self.connection: tuple[bytes, ...] = ()
        self.upgrade = b""
        self.expect_continue = False
        self.wants_trailers = False
        self.forwarded: tuple[bytes, ...] = ()
        self.request_id = b""
        self.user_agent = b""
        self.referer = b""

    def get(self, name: bytes) -> bytes | None:
        """Value of the first forwarded field with this lower-case name (those taken out are attributes)."""
        return find(self.lines, name)


def parse_request(block: bytes, max_headers: int = 100, max_target: int = 8192) -> RequestHead:
    """Parse a head without its final empty line. Raises ClientError (400, 405, 414, 431, 501, 505)."""
    lines = block.split(b"\r\n")
    if len(lines) > max_headers + 1:
        raise ClientError(431, f"The request has more than {max_headers} header fields.")
    head = _request_line(lines[0], max_target)
    kept = head.lines
    known = KNOWN.get
    del lines[0]
    for line in lines:
        entry = known(line) or _learn(line)
        if entry is True:
            kept.append(line)
            continue
        kind, value = entry
        if kind == HOST_FIELD:
            if head.host is not None:
                raise ClientError(400, "There is more than one Host header.")
            head.host = value
        elif kind == USER_AGENT:
            head.user_agent = value
            kept.append(line)
        elif kind == REFERER:
            head.referer = value
            kept.append(line)
        elif kind != DROP:
            _special(head, kind, line, value)
    if head.host is None and head.minor == 1:
        raise ClientError(400, "An HTTP/1.1 request must have a Host header.")
    target = head.target
    if target[:1] != b"/":
        _special_target(head)
    elif PERCENT in target or target.find(b"/.") >= 0:
        head.path, head.target = resolve(target)
    elif QUESTION in target:
        head.path = target.partition(b"?")[0]
    if head.connection:
        _connection(head, head.connection)
    elif head.upgrade:
        head.upgrade = b""
    return head


def _learn(line: bytes) -> Entry:
    try:
        return KNOWN.learn(line)
    except ValueError as error:
        raise ClientError(400, f"The request is malformed: {error}.") from None


def _request_line(line: bytes, max_target: int) -> RequestHead:
    parts = line.split(b" ")
    try:
        method, target, version = parts
    except ValueError:
        raise ClientError(400, "The request line is not METHOD SP TARGET SP VERSION.") from None
    if version == b"HTTP/1.1":
        minor = 1
    elif version == b"HTTP/1.0":
        minor = 0
    elif _VERSION.match(version) and version[5:6] != b"1":
        raise ClientError(505, "Only HTTP/1.1 and HTTP/1.0 are spoken here.")
    else:
        raise ClientError(400, "The request line names no HTTP version.")
    if method not in _COMMON:
        if not TOKEN.match(method) or len(method) > 32:
            raise ClientError(400, "The request method is not a token.")
        if method in REFUSED:
            raise ClientError(405, f"{method.decode()} is not allowed here.")
    if len(target) > max_target:
        raise ClientError(414, f"The request target is longer than {max_target} bytes.")
    if not target or 0 in target.translate(_TARGET):
        raise ClientError(400, "The request target holds a character that must be percent-encoded.")
    return RequestHead(method, target, minor)


def _special_target(head: RequestHead) -> None:
    if head.target == b"*":
        if head.method != b"OPTIONS":
            raise ClientError(400, "The target * goes with OPTIONS only.")
        head.path = b"*"
        return
    # RFC 9112 §3.2.2: the authority of an absolute target replaces the Host header, for routing and for forwarding
    head.host, origin = split_absolute(head.target)
    head.path, head.target = resolve(origin)


def _special(head: RequestHead, kind: int, line: bytes, value: Any) -> None:
    """A field that the proxy deals with itself, the rarer ones."""
    if kind == CONNECTION:
        head.connection = (*head.connection, *value)
    elif kind == LENGTH:
        _length(head, value)
    elif kind == CODING:
        _coding(head, value)
    elif kind == FORWARDED:
        head.forwarded = (*head.forwarded, line)
    elif kind == REQUEST_ID:
        head.request_id = value
    elif kind == UPGRADE:
        head.upgrade = head.upgrade + b"," + value if head.upgrade else value
    elif kind == EXPECT:
        if value.lower() != b"100-continue":
            raise ClientError(417, "The only expectation known here is 100-continue.")
        head.expect_continue = head.minor == 1
    elif kind == TE:
        head.wants_trailers = b"trailers" in tokens(value)


def _length(head: RequestHead, value: bytes) -> None:
    """Content-Length: 1*DIGIT, once, not beside Transfer-Encoding (RFC 9112 §6.3)."""
    if head.length_seen:
        raise ClientError(400, "There is more than one Content-Length, or one beside Transfer-Encoding.")
    if not value.isdigit():
        raise ClientError(400, "Content-Length is not a decimal number.")
    if len(value) > MAX_LENGTH_DIGITS:
        raise ClientError(413, "The request body is too large.")
    head.length = int(value)
    head.length_seen = True


def _coding(head: RequestHead, value: bytes) -> None:
    """Transfer-Encoding: exactly one `chunked`, in HTTP/1.1, not beside Content-Length (RFC 9112 §6.1)."""
    if head.length_seen:
        raise ClientError(400, "Transfer-Encoding stands beside Content-Length or another Transfer-Encoding.")
    if head.minor == 0:
        raise ClientError(400, "HTTP/1.0 has no Transfer-Encoding.")
    if value.lower() != b"chunked":
        raise ClientError(501, "The only transfer coding known here is chunked.")
    head.length = CHUNKED
    head.length_seen = True


def _connection(head: RequestHead, options: tuple[bytes, ...]) -> None:
    """Apply the Connection options: persistence, upgrade, and fields that end here (RFC 9110 §7.6.1)."""
    if options == KEEP_ALIVE:
        head.keep_alive = True
        head.upgrade = b""
        return
    nominated = set()
    for option in options:
        if option == b"close":
            head.keep_alive = False
        elif option == b"keep-alive":
            head.keep_alive = True
        elif option not in _NOT_NOMINATED:
            nominated.add(option)
    if b"close" in options:
        head.keep_alive = False
    nominated.discard(b"upgrade")
    if nominated:
        head.lines = without(head.lines, nominated)
    if b"upgrade" not in options:
        head.upgrade = b""
