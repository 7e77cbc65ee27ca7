"""Steps of a route: where copies and shares of the requests go."""

from __future__ import annotations

from gapura.config.plan_traffic import TrafficPlan
from gapura.edge.router import Step


def steps(plan: TrafficPlan) -> list[Step]:
    """The steps that this part of the plan asks for."""
    return []
