"""Keys of a site and its routes: how often and how many at a time somebody may ask."""

from __future__ import annotations

from .section import Section


class LimitOptions(Section):
    """How often and how many at a time somebody may ask."""
