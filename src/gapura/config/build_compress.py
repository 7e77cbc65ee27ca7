"""From the keys of a site and its route to their plan: whether answers are compressed."""

from __future__ import annotations

from .options import Options
from .plan_compress import CompressPlan
from .schema_compress import Compress


def compress(options: Options) -> CompressPlan | None:
    """The plan; None when no key asks for anything, so that a plain route pays nothing."""
    said: Compress | None = options.get("compress")
    if said is None or not said.algorithms:
        return None
    return {"algorithms": said.algorithms, "types": said.types, "minimum": said.minimum, "level": said.level}
