"""Keys of a site and its routes: who may ask: networks, passwords, tokens, other origins."""

from __future__ import annotations

from .section import Section


class AccessOptions(Section):
    """Who may ask: networks, passwords, tokens, other origins."""
