"""Steps of a route: who may ask: networks, passwords, tokens, other origins."""

from __future__ import annotations

from gapura.config.plan_access import AccessPlan
from gapura.edge.router import Step


def steps(plan: AccessPlan) -> list[Step]:
    """The steps that this part of the plan asks for."""
    return []
