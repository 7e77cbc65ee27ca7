"""Keys of a site and its routes: whether answers are compressed."""

from __future__ import annotations

from .section import Section


class CompressOptions(Section):
    """Whether answers are compressed."""
