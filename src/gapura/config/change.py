"""What differs between two plans, and the sentences that tell people. Pure; the master uses it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from .plan import AppPlan, ListenPlan, Plan, ServerPlan, SitePlan, UpstreamPlan, join_address, listens

ROLLED: Final = ("command", "directory", "port", "host", "env", "user")
"""Fields of an app that only a new process can take up."""

Item = TypeVar("Item")


@dataclass(slots=True)
class Difference:
    """Names that were added, removed, or changed; each list in the order of the plans."""

    added: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)


@dataclass(slots=True)
class Change:
    """What is new in a plan.

    `listeners_added` and `listeners_removed` are addresses to bind and to close. Of the apps in `apps.changed`, those in
    `rolled` need new processes, those in `scaled` another number of them (old and new number), the rest neither.
    """

    listeners_added: list[ListenPlan] = field(default_factory=list)
    listeners_removed: list[ListenPlan] = field(default_factory=list)
    sites: Difference = field(default_factory=Difference)
    upstreams: Difference = field(default_factory=Difference)
    apps: Difference = field(default_factory=Difference)
    rolled: list[str] = field(default_factory=list)
    scaled: dict[str, tuple[int, int]] = field(default_factory=dict)
    edge: list[str] = field(default_factory=list)
    details: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        listeners = self.listeners_added or self.listeners_removed
        return bool(listeners or self.sites or self.upstreams or self.apps or self.edge)


def diff(old: Plan, new: Plan) -> Change:
    """What must be done, and told, to go from `old` to `new`."""
    change = Change()
    before, after = listens(old["edge"]), listens(new["edge"])
    change.listeners_added = [item for item in after if item not in before]
    change.listeners_removed = [item for item in before if item not in after]
    change.edge = sorted(
        key for key, value in new["edge"].items() if key not in ("http", "https") and old["edge"].get(key) != value
    )
    change.sites = _compare(_by_host(old["sites"]), _by_host(new["sites"]))
    change.upstreams = _compare(
        {name: plain_upstream(item) for name, item in old["upstreams"].items() if not item["app"]},
        {name: plain_upstream(item) for name, item in new["upstreams"].items() if not item["app"]},
    )
    change.apps = _compare(_whole_apps(old), _whole_apps(new))
    for name in change.apps.changed:
        one, other = old["apps"][name], new["apps"][name]
        if must_roll(one, other):
            change.rolled.append(name)
        if one["instances"] != other["instances"]:
            change.scaled[name] = (one["instances"], other["instances"])
    change.details = [*_edge_details(old, new, change), *_app_details(old, new, change), *_upstream_details(old, new, change)]
    change.details += [f"site {host} {_sites_words(old, new, host)}" for host in change.sites.changed]
    return change


def must_roll(old: AppPlan, new: AppPlan) -> bool:
    """Whether running instances of `old` cannot become those of `new` without a restart."""
    one, other = dict(old), dict(new)
    return any(one[key] != other[key] for key in ROLLED)


def sentences(change: Change) -> list[str]:
    """The change for people, one sentence each; empty when nothing changed."""
    out = [f"listens on {_listener(item)}" for item in change.listeners_added]
    out += [f"no longer listens on {_listener(item)}" for item in change.listeners_removed]
    for noun, difference in (("site", change.sites), ("upstream", change.upstreams), ("app", change.apps)):
        out += [f"{noun} {name} added" for name in difference.added]
        out += [f"{noun} {name} removed" for name in difference.removed]
    return out + change.details


def plain_upstream(upstream: UpstreamPlan) -> dict[str, Any]:
    """An upstream without what the master fills in and what DNS answers: only what people wrote."""
    plain: dict[str, Any] = dict(upstream)
    plain["servers"] = [{**server, "slots": []} for server in upstream["servers"] if not server["name"]]
    plain.pop("defaults", None)  # what it changes is seen in the servers
    return plain


def _whole_apps(plan: Plan) -> dict[str, tuple[AppPlan, dict[str, Any]]]:
    """Each app with the upstream that it is."""
    return {name: (app, plain_upstream(plan["upstreams"][name])) for name, app in plan["apps"].items()}


def _by_host(sites: Iterable[SitePlan]) -> dict[str, SitePlan]:
    return {site["hosts"][0]: _plain_site(site) for site in sites if site["hosts"]}


def _plain_site(site: SitePlan) -> SitePlan:
    """A site without what the master fills in so that it can be counted."""
    plain = site.copy()
    plain["routes"] = [route.copy() for route in site["routes"]]
    for what in (plain, *plain["routes"]):
        what.pop("row", None)
    return plain


def _compare(old: Mapping[str, Item], new: Mapping[str, Item]) -> Difference:
    return Difference(
        added=[name for name in new if name not in old],
        removed=[name for name in old if name not in new],
        changed=[name for name in new if name in old and old[name] != new[name]],
    )


def _edge_details(old: Plan, new: Plan, change: Change) -> list[str]:
    out: list[str] = []
    before, after = dict(old["edge"]), dict(new["edge"])
    for key in change.edge:
        if isinstance(after[key], int | str):
            out.append(f"{key.replace('_', ' ')}: {_shown(before[key])} → {_shown(after[key])}")
        else:
            out.append(f"{key.replace('_', ' ')} changed")
    return out


def _app_details(old: Plan, new: Plan, change: Change) -> list[str]:
    out: list[str] = []
    for name in change.apps.changed:
        if name in change.scaled:
            before, after = change.scaled[name]
            out.append(f"app {name}: {before} → {after} instances")
        one, other = dict(old["apps"][name]), dict(new["apps"][name])
        if name in change.rolled:
            fields = ", ".join(key for key in ROLLED if one[key] != other[key])
            out.append(f"app {name}: {fields} changed, its instances are restarted one after the other")
        rest = [key for key in other if key not in (*ROLLED, "instances") and one[key] != other[key]]
        rest += _fields(plain_upstream(old["upstreams"][name]), plain_upstream(new["upstreams"][name]), ("servers",))
        if rest:
            out.append(f"app {name}: {', '.join(rest)} changed, without a restart")
    return out


def _upstream_details(old: Plan, new: Plan, change: Change) -> list[str]:
    out: list[str] = []
    for name in change.upstreams.changed:
        one, other = old["upstreams"][name], new["upstreams"][name]
        before, after = written_servers(one), written_servers(other)
        difference = _compare(before, after)
        out += [f"upstream {name}: server {server} added" for server in difference.added]
        out += [f"upstream {name}: server {server} removed" for server in difference.removed]
        for server in difference.changed:
            keys = _fields(dict(before[server]), dict(after[server]), ("slots", "id", "host", "port"))
            values = ", ".join(f"{key} {_shown(dict(before[server])[key])} → {_shown(dict(after[server])[key])}" for key in keys)
            if keys:
                out.append(f"upstream {name}: server {server}: {values}")
        rest = _fields(plain_upstream(one), plain_upstream(other), ("servers", "names"))
        if rest:
            out.append(f"upstream {name}: {', '.join(rest)} changed")
        elif not difference:
            out.append(f"upstream {name}: order of the servers changed")
    return out


def written_servers(upstream: UpstreamPlan) -> dict[str, ServerPlan]:
    """The servers as people wrote them: addresses by id, names by name."""
    servers: dict[str, ServerPlan] = {item["id"]: {**item, "slots": []} for item in upstream["servers"] if not item["name"]}
    return servers | {join_address(name["host"], name["port"]): name["server"] for name in upstream["names"]}


def _fields(one: Mapping[str, Any], other: Mapping[str, Any], without: Iterable[str]) -> list[str]:
    return [key for key in other if key not in without and one.get(key) != other[key]]


def _sites_words(old: Plan, new: Plan, host: str) -> str:
    one, other = _by_host(old["sites"])[host], _by_host(new["sites"])[host]
    label: Callable[[Any], str] = lambda route: f"{'= ' if route['kind'] == 'exact' else ''}{route['path']}"  # noqa: E731
    routes = _compare({label(r): r for r in one["routes"]}, {label(r): r for r in other["routes"]})
    words = [f"route {name} added" for name in routes.added]
    words += [f"route {name} removed" for name in routes.removed]
    words += [f"route {name} changed" for name in routes.changed]
    if one["tls"] != other["tls"]:
        words.append("tls changed" if one["tls"] and other["tls"] else "has tls now" if other["tls"] else "has no tls any more")
    if one.get("closed") != other.get("closed"):
        words.append("is in maintenance" if other["closed"] else "is open again")
    for key in ("error_pages", "maintenance"):
        if one.get(key) != other.get(key):
            words.append(f"{key.replace('_', ' ')} changed")
    if one["hosts"] != other["hosts"]:
        words.append(f"hosts are {', '.join(other['hosts'])}")
    return ", ".join(words) or "has its routes in another order"


def _listener(listen: ListenPlan) -> str:
    return join_address(listen["host"], listen["port"]) + (" (TLS)" if listen["tls"] else "")


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, float):
        return f"{value:g}"
    return str(value) or '""'
