"""The parts of a site's plan that say: how it looks in maintenance, and whether it is."""

from __future__ import annotations

from typing import TypedDict


class MaintenancePlan(TypedDict):
    """How a site looks in maintenance."""

    page: str  # absolute path of a file, "" = Gapura's own page
    allow: list[str]  # networks of visitors who see the site all the same
    retry_after: float  # told to the others when no end is known


class ClosedPlan(TypedDict):
    """Filled in by the master for a site in maintenance. Times are seconds of the wall clock: they outlive the machine's uptime."""

    since: float
    until: float  # 0 = until it is ended
    message: str  # for visitors, "" = none
