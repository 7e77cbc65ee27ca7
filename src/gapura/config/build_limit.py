"""From the keys of a site and its route to their plan: how often and how many at a time somebody may ask."""

from __future__ import annotations

from .options import Options
from .plan_limit import ConnectionsPlan, LimitPlan, RatePlan
from .schema_limit import ConnectionLimit, RateLimit, rate_of
from .schema_site import Action, Route

NANOSECONDS = 1_000_000_000


def limit(options: Options) -> LimitPlan | None:
    """The plan; None when no key asks for anything, so that a plain route pays nothing."""
    rates = [_rate(options, index, rate) for index, rate in enumerate(options.get("limit") or ())]
    connections = [_connections(options, index, most) for index, most in enumerate(options.get("limit_connections") or ())]
    return {"rates": rates, "connections": connections} if rates or connections else None


def _rate(options: Options, index: int, rate: RateLimit) -> RatePlan:
    count, period = rate_of(rate.rate)
    burst = max(0, int(count) - 1) if rate.burst is None else rate.burst
    undelayed = (0 if rate.delay else -1) if isinstance(rate.delay, bool) else rate.delay
    if undelayed > burst:
        where, hint = options.where("limit", index, "delay"), "delay is how many of the burst do not wait"
        options.findings.error(where, f"delay is more than the burst of {burst}", hint, at_key=True)
    return {
        "zone": _zone(options, "limit", f"{index} {rate.rate} {burst}"),
        "interval": round(period / count * NANOSECONDS),
        "burst": burst,
        "undelayed": undelayed,
        "key": rate.key,
        "status": rate.status,
    }


def _connections(options: Options, index: int, limit: ConnectionLimit) -> ConnectionsPlan:
    zone = _zone(options, "limit_connections", str(index))
    return {"zone": zone, "most": limit.most, "key": limit.key, "status": limit.status}


def _zone(options: Options, key: str, what: str) -> str:
    """Routes that have a limit from their site share its count; a route's own is its own, whatever its place in the file."""
    where = str(options.site_path[1])
    if getattr(options.route, key) is not None and isinstance(options.route, Route):
        match = options.route.model_dump(include=set(Route.model_fields) - set(Action.model_fields), exclude_defaults=True)
        where += f" {sorted(match.items())}"
    return f"{key} {where} {what}"
