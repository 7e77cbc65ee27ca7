"""Steps of a route: what is changed about requests and answers: header fields, the target, error pages."""

from __future__ import annotations

from gapura.config.plan_edit import EditPlan
from gapura.edge.router import Step


def steps(plan: EditPlan) -> list[Step]:
    """The steps that this part of the plan asks for."""
    return []
