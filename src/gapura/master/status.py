"""The document of `gapura status --json`, and the sentences that `gapura up` prints."""

from __future__ import annotations

import os
import time
from typing import Any

from gapura import __version__, board
from gapura.balance import facts
from gapura.board import Board
from gapura.config.dashboards import urls, written
from gapura.config.overrides import Overrides, origin
from gapura.config.plan import AppPlan, Plan, ServerPlan, UpstreamPlan, address, join_address
from gapura.config.plan_admin import UPSTREAM
from gapura.master.children import Children
from gapura.master.fleet import Fleet
from gapura.master.instance import Instance
from gapura.master.reload import Door
from gapura.procs import tree
from gapura.procs.lifecycle import BACKOFF, READY, STARTING

Document = dict[str, Any]
ROUTE = ("name", "kind", "path", "action", "upstream", "folder", "status", "location")
"""Fields of a route that people ask for."""


def document(door: Door) -> Document:
    """Everything that people and scripts ask for; times are seconds, memory is that of whole trees."""
    plan = door.running
    control = door.children.control
    secure = {(listen["host"], listen["port"]) for listen in plan["edge"]["https"]}
    processes = tree.Processes()
    return {
        "version": __version__,
        "generation": door.generation,
        "file": plan["file"],
        "listeners": [{"address": join_address(*listener), "tls": listener in secure} for listener in door.sockets.addresses],
        "master": {"pid": os.getpid()},
        "control": {"pid": control.pid if control else None},
        "workers": workers(door.children),
        "sites": [
            {
                "hosts": site["hosts"],
                "tls": bool(site["tls"]),
                "closed": site.get("closed"),
                "routes": [{name: route.get(name) for name in ROUTE} for route in site["routes"]],
            }
            for site in written(plan)
        ],
        "dashboards": urls(plan, door.sockets.addresses),
        "apps": [app(door.fleet, plan["apps"][name], processes) for name in plan["apps"]],
        "certificates": door.children.keeper.rows,
        "logs": door.children.log_losses.rows,
        "upstreams": [
            upstream(door.board, item, door.overrides.said) for name, item in plan["upstreams"].items() if name != UPSTREAM
        ],
    }


def workers(children: Children) -> list[Document]:
    """The workers that serve, each with the generation of its snapshot and its open client connections."""
    cells = children.board.cells
    rows = [(child, children.board.process(child.row)) for child in children.workers]
    return [
        {"pid": child.pid, "generation": cells[row + board.P_GENERATION], "connections": cells[row + board.P_CONNECTIONS]}
        for child, row in rows
    ]


def app(fleet: Fleet, plan: AppPlan, processes: tree.Processes) -> Document:
    """An app: its state is "ready" when one instance is, else that of the most hopeful one."""
    group = [instance(item, processes) for item in fleet.apps.get(plan["name"], [])]
    states = [item["state"] for item in group]
    order = (READY, STARTING, BACKOFF, "stopping", "crashed", "stopped")
    state = next((state for state in order if state in states), "stopped")
    return {"name": plan["name"], "state": state, "command": plan["command"], "instances": group}


def instance(item: Instance, processes: tree.Processes | None = None) -> Document:
    """An instance, with why it ended last, its last lines and when it is started again."""
    run, lifecycle, now = item.run, item.lifecycle, time.monotonic()
    members = processes.members(run.pid, run.mark, run.started) if run and processes else []
    cause = item.cause.text if item.cause else ""
    hint = item.cause.hint if item.cause else ""
    if not cause and run is not None and not run.ready and run.trouble:
        cause = f"it runs, but does not answer on port {run.port}: {run.trouble}"
        hint = f"an app has to listen on $PORT, which is {run.port}; where its own port is fixed, write it as port = …"
    if cause and lifecycle.looping(now):
        cause = f"crash loop, {lifecycle.failures} failures in a row: {cause}"
    return {
        "index": item.index,
        "pid": run.pid if run else None,
        "address": join_address(item.app["host"], run.port) if run else None,
        "state": lifecycle.state,
        "restarts": lifecycle.restarts,
        "memory_bytes": processes.memory(members) if processes else 0,
        "uptime_seconds": max(0.0, now - run.launched_at) if run else 0.0,
        "since_seconds": max(0.0, now - lifecycle.since) if lifecycle.since else 0.0,
        "returns_seconds": max(0.0, lifecycle.returns_at - now) if lifecycle.state == BACKOFF else None,
        "looping": lifecycle.looping(now),
        "cause": cause,
        "hint": hint,
        "tail": item.last_lines,
        "log": os.path.join(item.ground.logs, f"{item.app['name']}-{item.index}.log"),
    }


def upstream(shared: Board, plan: UpstreamPlan, overrides: Overrides) -> Document:
    """An upstream with its servers as the board knows them, and what commands have said of them."""
    said = overrides.get(plan["name"])
    return {
        "name": plan["name"],
        "policy": plan["policy"],
        "app": plan["app"],
        "servers": [{**server(shared, plan, item), **origin(overrides, plan["name"], item)} for item in plan["servers"]],
        "names": [join_address(name["host"], name["port"]) for name in plan["names"]],
        "removed": list(said["removed"]) if said else [],
    }


def server(shared: Board, plan: UpstreamPlan, item: ServerPlan) -> Document:
    """A server: one of up, down, benched, unhealthy, draining, disabled; what it does and did."""
    now = time.monotonic_ns()
    counters = facts.counters(shared, item)
    return {
        "id": item["id"],
        "address": current_address(shared, plan, item),
        "weight": item["weight"],
        "backup": item["backup"],
        "state": facts.server_state(shared, item, now),
        "condition": facts.condition(shared, item, now),
        "active": counters.active,
        "requests": counters.requests,
        "fails": counters.fails,
    }


def current_address(shared: Board, plan: UpstreamPlan, item: ServerPlan) -> str:
    """Where a server is reached: an instance's port stands on the board, "" while it has none."""
    if not plan["app"]:
        return address(item)
    slot, _ = facts.best_slot(shared, item, time.monotonic_ns())
    port = shared.cells[slot + board.PORT]
    return join_address(item["host"], port) if port else ""


def greeting(plan: Plan, listening: list[tuple[str, int]]) -> list[str]:
    """What `gapura up` says when it serves: each site with what is behind it, where the logs are, how to stop."""
    secure = {(listen["host"], listen["port"]) for listen in plan["edge"]["https"]}
    http = "http", _shortest({port for host, port in listening if (host, port) not in secure}, 80)
    https = "https", _shortest({port for host, port in listening if (host, port) in secure}, 443)
    lines = []
    for site in written(plan):
        behind = ", ".join(dict.fromkeys(_behind(plan, dict(route)) for route in site["routes"]))
        behind += " (in maintenance)" if site.get("closed") else ""
        scheme, port = https if site["tls"] else http
        lines += [f"{scheme}://{'localhost' if host == '*' else host}{port}  →  {behind}" for host in site["hosts"]]
    if not lines:
        lines.append(f"listening on {', '.join(join_address(*listener) for listener in listening)}")
    if shown := urls(plan, listening):
        lines.append(f"dashboard: {shown[0]}  (gapura dashboard logs a browser in)")
    return [
        *lines,
        f"logs: {plan['paths']['logs']}  ·  what goes on: gapura status  ·  stop: gapura down (or Ctrl-C where it runs)",
    ]


def _shortest(ports: set[int], usual: int) -> str:
    """How the port is written behind a host; "" for the usual one."""
    port = min(ports, key=lambda port: (port != usual, port), default=usual)
    return "" if port == usual else f":{port}"


def _behind(plan: Plan, route: Document) -> str:
    action = route["action"]
    if action == "proxy" and route["traffic"] and (split := route["traffic"]["split"]):
        return ", ".join(f"{choice['upstream']} ({choice['share'] / 1000:g})" for choice in split["choices"])
    if action == "proxy":
        name = route["upstream"]
        if name == UPSTREAM:
            return "dashboard"
        if name not in plan["apps"]:
            return str(name)
        number = plan["apps"][name]["instances"]
        return f"{name} ({number} {'copy' if number == 1 else 'copies'})"
    return {"files": f"files in {route['folder']}", "redirect": f"redirect to {route['location']}"}.get(action, str(action))
