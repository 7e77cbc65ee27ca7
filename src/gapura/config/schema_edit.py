"""Keys of a site and its routes: what is changed about requests and answers: header fields, the target, error pages."""

from __future__ import annotations

from .section import Section


class EditOptions(Section):
    """What is changed about requests and answers: header fields, the target, error pages."""
