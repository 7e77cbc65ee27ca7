"""The part of the plan that says who may look at Gapura itself, and from where."""

from __future__ import annotations

from typing import Final, TypedDict

ADMIN: Final = "admin"
"""The socket for commands and people on this machine: full rights, so it is the master's user's alone."""
DASHBOARD: Final = "dashboard"
"""The socket for the edge, which says on whose behalf it comes."""
UPSTREAM: Final = "gapura:dashboard"
"""The upstream of routes with `dashboard = true`: control itself. No other can have a name with a colon and letters behind it."""
HOST: Final = "gapura.localhost"
"""The site that is there without being written."""
SOCKETS: Final = (f"{ADMIN}.sock", f"{DASHBOARD}.sock")
"""Of the run folder: no site may proxy to them."""
AUDIT: Final = "audit.log"
"""In the folder of logs: every change that came through the API."""
LARGEST: Final = 2 << 20
"""Bytes of a request body to the API: a configuration has at most half of it."""
VISITOR: Final = "x-gapura-visitor"
"""Header field in which the edge tells control who asks; what a visitor sends of that name is taken away."""


class AdminListenPlan(TypedDict):
    host: str  # a loopback address
    port: int


class AdminPlan(TypedDict):
    """None in the plan: as if nothing had been written."""

    dashboard: bool  # whether there is the site gapura.localhost
    listen: AdminListenPlan | None
    loopback: str  # what visitors of this machine may do without a token: full, read, none; "" = as is usual for the user
    metrics_from: list[str]  # networks that may read /metrics without a token


class DashboardPlan(TypedDict):
    """Of a route that leads to control."""

    implicit: bool  # the site that nobody wrote: loopback only


def default() -> AdminPlan:
    """What holds when nothing is written."""
    return {"dashboard": True, "listen": None, "loopback": "", "metrics_from": []}
