"""The first step of a route that changes something: old addresses, the path, the header fields of the answer.

It runs before limits and access checks, so that their answers bear the header fields too, and a request that goes to another
route is judged there.
"""

from __future__ import annotations

from collections.abc import Callable, Container

from gapura.config.plan_edit import EditPlan, RedirectPlan
from gapura.config.regexes import compiled
from gapura.edge.exchange import Exchange
from gapura.edge.header_edits import HeaderFilter, compile_edit
from gapura.edge.replies import location
from gapura.edge.rewrite import Rewrite
from gapura.edge.router import NEXT, REROUTE, Step

Location = Callable[[Exchange], bytes]


def steps(plan: EditPlan, groups: Container[str] = ()) -> list[Step]:
    """The steps that this part of the plan asks for. `groups`: names of the groups of the route's regex."""
    if not (plan["redirects"] or plan["rewrites"] or plan["response"]):
        return []
    return [_Edit(plan, groups)]


def dressing(plan: EditPlan, groups: Container[str] = ()) -> list[Step]:
    """The step that only sees to the header fields of the answer, for requests that are refused before all others."""
    if not plan["response"]:
        return []
    headers = compile_edit(plan["response"], groups)

    def step(exchange: Exchange) -> int:
        HeaderFilter(exchange, headers)
        return NEXT

    return [step]


class _Edit:
    """What the plan says, in the order: redirects, rewrites, header fields."""

    __slots__ = ("exact", "rules", "rewrites", "headers")

    def __init__(self, plan: EditPlan, groups: Container[str]) -> None:
        self.exact: dict[bytes, tuple[int, Location]] = {}
        self.rules: list[_Rule] = []
        for redirect in plan["redirects"]:
            if redirect["path"]:
                self.exact.setdefault(redirect["path"].encode(), (redirect["status"], location(redirect["to"], groups)))
            else:
                self.rules.append(_Rule(redirect))
        self.rewrites = [Rewrite(rewrite, groups) for rewrite in plan["rewrites"]]
        self.headers = compile_edit(plan["response"], groups) if plan["response"] else None

    def __call__(self, exchange: Exchange) -> int:
        found = self._redirect(exchange) if self.exact or self.rules else None
        if found is None:
            for rewrite in self.rewrites:
                if rewrite.apply(exchange):
                    if rewrite.reroute:
                        return REROUTE
                    break
        if self.headers is not None:
            HeaderFilter(exchange, self.headers)
        if found is None:
            return NEXT
        return exchange.reply(found[0], [b"Location: " + found[1]], b"")

    def _redirect(self, exchange: Exchange) -> tuple[int, bytes] | None:
        """Status and address when a rule fits."""
        path = exchange.head.path
        exact = self.exact.get(path)
        if exact is not None:
            return exact[0], exact[1](exchange)
        for rule in self.rules:
            match = rule.search(path)
            if match is not None:
                before, exchange.groups = exchange.groups, match
                address = rule.location(exchange)
                exchange.groups = before
                return rule.status, address
        return None


class _Rule:
    """A redirect with a regex."""

    __slots__ = ("search", "status", "location")

    def __init__(self, plan: RedirectPlan) -> None:
        pattern = compiled(plan["match"])
        self.search = pattern.search
        self.status = plan["status"]
        self.location = location(plan["to"], pattern.groupindex)
