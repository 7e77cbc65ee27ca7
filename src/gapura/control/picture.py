"""The picture: what there is, and how it hangs together, as the dashboard draws it and the API tells it."""

from __future__ import annotations

import time
from typing import Any

from gapura.balance import facts
from gapura.board import PORT, Board
from gapura.config.plan import Plan, RoutePlan, ServerPlan, SitePlan, UpstreamPlan, address, join_address, upstreams_of
from gapura.config.plan_admin import UPSTREAM as OURS
from gapura.control.names import Names, internal, row_of
from gapura.events import stamp

Document = dict[str, Any]


def picture(names: Names, board: Board, generation: int) -> Document:
    """Sites with their routes, upstreams with their servers; without `at`, so that two of them can be compared."""
    plan = names.plan
    return {
        "generation": generation,
        "sites": [_site(site) for site in plan["sites"]],
        "upstreams": upstreams(board, plan),
    }


def upstreams(board: Board, plan: Plan) -> list[Document]:
    """All upstreams but the one that leads here."""
    return [upstream(board, one) for one in plan["upstreams"].values() if one["name"] != OURS]


def dated(document: Document) -> Document:
    """The picture with the time of now."""
    return {**document, "at": stamp(time.time())}


def upstream(board: Board, plan: UpstreamPlan) -> Document:
    """An upstream with its servers as they are now."""
    return {
        "name": plan["name"],
        "policy": plan["policy"],
        "app": plan["app"],
        "servers": [server(board, plan, one) for one in plan["servers"]],
    }


def server(board: Board, plan: UpstreamPlan, one: ServerPlan) -> Document:
    """A server as it is now."""
    now = time.monotonic_ns()
    return {
        "id": one["id"],
        "slot": one["slots"][0] if one["slots"] else -1,
        "address": reached(board, plan, one),
        "weight": one["weight"],
        "backup": one["backup"],
        "state": facts.server_state(board, one, now),
        "condition": facts.condition(board, one, now),
        "added": bool(one.get("added")),
    }


def reached(board: Board, plan: UpstreamPlan, one: ServerPlan) -> str:
    """Where a server is reached: an instance's port stands on the board, "" while it has none."""
    if not plan["app"] or not one["slots"]:
        return address(one)
    slot, _ = facts.best_slot(board, one, time.monotonic_ns())
    port = board.cells[slot + PORT]
    return join_address(one["host"], port) if port else ""


def _site(plan: SitePlan) -> Document:
    return {
        "id": plan["hosts"][0],
        "hosts": plan["hosts"],
        "tls": bool(plan["tls"]),
        "closed": plan.get("closed"),
        "internal": internal(plan),
        "routes": [_route(route) for route in plan["routes"]],
    }


def _route(plan: RoutePlan) -> Document:
    return {
        "row": row_of(plan),
        "name": plan["name"],
        "kind": plan["kind"],
        "path": plan["path"],
        "action": plan["action"],
        "upstreams": upstreams_of(plan),
    }
