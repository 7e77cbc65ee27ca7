"""Which sites are in maintenance. It is said by commands, and kept in a file that outlives masters and the machine's uptime."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from typing import Any

from gapura.config.plan import Plan
from gapura.config.plan_maintenance import ClosedPlan
from gapura.errors import CommandError
from gapura.master.kept import Kept

NAME = "maintenance.json"
LONGEST_MESSAGE = 1000
"""Characters of the operator's message."""


class Maintenance:
    """The closed sites by their first host. `folder` is where the file lies, "" for none (tests)."""

    def __init__(self, folder: str) -> None:
        self._kept = Kept(os.path.join(folder, NAME) if folder else "")
        self.closed: dict[str, ClosedPlan] = self._kept.read(_understood, {}, "no site is in maintenance")

    @property
    def problem(self) -> str:
        """Why the next master will not know what holds now."""
        return self._kept.problem

    def marked(self, plan: Plan) -> Plan:
        """The plan with its closed sites marked as such, and no other; an end that has come is forgotten."""
        now = time.time()
        self.closed = {name: closed for name, closed in self.closed.items() if not 0 < closed["until"] <= now}
        if not self.closed and not any(site.get("closed") for site in plan["sites"]):
            return plan
        return {**plan, "sites": [{**site, "closed": self.closed.get(site["hosts"][0])} for site in plan["sites"]]}

    def close(self, names: Iterable[str], until: float, message: str) -> None:
        """Close sites, or change until when and what is said. Times are seconds of the wall clock; `until` 0: until it is ended."""
        for name in names:
            before = self.closed.get(name)
            self.closed[name] = {"since": before["since"] if before else time.time(), "until": until, "message": message}

    def open(self, names: Iterable[str]) -> None:
        """Open sites again."""
        for name in names:
            self.closed.pop(name, None)

    def next_end(self) -> float:
        """When the next site opens by itself; 0: none does."""
        return min((closed["until"] for closed in self.closed.values() if closed["until"]), default=0.0)

    def write(self) -> None:
        """Keep what holds now; `problem` tells when that fails."""
        self._kept.write({"closed": self.closed})


def meant(plan: Plan, hosts: Iterable[str]) -> list[str]:
    """The first hosts of the sites that have these hosts. Raises `CommandError` for a host that none has."""
    owners = {host: site["hosts"][0] for site in plan["sites"] for host in site["hosts"]}
    found = []
    for host in hosts:
        if host.lower() not in owners:
            known = ", ".join(dict.fromkeys(owners.values())) or "none"
            raise CommandError(f"there is no site {host}", f"Sites of this configuration: {known}.")
        found.append(owners[host.lower()])
    return list(dict.fromkeys(found))


def _understood(document: Any) -> dict[str, ClosedPlan]:
    return {str(name): _closed(entry) for name, entry in document["closed"].items()}


def _closed(entry: dict[str, object]) -> ClosedPlan:
    """Raises ValueError, TypeError, KeyError for what is no such entry."""
    since, until, message = entry["since"], entry["until"], entry["message"]
    if not isinstance(since, (int, float)) or not isinstance(until, (int, float)) or not isinstance(message, str):
        raise TypeError("an entry is malformed")
    return {"since": since, "until": until, "message": message}
