"""The part of a route's plan that says: whether answers are compressed."""

from __future__ import annotations

from typing import TypedDict


class CompressPlan(TypedDict):
    """Whether answers are compressed."""
