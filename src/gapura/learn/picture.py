"""The picture of a configuration: sites, routes, upstreams and servers, as `GET /v1/picture` gives it of a running Gapura."""

from __future__ import annotations

from typing import Any

from gapura.config.plan import Plan, ServerPlan, SitePlan, UpstreamPlan, address, upstreams_of
from gapura.config.plan_admin import UPSTREAM

Picture = dict[str, Any]


def picture(plan: Plan, live: dict[str, Any] | None = None) -> Picture:
    """The picture of a plan; `live` is the document of `gapura status --json` if Gapura runs with it."""
    known = _servers(live)
    sites: list[dict[str, Any]] = [
        {
            "id": site["hosts"][0],
            "hosts": site["hosts"],
            "tls": site["tls"] is not None,
            "closed": _closed(site["hosts"][0], live),
            "internal": _internal(site),
            "routes": [
                {
                    "row": row,
                    "name": route["name"],
                    "kind": route["kind"],
                    "path": route["path"],
                    "action": route["action"],
                    "upstreams": upstreams_of(route),
                }
                for row, route in enumerate(site["routes"])
                if route["action"] != "nowhere"
            ],
        }
        for site in plan["sites"]
    ]
    shown = {name for site in sites if not site["internal"] for route in site["routes"] for name in route["upstreams"]}
    return {
        "generation": live["generation"] if live else 0,
        "sites": [site for site in sites if not site["internal"]],
        "upstreams": [_upstream(plan["upstreams"][name], known) for name in plan["upstreams"] if name in shown],
    }


def _internal(site: SitePlan) -> bool:
    """Whether a site is only the dashboard, which is nobody's homework."""
    return all(upstreams_of(route) == [UPSTREAM] for route in site["routes"])


def _upstream(upstream: UpstreamPlan, known: dict[tuple[str, str], dict[str, Any]]) -> dict[str, Any]:
    return {
        "name": upstream["name"],
        "policy": f"{upstream['policy']} consistent" if upstream["consistent"] else upstream["policy"],
        "app": upstream["app"],
        "servers": [_server(server, upstream, known.get((upstream["name"], server["id"]))) for server in upstream["servers"]],
    }


def _server(server: ServerPlan, upstream: UpstreamPlan, live: dict[str, Any] | None) -> dict[str, Any]:
    planned = "" if upstream["app"] else address(server)
    state = str(live["state"]) if live else "down" if server["down"] else "up"
    return {
        "id": server["id"],
        "address": str(live["address"]) if live else planned,
        "weight": server["weight"],
        "backup": server["backup"],
        "state": state,
        "condition": str(live.get("condition") or state) if live else state,
    }


def _servers(live: dict[str, Any] | None) -> dict[tuple[str, str], dict[str, Any]]:
    groups = live["upstreams"] if live else []
    return {(group["name"], server["id"]): server for group in groups for server in group["servers"]}


def _closed(site: str, live: dict[str, Any] | None) -> bool:
    return any(one["hosts"][0] == site and bool(one.get("closed")) for one in (live["sites"] if live else []))
