"""Steps of a route: whether answers are compressed."""

from __future__ import annotations

from gapura.config.plan_compress import CompressPlan
from gapura.edge.router import Step


def steps(plan: CompressPlan) -> list[Step]:
    """The steps that this part of the plan asks for."""
    return []
