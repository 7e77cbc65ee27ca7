"""The part of a route's plan that says: where copies and shares of the requests go."""

from __future__ import annotations

from typing import TypedDict


class TrafficPlan(TypedDict):
    """Where copies and shares of the requests go."""
