"""Visitors shared out among upstreams (nginx: split_clients), each of them staying where he came first."""

from __future__ import annotations

import copy
from typing import Final

from gapura.config.plan_traffic import SplitPlan
from gapura.edge.cookie import Cookie, SetCookie
from gapura.edge.exchange import Exchange
from gapura.edge.router import Route, Step


class _Choice:
    __slots__ = ("upstream", "share", "value", "step", "current", "_route", "_variant")

    def __init__(self, upstream: str, share: int, value: bytes, step: Step) -> None:
        self.upstream = upstream
        self.share = share
        self.value = value
        self.step = step
        self.current = 0
        self._route: Route | None = None
        self._variant: Route | None = None

    def route(self, route: Route) -> Route:
        """The route as the log shall see it: with the upstream that was chosen."""
        if self._route is not route:
            self._route = route
            self._variant = copy.copy(route)
            self._variant.plan = {**route.plan, "upstream": self.upstream}
        return self._variant or route


class Split:
    """The action of a route with `split`. Who brings no cookie, or one that says nothing here, is a new visitor.

    New visitors go by smooth weighted round robin: shares are exact in every worker, after every round. `steps` are the actions of
    the choices, in their order.
    """

    __slots__ = ("_cookie", "_choices", "_known", "_total")

    def __init__(self, plan: SplitPlan, steps: list[Step]) -> None:
        self._cookie: Final = Cookie(plan["cookie"])
        self._choices = [
            _Choice(choice["upstream"], choice["share"], choice["value"].encode(), step)
            for choice, step in zip(plan["choices"], steps, strict=True)
        ]
        self._known = {choice.value: choice for choice in self._choices}
        self._total = sum(choice.share for choice in self._choices)

    def __call__(self, exchange: Exchange) -> int:
        choice = self._known.get(self._cookie.read(exchange))
        if choice is None:
            choice = self._next()
            value = choice.value
            SetCookie(exchange, self._cookie, lambda exchange: value)
        if exchange.route is not None:
            exchange.route = choice.route(exchange.route)
        return choice.step(exchange)

    def _next(self) -> _Choice:
        choices = self._choices
        for choice in choices:
            choice.current += choice.share
        best = max(choices, key=lambda choice: (choice.share > 0, choice.current))
        best.current -= self._total
        return best
