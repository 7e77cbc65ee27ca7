"""A plan compiled for one worker: routers, steps, upstreams. Immutable, so that an exchange may keep it to its end."""

from __future__ import annotations

from collections.abc import Callable

from gapura.balance.upstream import Upstream, upstream_of
from gapura.board import Board
from gapura.config.plan import Plan, RoutePlan, UpstreamPlan
from gapura.edge import compress, edit, guard, limit, traffic
from gapura.edge.exchange import Exchange
from gapura.edge.files import Files
from gapura.edge.key import key_of
from gapura.edge.proxy import proxy
from gapura.edge.replies import redirect, respond
from gapura.edge.request import ProxyOptions
from gapura.edge.router import Route, Router, Site, Step
from gapura.edge.variables import quote_path

NANOSECONDS = 1_000_000_000


class Snapshot:
    """What a worker serves. `previous` hands on the rotation of upstreams that stay."""

    __slots__ = ("generation", "plan", "router", "upstreams", "sends_files")

    upstreams: dict[str, Upstream]

    def __init__(self, plan: Plan, generation: int, board: Board, column: int, previous: Snapshot | None) -> None:
        self.generation = generation
        self.plan = plan
        self.sends_files = any(route["action"] == "files" for site in plan["sites"] for route in site["routes"])
        before = previous.upstreams if previous else {}
        self.upstreams = {
            name: upstream_of(upstream, board, column, before.get(name)) for name, upstream in plan["upstreams"].items()
        }
        self.router = Router([Site(site, [self._route(route) for route in site["routes"]]) for site in plan["sites"]])

    def _route(self, plan: RoutePlan) -> Route:
        limit = plan["body_limit"]
        steps = (*_before(plan), self._step(plan))
        return Route(plan, steps, self.plan["edge"]["limits"]["body"] if limit is None else limit)

    def _step(self, plan: RoutePlan) -> Step:
        action = plan["action"]
        if action == "proxy":
            upstream = self.upstreams[plan["upstream"]]
            return proxy(upstream, self._options(plan, upstream.plan))
        if action == "files":
            return Files(plan)
        if action == "redirect":
            return redirect(plan)
        return respond(plan)

    def _options(self, route: RoutePlan, upstream: UpstreamPlan) -> ProxyOptions:
        def ns(route_value: float | None, upstream_value: float) -> int:
            return int((upstream_value if route_value is None else route_value) * NANOSECONDS)

        edge = self.plan["edge"]
        return ProxyOptions(
            connect_ns=ns(route["connect_timeout"], upstream["connect_timeout"]),
            read_ns=ns(route["read_timeout"], upstream["read_timeout"]),
            send_ns=ns(route["send_timeout"], upstream["send_timeout"]),
            keepalive_ns=int(upstream["keepalive_timeout"] * NANOSECONDS),
            tunnel_ns=int(edge["timeouts"]["tunnel"] * NANOSECONDS),
            host_header=route["host_header"].encode(),
            key=key_of(upstream),
            target=_rewrite(route),
            served_by=edge["served_by"],
        )


def _before(plan: RoutePlan) -> list[Step]:
    """The steps before the action, in the order in which they judge a request. The answer passes their filters in reverse."""
    steps: list[Step] = []
    if plan["limit"]:
        steps += limit.steps(plan["limit"])
    if plan["access"]:
        steps += guard.steps(plan["access"])
    if plan["edit"]:
        steps += edit.steps(plan["edit"])
    if plan["compress"]:
        steps += compress.steps(plan["compress"])
    if plan["traffic"]:
        steps += traffic.steps(plan["traffic"])
    return steps


def _rewrite(route: RoutePlan) -> Callable[[Exchange], bytes] | None:
    """Replaces the matched prefix of the forwarded target, as `proxy_pass` with a path does in nginx."""
    replacement = route["rewrite"]
    if replacement is None:
        return None
    prefix, new = route["path"].encode(), replacement.encode()

    def target(exchange: Exchange) -> bytes:
        raw = exchange.head.target
        if raw.startswith(prefix):
            return new + raw[len(prefix) :]
        # the prefix matched in decoded form only: forward what was matched, encoded afresh
        _, mark, query = raw.partition(b"?")
        return quote_path(new + exchange.head.path[len(prefix) :]) + mark + query

    return target
