"""The head of an HTTP/1 response from a server behind: validated, hop-by-hop fields taken out, framing decided."""

from __future__ import annotations

from typing import Any, Final

from gapura.errors import ServerError
from gapura.wire.headers import OWS, Entry, KnownLines, bad, find, tokens, without

CHUNKED: Final = -1
UNTIL_CLOSE: Final = -2
"""`ResponseHead.length`: the body ends with the connection."""

DROP, LENGTH, CODING, CONNECTION, UPGRADE, TRAILER = range(1, 7)


def _length(value: bytes) -> int:
    if not value.isdigit() or len(value) > 18:
        raise ValueError("Content-Length is not a decimal number")
    return int(value)


KNOWN: Final = KnownLines(
    {
        b"keep-alive": DROP,
        b"proxy-connection": DROP,
        b"te": DROP,
        b"content-length": LENGTH,
        b"transfer-encoding": CODING,
        b"connection": CONNECTION,
        b"upgrade": UPGRADE,
        b"trailer": TRAILER,
        b"x-served-by": DROP,  # ours are written instead
        b"x-request-id": DROP,
    },
    varying=frozenset((b"set-cookie", b"etag", b"location")),
    parsers={LENGTH: _length, CONNECTION: tokens},
)

MAX_HEADERS: Final = 500
MAX_SHARED: Final = 1024
"""Longer heads are parsed each time."""
MAX_HEADS: Final = 256
_USUAL: Final = frozenset((b"close", b"keep-alive", b"upgrade"))
_HEADS: dict[bytes, ResponseHead] = {}
_STATUS_LINES: dict[bytes, tuple[int, bytes, int]] = {}


class ResponseHead:
    """One response head. `lines` are the header lines to forward; `status_line` is `NNN Reason`.

    `length` is the number of body bytes, CHUNKED or UNTIL_CLOSE; it is 0 for answers that never have a body, and `declared` keeps
    the Content-Length that a HEAD or 304 answer announced (-1: none). `reusable`: the connection may carry another request.
    `block` is the head to forward, without framing and without its end. A head is shared by all answers that look the same:
    nobody changes it after it was parsed.
    """

    __slots__ = (
        "status",
        "status_line",
        "minor",
        "lines",
        "block",
        "length",
        "declared",
        "reusable",
        "upgrade",
        "trailer",
        "connection",
    )

    def __init__(self, status: int, status_line: bytes, minor: int) -> None:
        self.status = status
        self.status_line = status_line
        self.minor = minor
        self.lines: list[bytes] = []
        self.block = b""
        self.length = UNTIL_CLOSE
        self.declared = -1
        self.reusable = minor == 1
        self.upgrade = b""
        self.trailer = b""
        self.connection: tuple[bytes, ...] = ()

    def get(self, name: bytes) -> bytes | None:
        """Value of the first forwarded field with this lower-case name."""
        return find(self.lines, name)


def parse_response(block: bytes, method: bytes) -> ResponseHead:
    """Parse a head without its final empty line; `method` is the request's. Raises ServerError 502."""
    shared = _HEADS.get(block)
    if shared is not None and method != b"HEAD":
        return shared
    head = _parse(block, method)
    head.block = b"\r\n".join([b"HTTP/1.1 " + head.status_line, *head.lines])
    # a page in demand is answered with the same head many times within the second that its Date lasts
    if len(block) <= MAX_SHARED and method != b"HEAD" and b"et-cookie" not in block.lower():
        if len(_HEADS) >= MAX_HEADS:
            _HEADS.clear()
        _HEADS[block] = head
    return head


def _parse(block: bytes, method: bytes) -> ResponseHead:
    if block.find(b"\r\n ") >= 0 or block.find(b"\r\n\t") >= 0:
        block = _unfold(block)
    lines = block.split(b"\r\n")
    if len(lines) > MAX_HEADERS:
        raise ServerError(502, f"the answer has more than {MAX_HEADERS} header fields")
    head = ResponseHead(*(_STATUS_LINES.get(lines[0]) or _status_line(lines[0])))
    kept = head.lines
    known = KNOWN.get
    del lines[0]
    for line in lines:
        entry = known(line)
        if entry is None:
            line, entry = _learn(line)
        if entry is True:
            kept.append(line)
            continue
        kind, value = entry
        if kind == LENGTH:
            if head.declared >= 0:
                raise ServerError(502, "the answer has more than one Content-Length")
            head.declared = value
        elif kind != DROP:
            _special(head, kind, line, value)
    _framing(head, method)
    return head


def _learn(line: bytes) -> tuple[bytes, Entry]:
    name, colon, value = line.partition(b":")
    if name[-1:] in (b" ", b"\t"):  # RFC 9112 §5.1: white space before the colon is removed from an answer
        line = name.rstrip(OWS) + colon + value
    try:
        return line, KNOWN.learn(line)
    except ValueError as error:
        raise ServerError(502, f"the answer is malformed: {error}") from None


def _status_line(line: bytes) -> tuple[int, bytes, int]:
    """(status, `NNN Reason`, minor version) of a status line, remembered when it is a usual one."""
    version, _, rest = line.partition(b" ")
    if version == b"HTTP/1.1":
        minor = 1
    elif version == b"HTTP/1.0":
        minor = 0
    else:
        raise ServerError(502, "the answer is not HTTP/1.1 or HTTP/1.0")
    code = rest[:3]
    if not code.isdigit() or len(code) != 3 or rest[3:4] not in (b" ", b"") or not 100 <= int(code) <= 599:
        raise ServerError(502, "the answer has no valid status")
    if bad(rest):
        raise ServerError(502, "the answer's status line holds a control character")
    found = (int(code), rest if len(rest) > 3 else rest + b" ", minor)
    if len(_STATUS_LINES) < 256 and len(line) < 64:
        _STATUS_LINES[line] = found
    return found


def _unfold(block: bytes) -> bytes:
    """RFC 9112 §5.2: a folded line of an answer becomes one line."""
    out: list[bytes] = []
    for line in block.split(b"\r\n"):
        if line[:1] in (b" ", b"\t") and len(out) > 1:
            out[-1] = out[-1].rstrip(OWS) + b" " + line.strip(OWS)
        else:
            out.append(line)
    return b"\r\n".join(out)


def _special(head: ResponseHead, kind: int, line: bytes, value: Any) -> None:
    if kind == CONNECTION:
        head.connection = (*head.connection, *value)
    elif kind == CODING:
        if head.length == CHUNKED or value.lower() != b"chunked" or head.minor == 0:
            raise ServerError(502, "the answer's Transfer-Encoding is not a single chunked")
        head.length = CHUNKED
    elif kind == UPGRADE:
        head.upgrade = value
    elif kind == TRAILER:
        head.trailer = line


def _framing(head: ResponseHead, method: bytes) -> None:
    """RFC 9112 §6.3, and what the Connection options say."""
    options = head.connection
    if options:
        if b"close" in options:
            head.reusable = False
        elif b"keep-alive" in options:
            head.reusable = True
        if len(options) > 1 or options[0] not in _USUAL:
            head.lines = without(head.lines, {option for option in options if option not in _USUAL})
    status = head.status
    if status < 200 or status == 204:
        head.length, head.declared = 0, -1
    elif status == 304 or method == b"HEAD":
        head.length = 0
    elif head.length == CHUNKED:
        if head.declared >= 0:
            head.reusable = False  # a server that says two things of one body may be cheated as well
        head.declared = -1  # RFC 9112 §6.3: Transfer-Encoding overrides Content-Length, which must not be forwarded
    elif head.declared >= 0:
        head.length = head.declared
    else:
        head.reusable = False
