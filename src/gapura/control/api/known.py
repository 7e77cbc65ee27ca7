"""What a request names, found in the committed plan; 404 for what is not there, with a word about what is."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from gapura.config.plan import AppPlan, ServerPlan, SitePlan, UpstreamPlan
from gapura.control.api.context import Context
from gapura.control.api.problem import Refusal


def app(context: Context, name: str) -> AppPlan:
    """An app. Raises `Refusal` 404."""
    found = context.running["apps"].get(name)
    if found is None:
        raise missing("app", name, context.running["apps"])
    return found


def instance(context: Context, name: str, index: int) -> None:
    """Whether an app has this instance. Raises `Refusal` 404."""
    number = app(context, name)["instances"]
    if index >= number:
        raise Refusal(404, f"{name} has no instance {index}", f"it has {number}, counted from 0")


def upstream(context: Context, name: str) -> UpstreamPlan:
    """An upstream. Raises `Refusal` 404."""
    found = context.running["upstreams"].get(name)
    if found is None:
        raise missing("upstream", name, context.running["upstreams"])
    return found


def server(context: Context, name: str, wanted: str, reached: dict[str, str]) -> ServerPlan:
    """A server by its id, or by the address where it is `reached` (by id). Raises `Refusal` 404."""
    group = upstream(context, name)
    for one in group["servers"]:
        if wanted in (one["id"], reached.get(one["id"])):
            return one
    raise missing(f"server of {name}", wanted, [one["id"] for one in group["servers"]])


def site(context: Context, host: str) -> SitePlan:
    """A site by one of its host names. Raises `Refusal` 404."""
    sites = context.running["sites"]
    for one in sites:
        if host.lower() in one["hosts"]:
            return one
    raise missing("site", host, [name for one in sites for name in one["hosts"]])


def missing(kind: str, name: str, known: Iterable[str]) -> Refusal:
    """404."""
    names = list(known)
    close = difflib.get_close_matches(name, names, 1)
    hint = f"did you mean {close[0]}?" if close else f"there are: {', '.join(names[:20])}" if names else "there is none"
    return Refusal(404, f"there is no {kind} {name}", hint)
