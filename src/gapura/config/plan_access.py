"""The part of a route's plan that says: who may ask: networks, passwords, tokens, other origins."""

from __future__ import annotations

from typing import TypedDict


class AccessPlan(TypedDict):
    """Who may ask: networks, passwords, tokens, other origins."""
