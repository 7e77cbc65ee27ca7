"""What a path becomes: the target that a server gets, and the path that other routes are looked up by.

Whatever is put together of a visitor's words goes through `wire.target.resolve` like a target from outside: dot segments are
resolved, bad escapes refused, `%2F` stays what it is.
"""

from __future__ import annotations

from collections.abc import Callable, Container

from gapura.config.plan import RoutePlan
from gapura.config.plan_edit import RewritePlan
from gapura.config.regexes import compiled
from gapura.edge.exchange import Exchange
from gapura.edge.variables import compile_text, quote_path, quote_url
from gapura.errors import ClientError
from gapura.wire.target import resolve

Target = Callable[[Exchange], bytes]
MAX_TARGET = 16384
"""Bytes of a target that was rewritten; groups may be used many times."""


def forwarded(exchange: Exchange) -> bytes:
    """The target as it came, or as it was rewritten."""
    return exchange.rewritten or exchange.head.target


def target_of(route: RoutePlan, rewritten: bool) -> Target | None:
    """What a server gets as the target; None when it is always the one that came. `rewritten`: routes of the site rewrite."""
    if route["rewrite"] is not None:
        return replace_prefix(route["path"].encode(), route["rewrite"].encode())
    if route["edit"] and route["edit"]["strip"]:
        return strip_prefix(route["edit"]["strip"].encode())
    return forwarded if rewritten else None


def replace_prefix(prefix: bytes, new: bytes) -> Target:
    """Replaces the matched beginning of the forwarded target, as `proxy_pass` with a path does in nginx."""

    def target(exchange: Exchange) -> bytes:
        raw = exchange.rewritten or exchange.head.target
        if raw.startswith(prefix):
            return new + raw[len(prefix) :]
        # the prefix matched in decoded form only: forward what was matched, encoded afresh
        _, mark, query = raw.partition(b"?")
        return new + quote_path(exchange.head.path[len(prefix) :]) + mark + query

    return target


def strip_prefix(prefix: bytes) -> Target:
    """Leaves out a beginning of the path where it stands there as whole segments."""

    def target(exchange: Exchange) -> bytes:
        raw = exchange.rewritten or exchange.head.target
        path, mark, query = raw.partition(b"?")
        if path == prefix:
            return b"/" + mark + query
        if path.startswith(prefix + b"/"):
            return raw[len(prefix) :]
        decoded = exchange.head.path
        if decoded == prefix or decoded.startswith(prefix + b"/"):
            return quote_path(decoded[len(prefix) :] or b"/") + mark + query
        return raw

    return target


class Rewrite:
    """One rule: where it fits, the exchange gets a new path and a new target."""

    __slots__ = ("reroute", "_search", "_path", "_query")

    def __init__(self, plan: RewritePlan, groups: Container[str] = ()) -> None:
        """`groups`: names of the groups of the route's regex, which count when the rule has none of its own."""
        self.reroute = plan["reroute"]
        pattern = compiled(plan["match"]) if plan["match"] else None
        self._search = pattern.search if pattern else None
        names = pattern.groupindex if pattern else groups
        path, mark, query = plan["to"].partition("?")
        self._path = compile_text(path, quote_url, quote_path, names)
        self._query = compile_text(query, quote_url, quote_argument, names) if mark else None

    def apply(self, exchange: Exchange) -> bool:
        """Whether the rule fits; then the path is the new one. Raises ClientError when no target can be made of it."""
        before = exchange.groups
        if self._search is not None:
            found = self._search(exchange.head.path)
            if found is None:
                return False
            exchange.groups = found
        path, mark, given = self._path(exchange).partition(b"?")  # $request_uri brings its own query
        if self._query is not None:
            query = self._query(exchange).strip(b"&?")
        else:
            query = given if mark else (exchange.rewritten or exchange.head.target).partition(b"?")[2]
        exchange.groups = before
        target = b"/" + path.lstrip(b"/") + (b"?" + query if query else b"")
        if len(target) > MAX_TARGET:
            raise ClientError(414, f"The rewritten target is longer than {MAX_TARGET} bytes.")
        exchange.head.path, exchange.rewritten = resolve(target)
        return True


def quote_argument(value: bytes) -> bytes:
    """A decoded value as part of a query: it ends no argument and begins none."""
    return quote_path(value).replace(b"&", b"%26").replace(b"=", b"%3D").replace(b"+", b"%2B")
