"""From `[tracing]` to its plan."""

from __future__ import annotations

from .plan_tracing import TracingPlan
from .schema_tracing import Tracing


def tracing(section: Tracing | None) -> TracingPlan | None:
    """None: requests are not traced, and traceparent is passed on as it came."""
    if section is None:
        return None
    return {
        "endpoint": section.endpoint,
        "ratio": section.ratio,
        "parent": section.parent,
        "headers": dict(section.headers),
        "service": section.service,
        "most": section.most,
    }
