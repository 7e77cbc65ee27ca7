"""The part of a route's plan that says: how often and how many at a time somebody may ask."""

from __future__ import annotations

from typing import TypedDict


class LimitPlan(TypedDict):
    """How often and how many at a time somebody may ask."""
