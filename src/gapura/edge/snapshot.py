"""A plan compiled for one worker: routers, steps, upstreams. Immutable, so that an exchange may keep it to its end."""

from __future__ import annotations

from collections.abc import Container

from gapura.balance.upstream import Answers, Upstream, upstream_of
from gapura.board import Board
from gapura.config.plan import Plan, RoutePlan, SitePlan, UpstreamPlan
from gapura.config.plan_admin import UPSTREAM
from gapura.config.regexes import compiled
from gapura.config.slash import slash_routes
from gapura.edge import challenge, compress, dashboard, edit, guard, intercept, limit, maintenance, secure, tracing, traffic
from gapura.edge.files import Files
from gapura.edge.header_edits import compile_edit
from gapura.edge.policy_key import key_of
from gapura.edge.proxy import proxy
from gapura.edge.replies import nowhere, redirect, respond
from gapura.edge.request import ProxyOptions
from gapura.edge.rewrite import target_of
from gapura.edge.router import Route, Router, Step, site_of

NANOSECONDS = 1_000_000_000


class Snapshot:
    """What a worker serves. `previous` hands on the rotation of upstreams that stay."""

    __slots__ = ("__weakref__", "generation", "plan", "router", "upstreams", "sends_files")

    upstreams: dict[str, Upstream]

    def __init__(
        self, plan: Plan, generation: int, board: Board, column: int, previous: Snapshot | None, answers: Answers | None = None
    ) -> None:
        """`answers`: where upstreams note what their servers answer."""
        self.generation = generation
        self.plan = plan
        self.sends_files = any(route["action"] == "files" for site in plan["sites"] for route in site["routes"])
        before = previous.upstreams if previous else {}
        self.upstreams = {
            name: upstream_of(upstream, board, column, before.get(name), answers) for name, upstream in plan["upstreams"].items()
        }
        self.router = Router([site_of(site, self._routes(site)) for site in plan["sites"]])
        self._close_gates()

    def _close_gates(self) -> None:
        for site in self.router.sites:
            if site.plan["tls"] is not None:
                gate = secure.gate(site.plan["tls"], self.plan["edge"])
                site.gate = challenge.answered(self.plan["paths"]["run"], gate) if site.plan["tls"]["auto"] else gate
            if site.plan["closed"]:
                site.gate = maintenance.gate(site.plan["maintenance"], site.plan["closed"], site.gate)

    def _routes(self, site: SitePlan) -> list[Route]:
        rewritten = any(route["edit"] and route["edit"]["rewrites"] for route in site["routes"])
        return [self._route(route, rewritten) for route in slash_routes(site["routes"])]

    def _route(self, plan: RoutePlan, rewritten: bool) -> Route:
        """`rewritten`: requests may come here with another target than that which the client sent."""
        limit = plan["body_limit"]
        steps = (*self._traced(plan), *_before(plan), *dashboard.steps(plan), self._step(plan, rewritten))
        route = Route(plan, steps, self.plan["edge"]["limits"]["body"] if limit is None else limit)
        route.dressing = _dressing(plan)
        return route

    def _traced(self, plan: RoutePlan) -> list[Step]:
        wanted = self.plan["edge"].get("tracing")
        return [tracing.begin(wanted)] if wanted and not plan.get("dashboard") else []

    def _step(self, plan: RoutePlan, rewritten: bool) -> Step:
        step = self._action(plan, rewritten)
        if plan["traffic"] is None:
            return step

        def proxied(upstream: Upstream) -> Step:
            return proxy(upstream, self._options(plan, upstream.plan, rewritten))

        return traffic.shared(plan["traffic"], self.upstreams, proxied, step)

    def _action(self, plan: RoutePlan, rewritten: bool) -> Step:
        action = plan["action"]
        if action == "proxy":
            upstream = self.upstreams[plan["upstream"]]
            return proxy(upstream, self._options(plan, upstream.plan, rewritten))
        if action == "files":
            return Files(plan if plan["kind"] != "regex" else {**plan, "path": "/"})  # the whole path is below the folder
        if action == "redirect":
            return redirect(plan, _groups(plan))
        if action == "nowhere":
            return nowhere
        return respond(plan, _groups(plan))

    def _options(self, route: RoutePlan, upstream: UpstreamPlan, rewritten: bool) -> ProxyOptions:
        def ns(route_value: float | None, upstream_value: float) -> int:
            return int((upstream_value if route_value is None else route_value) * NANOSECONDS)

        edge = self.plan["edge"]
        changes = route["edit"]
        return ProxyOptions(
            connect_ns=ns(route["connect_timeout"], upstream["connect_timeout"]),
            read_ns=ns(route["read_timeout"], upstream["read_timeout"]),
            send_ns=ns(route["send_timeout"], upstream["send_timeout"]),
            keepalive_ns=int(upstream["keepalive_timeout"] * NANOSECONDS),
            tunnel_ns=int(edge["timeouts"]["tunnel"] * NANOSECONDS),
            host_header=route["host_header"].encode(),
            key=key_of(upstream),
            target=target_of(route, rewritten),
            edit=compile_edit(changes["request"], _groups(route)) if changes and changes["request"] else None,
            served_by=edge["served_by"] and upstream["name"] != UPSTREAM,
            traced=tracing.tried if edge.get("tracing") else None,
        )


def _before(plan: RoutePlan) -> list[Step]:
    """The steps before the action, in the order in which they judge a request. The answer passes their filters in reverse."""
    steps: list[Step] = []
    if plan["edit"]:
        steps += edit.steps(plan["edit"], _groups(plan))
    if plan["access"]:
        steps += guard.dressing(plan["access"])
    if plan["limit"]:
        steps += limit.steps(plan["limit"])
    if plan["access"]:
        steps += guard.steps(plan["access"])
    if plan["compress"]:
        steps += compress.steps(plan["compress"])
    if plan["error_pages"] and plan["error_pages"]["intercept"]:
        steps += intercept.steps(plan["error_pages"])
    return steps


def _dressing(plan: RoutePlan) -> tuple[Step, ...]:
    """What gives header fields to answers for which no step has its turn."""
    steps: list[Step] = []
    if plan["edit"]:
        steps += edit.dressing(plan["edit"], _groups(plan))
    if plan["access"]:
        steps += guard.dressing(plan["access"])
    return tuple(steps)


def _groups(plan: RoutePlan) -> Container[str]:
    """Names of the groups of a route's regex."""
    return compiled(plan["path"]).groupindex if plan["kind"] == "regex" else ()
