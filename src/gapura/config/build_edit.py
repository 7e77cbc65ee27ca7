"""From the keys of a site and its route to their plan: changes of header fields and targets, error pages."""

from __future__ import annotations

from .options import Options
from .plan_edit import EditPlan


def edit(options: Options) -> EditPlan | None:
    """The plan; None when no key asks for anything, so that a plain route pays nothing."""
    return None
