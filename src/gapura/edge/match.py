"""Conditions of a route beside its path: method, headers, arguments, cookies, the client's address. Compiled once."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_network
from typing import Protocol

from gapura.config.plan_match import MatchPlan, TestPlan
from gapura.config.regexes import compiled
from gapura.edge.networks import networks
from gapura.edge.variables import field
from gapura.wire.headers import cookies, find_all
from gapura.wire.request import RequestHead
from gapura.wire.target import unquoted

FITS, FITS_NOT, OTHER_METHOD = range(3)
"""The route is for this request; it is not; it would be, were it not for the method."""


class Asking(Protocol):
    """What conditions look at."""

    head: RequestHead
    client: bytes
    rewritten: bytes


Condition = Callable[[Asking], bool]
Values = Callable[[Asking, bytes], list[bytes]]


class Conditions:
    """All conditions of one route."""

    __slots__ = ("methods", "preflight", "_conditions")

    def __init__(self, plan: MatchPlan, preflight: bool = False) -> None:
        """`preflight`: the route answers CORS preflights, which come with another method than the request that they ask for."""
        self.methods = frozenset(method.encode() for method in plan["methods"])
        self.preflight = preflight
        self._conditions: list[Condition] = []
        for tests, values in ((plan["header"], _header), (plan["query"], _argument), (plan["cookie"], _cookie)):
            self._conditions += [_test(test, values) for test in tests]
        if plan["client"]:
            self._conditions.append(_client(plan["client"]))

    def check(self, asking: Asking) -> int:
        """FITS, FITS_NOT or OTHER_METHOD."""
        for condition in self._conditions:
            if not condition(asking):
                return FITS_NOT
        if self.methods and self._method(asking.head) not in self.methods:
            return OTHER_METHOD
        return FITS

    def _method(self, head: RequestHead) -> bytes:
        if self.preflight and head.method == b"OPTIONS" and head.get(b"origin"):
            return head.get(b"access-control-request-method") or head.method
        return head.method


def _test(plan: TestPlan, values: Values) -> Condition:
    name = plan["name"].encode()
    present = plan["present"]
    wanted = frozenset(value.encode() for value in plan["values"])
    patterns = [compiled(pattern).search for pattern in plan["patterns"]]
    if not wanted and not patterns:
        return lambda asking: bool(values(asking, name)) is present

    def condition(asking: Asking) -> bool:
        for value in values(asking, name):
            if value in wanted:
                return True
            for search in patterns:
                if search(value):
                    return True
        return False

    return condition


def _header(asking: Asking, name: bytes) -> list[bytes]:
    found = find_all(asking.head.lines, name)
    if not found and (value := field(asking.head, name)) is not None:
        return [value]
    return found


def _argument(asking: Asking, name: bytes) -> list[bytes]:
    """Values behind the ?, decoded as forms encode them (`+` is a space)."""
    query = (asking.rewritten or asking.head.target).partition(b"?")[2]
    found = []
    for pair in query.split(b"&"):
        key, _, value = pair.partition(b"=")
        if pair and _of_form(key) == name:
            found.append(_of_form(value))
    return found


def _of_form(text: bytes) -> bytes:
    return unquoted(text.replace(b"+", b" "))


def _cookie(asking: Asking, name: bytes) -> list[bytes]:
    return cookies(asking.head.lines, name)


def _client(written: list[str]) -> Condition:
    """Whether the client's address is in one of the networks."""
    known = networks(tuple(str(ip_network(network, strict=False)) for network in written), ())
    return lambda asking: known.holds(asking.client)
