"""Keys of a site and its routes: where copies and shares of the requests go."""

from __future__ import annotations

from .section import Section


class TrafficOptions(Section):
    """Where copies and shares of the requests go."""
