"""Which other origins' pages may ask (Fetch Standard §3.3, the CORS protocol).

A preflight is answered here, before anybody is asked for a password: browsers send none with it. What the application says about
other origins is replaced, so that no header stands twice and one place decides.
"""

from __future__ import annotations

import re
from typing import Final

from gapura.config.plan_access import CorsPlan
from gapura.edge.exchange import Exchange
from gapura.edge.filter import Filter
from gapura.edge.router import NEXT
from gapura.wire.headers import TOKEN, find, find_all, tokens

LONGEST: Final = 2048
"""Bytes of Access-Control-Request-Headers that are answered to."""

_OURS: Final = (b"access-control-allow-origin", b"access-control-allow-credentials", b"access-control-expose-headers")


class Cors:
    """What a route says about other origins, compiled."""

    __slots__ = ("any", "credentials", "_origins", "_suffixes", "_methods", "_method_line", "_headers", "_tail", "_age", "_vary")

    def __init__(self, plan: CorsPlan) -> None:
        self.any = plan["origins"] == ["*"]
        self.credentials = plan["credentials"]
        self._origins = frozenset(origin.encode() for origin in plan["origins"] if "*" not in origin)
        self._suffixes = [re.compile(_pattern(origin), re.ASCII) for origin in plan["origins"] if "://*." in origin]
        self._methods = frozenset(method.encode() for method in plan["methods"])
        self._method_line = b"Access-Control-Allow-Methods: " + ", ".join(plan["methods"]).encode()
        self._headers = b"Access-Control-Allow-Headers: " + ", ".join(plan["headers"]).encode() if plan["headers"] else b""
        self._tail = [b"Access-Control-Allow-Credentials: true"] if plan["credentials"] else []
        if plan["expose"]:
            self._tail.append(b"Access-Control-Expose-Headers: " + ", ".join(plan["expose"]).encode())
        self._age = b"Access-Control-Max-Age: %d" % plan["max_age"]
        self._vary = [b"Vary: Origin, Access-Control-Request-Method, Access-Control-Request-Headers"]

    def dress(self, exchange: Exchange) -> int:
        """A step: whatever is answered, errors too, says who may read it."""
        Dressed(exchange, self, one(exchange, b"origin"))
        return NEXT

    def preflight(self, exchange: Exchange) -> int:
        """A step: answer the question whether a page may ask."""
        if exchange.head.method != b"OPTIONS":
            return NEXT
        origin, method = one(exchange, b"origin"), one(exchange, b"access-control-request-method")
        if origin is None or method is None:
            return NEXT
        lines = list(self._vary)
        if self.allows(origin):
            lines.append(self._method_line)
            asked = find(exchange.head.lines, b"access-control-request-headers")
            if self._headers:
                lines.append(self._headers)
            elif asked and len(asked) <= LONGEST and all(TOKEN.match(name) for name in tokens(asked)):
                lines.append(b"Access-Control-Allow-Headers: " + b", ".join(tokens(asked)))
            lines.append(self._age)
        return exchange.reply(204, lines, b"")

    def allows(self, origin: bytes) -> bool:
        """Whether pages of this origin may ask."""
        return self.any or origin in self._origins or any(pattern.fullmatch(origin.decode("latin-1")) for pattern in self._suffixes)

    def lines(self, origin: bytes | None) -> list[bytes]:
        """The header lines for an answer to this origin."""
        if self.any and not self.credentials:
            return [b"Access-Control-Allow-Origin: *", *self._tail]
        if origin is None or not self.allows(origin):
            return []
        return [b"Access-Control-Allow-Origin: " + origin, *self._tail]


class Dressed(Filter):
    """Puts the lines into an answer's head."""

    __slots__ = ("cors", "origin")

    def __init__(self, exchange: Exchange, cors: Cors, origin: bytes | None) -> None:
        super().__init__(exchange)
        self.cors = cors
        self.origin = origin

    def head(self, block: bytes) -> bytes:
        lines = block.split(b"\r\n")
        names = [line.partition(b":")[0].lower() for line in lines]
        lines = [line for line, name in zip(lines, names, strict=True) if name not in _OURS]
        if not (self.cors.any and not self.cors.credentials):
            lines = vary(lines, b"Origin")
        return b"\r\n".join(lines + self.cors.lines(self.origin))


def vary(lines: list[bytes], name: bytes) -> list[bytes]:
    """The lines of a head with one more name in Vary (RFC 9110 §12.5.5): in the line that is there, if there is one."""
    values = find_all(lines, b"vary")
    told = tokens(b",".join(values))
    if b"*" in told or name.lower() in told:
        return lines
    for index, line in enumerate(lines):
        if values and line.partition(b":")[0].lower() == b"vary":
            return [*lines[:index], line.rstrip() + b", " + name if values[0] else b"Vary: " + name, *lines[index + 1 :]]
    return [*lines, b"Vary: " + name]


def one(exchange: Exchange, name: bytes) -> bytes | None:
    """The value of a header of the request; None when there is none, or more than one."""
    values = find_all(exchange.head.lines, name)
    return values[0] if len(values) == 1 else None


def _pattern(origin: str) -> str:
    """A regular expression for `https://*.example.com`: one or more labels, and the very port."""
    scheme, _, rest = origin.partition("://*.")
    return rf"{re.escape(scheme)}://([a-z0-9_-]+\.)+{re.escape(rest)}"
