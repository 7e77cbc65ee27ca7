"""The part of a plan that says what is told of requests to a collector of traces."""

from __future__ import annotations

from typing import TypedDict


class TracingPlan(TypedDict):
    """How requests are traced."""

    endpoint: str  # URL that spans are posted to, path included
    ratio: float  # share of the requests without a parent that are sampled, 0 to 1
    parent: bool  # a valid traceparent decides whether its request is sampled
    headers: dict[str, str]  # sent to the collector
    service: str
    most: int  # requests for a second; what is above is not sent
