"""From the keys of a site and its route to their plan: whether answers are compressed."""

from __future__ import annotations

from .options import Options
from .plan_compress import CompressPlan


def compress(options: Options) -> CompressPlan | None:
    """The plan; None when no key asks for anything, so that a plain route pays nothing."""
    return None
