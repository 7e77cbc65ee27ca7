"""From the keys of a site and its route to their plan: who may ask: networks, passwords, tokens, other origins."""

from __future__ import annotations

from .options import Options
from .plan_access import AccessPlan


def access(options: Options) -> AccessPlan | None:
    """The plan; None when no key asks for anything, so that a plain route pays nothing."""
    return None
