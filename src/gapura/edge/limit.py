"""Steps of a route: how often and how many at a time somebody may ask."""

from __future__ import annotations

from gapura.config.plan_limit import LimitPlan
from gapura.edge.router import Step


def steps(plan: LimitPlan) -> list[Step]:
    """The steps that this part of the plan asks for."""
    return []
