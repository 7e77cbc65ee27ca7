"""The part of a route's plan that says: how often and how many at a time somebody may ask."""

from __future__ import annotations

from typing import TypedDict


class RatePlan(TypedDict):
    zone: str  # routes that share a count have the same
    interval: int  # ns from one request to the next
    burst: int
    undelayed: int  # requests of the burst that do not wait; -1 = none waits
    key: str  # a string with $variables
    status: int


class ConnectionsPlan(TypedDict):
    zone: str
    most: int
    key: str
    status: int


class LimitPlan(TypedDict):
    """How often and how many at a time somebody may ask."""

    rates: list[RatePlan]
    connections: list[ConnectionsPlan]
