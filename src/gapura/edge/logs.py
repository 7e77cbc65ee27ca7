"""All access logs of a worker: those of the whole edge, of sites and of routes. What has the same path shares one output."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from gapura.config.plan import Plan
from gapura.config.plan_log import AccessLogPlan
from gapura.edge.access_log import AccessLog, Output
from gapura.edge.log_file import LogFile, Told

if TYPE_CHECKING:
    import asyncio

    from gapura.edge.router import Router

NOTHING: Final = ""


class Logs:
    """Gives each plan its log. Outputs live on over reloads, so that no line is lost while the configuration changes."""

    __slots__ = ("main", "_loop", "_told", "_logs", "_outputs")

    def __init__(self, loop: asyncio.AbstractEventLoop | None = None, told: Told = lambda path, lost, reason: None) -> None:
        self.main: AccessLog | None = None
        self._loop = loop
        self._told = told
        self._logs: dict[str, AccessLog] = {}
        self._outputs: dict[str, Output] = {}

    def take_up(self, plan: Plan, router: Router) -> None:
        """Have the logs of a new generation: every site and route of it gets its own, or the edge's."""
        before, self._logs = self._logs, {}
        used: set[str] = set()
        edge = plan["edge"]["access_log"]
        self.main = self._log(edge, before, used)
        for site in router.sites:
            site.log = self._log(site.plan["access_log"] or edge, before, used)
            for route in site.routes:
                access = route.plan["access"]
                named = access is not None and bool(access["basic_auth"] or access["jwt"] or access["forward_auth"])
                route.log = self._log(route.plan["access_log"] or edge, before, used, named)
        for path, output in self._outputs.items():
            if path not in used:
                output.retire()

    def _log(self, plan: AccessLogPlan, before: dict[str, AccessLog], used: set[str], named: bool = False) -> AccessLog | None:
        """The log of a plan: the one that there is, with what it remembers, or a new one. `named`: where people log in."""
        path = plan["path"]
        if path == NOTHING:
            return None
        used.add(path)
        output = self._outputs.get(path)
        if output is None:
            output = self._outputs[path] = self._open(plan)
        output.revive()
        key = f"{named} {json.dumps(plan, sort_keys=True)}"
        found = self._logs.get(key) or before.get(key) or AccessLog(plan, output, named)
        self._logs[key] = found
        return found

    def _open(self, plan: AccessLogPlan) -> Output:
        if plan["syslog"] is not None:
            from gapura.edge.syslog import Syslog  # most have none: a socket module less

            return Syslog(plan["path"], plan["syslog"], self._loop, self._told)
        return LogFile(plan["path"], self._told)

    def flush(self) -> None:
        """Write what has been collected."""
        for output in self._outputs.values():
            output.flush()

    def reopen(self) -> None:
        """Open all files anew, after rotation."""
        for output in self._outputs.values():
            output.reopen()

    def close(self) -> None:
        """Write the rest and close."""
        for output in self._outputs.values():
            output.close()
