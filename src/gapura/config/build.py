"""From a checked document to a plan: every default filled in, every name looked up."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Final

from .addresses import is_loopback
from .build_acme import acme, check_wildcards
from .build_admin import admin, check_doors
from .build_apps import build_app, check_ports, cpu_count
from .build_error_pages import edge_pages
from .build_events import events
from .build_listeners import http_listeners, https_listeners
from .build_log import LogPlans
from .build_sites import Sites
from .build_tracing import tracing
from .build_upstreams import Resolver, Upstreams
from .findings import Findings
from .place import paths_of
from .plan import FORMAT, EdgePlan, ListenPlan, Plan, SitePlan, UpstreamPlan, listens, upstreams_of
from .positions import Path
from .schema import Document
from .schema_edge import Edge

MAX_SLOTS: Final = 1024
"""Servers that the board has room for."""


def build(findings: Findings, document: Document, resolver: Resolver) -> Plan:
    """The plan of a document. What does not fit together is reported to `findings`; then the plan must not be used."""
    file = findings.sources.file
    folder = os.path.dirname(file)
    paths = paths_of(file)
    logs = LogPlans(findings, paths, folder, document.edge.access_log, document.edge.error_log)
    edge = _edge(findings, document.edge, logs, folder)
    apps = {name: build_app(findings, name, app, folder) for name, app in document.apps.items()}
    upstreams = Upstreams(findings, folder)
    for name, upstream in document.upstreams.items():
        upstreams.add(name, upstream)
    for name, app in document.apps.items():
        if name in document.upstreams:
            message = f'"{name}" is an upstream as well'
            findings.error(("apps", name), message, "an app is an upstream of its own: give one another name", at_key=True)
        upstreams.add_app(name, app, apps[name]["instances"])
    sites = Sites(findings, upstreams, _names(findings), folder, document.edge.tls.auto, logs)
    sites.edge = document.edge
    for key, site in document.sites.items():
        sites.add(key, site)
    check_wildcards(findings, edge["acme"], sites.plans)
    edge["tracing"] = tracing(document.tracing)
    edge["https"] = https_listeners(findings, document.edge, edge["http"], sites.plans)
    upstreams.resolve(resolver)
    _check_slots(findings, upstreams)
    check_doors(findings, upstreams, paths["run"])
    check_ports(findings, apps, listens(edge))
    check_circles(findings, upstreams.plans, upstreams.paths, sites.plans, listens(edge))
    upstreams.settle_health(sites.host_of)
    return {
        "format": FORMAT,
        "file": file,
        "folder": folder,
        "paths": paths,
        "edge": edge,
        "admin": admin(document.admin),
        "apps": apps,
        "upstreams": upstreams.plans,
        "sites": sites.plans,
        "events": events(findings, document.events, folder, logs),
    }


def _check_slots(findings: Findings, upstreams: Upstreams) -> None:
    """Every server needs a slot of the board, and an instance two: the old process and the new one."""
    needed = sum(len(plan["servers"]) * (2 if plan["app"] else 1) for plan in upstreams.plans.values())
    if needed > MAX_SLOTS:
        findings.error((), f"the file has more servers than there is room for: {needed} of {MAX_SLOTS}", "an instance counts twice")


def check_circles(
    findings: Findings,
    upstreams: Mapping[str, UpstreamPlan],
    paths: Mapping[str, Path],
    sites: Sequence[SitePlan],
    listeners: list[ListenPlan],
) -> None:
    """A server that is one of our own listeners gets requests from itself, without end; another Host may mean another site."""
    own = {(listener["host"], listener["port"]) for listener in listeners}
    used = {name for site in sites for route in site["routes"] if not route["host_header"] for name in upstreams_of(route)}
    asked = [route["access"]["forward_auth"] for site in sites for route in site["routes"] if route["access"]]
    used |= {asking["upstream"] for asking in asked if asking is not None and not asking["host"]}
    for name, plan in upstreams.items():
        if plan["app"] or name not in used:
            continue
        for server in plan["servers"]:
            host, port = server["host"], server["port"]
            every = "::" if ":" in host else "0.0.0.0"
            if (host, port) in own or (is_loopback(host) and (every, port) in own):
                message = f"{server['name'] or server['id']} is Gapura itself: requests would go round in circles"
                hint = "write the port that the application listens on, or give [edge] another http"
                findings.error(paths[name], message, hint)


def _names(findings: Findings) -> dict[str, str]:
    """What `proxy` may name, as written: parts with mistakes in them are there all the same."""
    names: dict[str, str] = {}
    for table, kind in (("upstreams", "upstream"), ("apps", "app")):
        written = findings.sources.data.get(table)
        if isinstance(written, dict):
            names |= dict.fromkeys(written, kind)
    return names


def _edge(findings: Findings, edge: Edge, logs: LogPlans, folder: str) -> EdgePlan:
    return {
        "http": http_listeners(findings, edge),
        "https": [],
        "tls": {"min_version": edge.tls.min_version},
        "acme": acme(findings, edge.acme, folder),
        "workers": edge.workers or cpu_count(),
        "user": edge.user,
        "timeouts": {
            "head": edge.timeouts.head,
            "body": edge.timeouts.body,
            "send": edge.timeouts.send,
            "handshake": edge.timeouts.handshake,
            "idle": edge.timeouts.idle,
            "tunnel": edge.timeouts.tunnel,
            "drain": edge.timeouts.drain,
        },
        "limits": {
            "target": edge.limits.target,
            "head": edge.limits.head,
            "headers": edge.limits.headers,
            "body": edge.limits.body,
            "connections": edge.limits.connections,
            "connections_per_client": edge.limits.connections_per_client,
            "file_memory": edge.limits.file_memory,
        },
        "access_log": logs.access,
        "error_log": logs.error,
        "log_files": logs.files,
        "trusted_proxies": edge.trusted_proxies,
        "served_by": edge.served_by,
        "backlog": edge.backlog,
        "error_pages": edge_pages(findings, edge),
    }
