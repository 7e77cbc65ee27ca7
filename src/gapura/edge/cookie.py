"""A cookie of our own by which a visitor is known again (RFC 6265)."""

from __future__ import annotations

from collections.abc import Callable

from gapura.config.plan_traffic import CookiePlan
from gapura.edge.exchange import Exchange
from gapura.edge.filter import Filter
from gapura.wire.headers import find


class Cookie:
    """Reads and writes one cookie. It goes with every path of the site, and scripts do not see it."""

    __slots__ = ("_wanted", "_attributes", "_secure")

    def __init__(self, plan: CookiePlan) -> None:
        self._wanted = plan["name"].encode() + b"="
        age = f"; Max-Age={plan['max_age']}" if plan["max_age"] is not None else ""
        self._attributes = f"; Path=/{age}; HttpOnly; SameSite={plan['same_site']}".encode()
        # browsers take SameSite=None only together with Secure
        self._secure = True if plan["same_site"] == "None" else plan["secure"]

    def read(self, exchange: Exchange) -> bytes:
        """The value that the visitor sent; empty without one. Anybody may have made it up."""
        sent = find(exchange.head.lines, b"cookie")
        if sent is None:
            return b""
        for pair in sent.split(b";"):
            pair = pair.strip(b" \t")
            if pair.startswith(self._wanted):
                return pair[len(self._wanted) :]
        return b""

    def line(self, exchange: Exchange, value: bytes) -> bytes:
        """The header line that sets the cookie."""
        secure = self._secure
        if secure is None:
            secure = _scheme(exchange) == b"https"
        return b"".join((b"Set-Cookie: ", self._wanted, value, self._attributes, b"; Secure" if secure else b""))


class SetCookie(Filter):
    """Adds the cookie to the answer when `value` gives one then."""

    __slots__ = ("_cookie", "_value")

    def __init__(self, exchange: Exchange, cookie: Cookie, value: Callable[[Exchange], bytes]) -> None:
        super().__init__(exchange)
        self._cookie = cookie
        self._value = value

    def head(self, block: bytes) -> bytes:
        value = self._value(self.exchange)
        return b"%b\r\n%b" % (block, self._cookie.line(self.exchange, value)) if value else block


def _scheme(exchange: Exchange) -> bytes:
    trust, head = exchange.worker.trust, exchange.head
    believed = trust.networks and head.forwarded and trust.trusts(exchange.sink.peer)
    return trust.scheme(exchange) if believed else exchange.sink.scheme
