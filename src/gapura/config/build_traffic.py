"""From the keys of a site and its route to their plan: where copies and shares of the requests go."""

from __future__ import annotations

from .options import Options
from .plan_traffic import TrafficPlan


def traffic(options: Options) -> TrafficPlan | None:
    """The plan; None when no key asks for anything, so that a plain route pays nothing."""
    return None
