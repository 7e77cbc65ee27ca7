"""Which sites are in maintenance. It is said by commands, and kept in a file that outlives masters and the machine's uptime."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Iterable
from contextlib import suppress

from gapura.config.plan import Plan
from gapura.config.plan_maintenance import ClosedPlan
from gapura.errors import CommandError

log = logging.getLogger(__name__)
NAME = "maintenance.json"
LONGEST_MESSAGE = 1000
"""Characters of the operator's message."""


class Maintenance:
    """The closed sites by their first host. `folder` is where the file lies, "" for none (tests)."""

    def __init__(self, folder: str) -> None:
        self._path = os.path.join(folder, NAME) if folder else ""
        self.closed: dict[str, ClosedPlan] = _read(self._path) if folder else {}
        self.problem = ""
        """Why the next master will not know what holds now."""

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
        """Keep what holds now. A disk that takes it not is told, here and by `problem`: a later master would not know it."""
        self.problem = ""
        if not self._path:
            return
        fresh = self._path + ".new"
        try:
            fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            with open(fd, "w", encoding="utf-8") as stream:
                json.dump({"format": 1, "closed": self.closed}, stream)
            os.replace(fresh, self._path)
        except OSError as error:
            with suppress(OSError):
                os.unlink(fresh)
            self.problem = f"{self._path} cannot be written ({error.strerror}): after a restart of Gapura it would be as before"
            log.error("%s", self.problem)


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


def _read(path: str) -> dict[str, ClosedPlan]:
    """What an earlier master kept. What cannot be understood is told, and the sites are open."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        with open(fd, encoding="utf-8") as stream:
            found = json.load(stream)["closed"]
        return {str(name): _closed(entry) for name, entry in found.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        log.error("%s cannot be read (%s): no site is in maintenance", path, error)
        return {}


def _closed(entry: dict[str, object]) -> ClosedPlan:
    """Raises ValueError, TypeError, KeyError for what is no such entry."""
    since, until, message = entry["since"], entry["until"], entry["message"]
    if not isinstance(since, (int, float)) or not isinstance(until, (int, float)) or not isinstance(message, str):
        raise TypeError("an entry is malformed")
    return {"since": since, "until": until, "message": message}
