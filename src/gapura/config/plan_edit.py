"""The part of a route's plan that says: what is changed about requests and answers: header fields, the target, error pages."""

from __future__ import annotations

from typing import TypedDict


class EditPlan(TypedDict):
    """What is changed about requests and answers: header fields, the target, error pages."""
