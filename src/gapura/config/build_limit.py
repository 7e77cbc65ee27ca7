"""From the keys of a site and its route to their plan: how often and how many at a time somebody may ask."""

from __future__ import annotations

from .options import Options
from .plan_limit import LimitPlan


def limit(options: Options) -> LimitPlan | None:
    """The plan; None when no key asks for anything, so that a plain route pays nothing."""
    return None
