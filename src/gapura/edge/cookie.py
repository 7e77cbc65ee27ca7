"""A cookie of our own by which a visitor is known again (RFC 6265)."""

from __future__ import annotations

from collections.abc import Callable

from gapura.config.plan_traffic import CookiePlan
from gapura.edge.exchange import Exchange
from gapura.edge.filter import Filter
from gapura.wire.headers import cookies


class Cookie:
    """Reads and writes one cookie. It goes with every path of the site, and scripts do not see it."""

    __slots__ = ("_name", "_attributes", "_secure")

    def __init__(self, plan: CookiePlan) -> None:
        self._name = plan["name"].encode()
        age = f"; Max-Age={plan['max_age']}" if plan["max_age"] is not None else ""
        self._attributes = f"; Path=/{age}; HttpOnly; SameSite={plan['same_site']}".encode()
        # browsers take SameSite=None only together with Secure
        self._secure = True if plan["same_site"] == "None" else plan["secure"]

    def read(self, exchange: Exchange) -> bytes:
        """The value that the visitor sent; empty without one. Anybody may have made it up."""
        found = cookies(exchange.head.lines, self._name)
        return found[0] if found else b""

    def line(self, exchange: Exchange, value: bytes) -> bytes:
        """The header line that sets the cookie."""
        secure = self._secure
        if secure is None:
            secure = exchange.worker.trust.scheme(exchange) == b"https"
        return b"".join((b"Set-Cookie: ", self._name, b"=", value, self._attributes, b"; Secure" if secure else b""))


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
