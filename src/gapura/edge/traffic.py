"""Of a route: where copies and shares of its requests go."""

from __future__ import annotations

from collections.abc import Callable

from gapura.balance.upstream import Upstream
from gapura.config.plan_traffic import TrafficPlan
from gapura.edge.mirror import Mirror, mirrored
from gapura.edge.router import Step
from gapura.edge.split import Split


def shared(plan: TrafficPlan, upstreams: dict[str, Upstream], proxied: Callable[[Upstream], Step], step: Step) -> Step:
    """The action of a route with its shares and copies. `proxied` makes the action of an upstream, `step` is the route's own."""
    if plan["split"] is not None:
        step = Split(plan["split"], [proxied(upstreams[choice["upstream"]]) for choice in plan["split"]["choices"]])
    if plan["mirrors"]:
        step = mirrored(step, [Mirror(mirror, upstreams[mirror["upstream"]]) for mirror in plan["mirrors"]])
    return step
