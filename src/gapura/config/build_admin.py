"""From `[admin]` to its plan, and the site that is there without being written."""

from __future__ import annotations

import os
from typing import Final

from .build_log import LogPlans
from .build_sites import Sites
from .build_upstreams import Upstreams
from .findings import Findings
from .plan import Plan, SitePlan
from .plan_admin import AUDIT, HOST, SOCKETS, UPSTREAM, AdminPlan, default
from .schema_admin import Admin
from .schema_log import AccessLog, ErrorLog, Rotate
from .schema_site import Site

AUDIT_KEPT: Final = Rotate(keep=90)
"""How the audit log is rotated: a file for each day on which something was changed."""


def admin(written: Admin | None) -> AdminPlan | None:
    """The plan of `[admin]`; None when nothing is said there."""
    if written is None:
        return None
    listen = written.listen
    return {
        "dashboard": written.dashboard,
        "listen": {"host": listen[0], "port": listen[1]} if listen is not None else None,
        "loopback": written.loopback or "",
        "metrics_from": written.metrics_from,
    }


def check_doors(findings: Findings, upstreams: Upstreams, run: str) -> None:
    """Refuse a site that leads to the sockets of the admin API: who comes through it would have all rights."""
    reserved = {os.path.join(run, name) for name in SOCKETS}
    for name, plan in upstreams.plans.items():
        if name != UPSTREAM and any(os.path.normpath(server["path"]) in reserved for server in plan["servers"] if server["path"]):
            message = "this socket is Gapura's own: whoever visits the site could change everything"
            findings.error(upstreams.paths[name], message, "write dashboard = true in the site instead")


def add_implicit(findings: Findings, plan: Plan, slots: int) -> None:
    """Add gapura.localhost to a plan, unless it is switched off or written, and the audit log. `slots`: room for servers.

    This is the last thing that is done to a plan, by the process that loads it for the master: what reads files for other reasons
    sees what is written, and no more.
    """
    folder, paths = plan["folder"], plan["paths"]
    logs = LogPlans(findings, paths, folder, AccessLog(), ErrorLog())
    logs.add(os.path.join(paths["logs"], AUDIT), AUDIT_KEPT, ("admin",))
    known = {file["path"] for file in plan["edge"]["log_files"]}
    plan["edge"]["log_files"] += [file for file in logs.files if file["path"].endswith(AUDIT) and file["path"] not in known]
    taken = any(HOST in site["hosts"] for site in plan["sites"])
    if taken or not (plan["admin"] or default())["dashboard"]:
        return
    servers = sum(len(item["servers"]) * (2 if item["app"] else 1) for item in plan["upstreams"].values())
    if UPSTREAM not in plan["upstreams"] and servers >= slots:
        return
    upstreams = Upstreams(findings, folder)
    sites = Sites(findings, upstreams, {}, folder, False, logs)
    sites.add(HOST, Site(dashboard=True, access_log=AccessLog(path="")))
    site: SitePlan = sites.plans[0]
    site["routes"][0]["dashboard"] = {"implicit": True}
    plan["upstreams"].setdefault(UPSTREAM, upstreams.plans[UPSTREAM])
    plan["sites"].append(site)
