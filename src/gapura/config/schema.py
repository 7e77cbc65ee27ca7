"""gapura.toml as a model: the one place from which checking and the editors' JSON Schema come."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from .schema_app import App
from .schema_edge import Edge
from .schema_site import Site
from .schema_upstream import Upstream
from .section import Section


class Document(Section):
    """The whole file."""

    edge: Edge = Edge()
    """Where Gapura listens, with how many workers, and what it bears."""
    apps: dict[str, App] = Field(default_factory=dict)
    """Programs that Gapura starts, watches and restarts, by name."""
    upstreams: dict[str, Upstream] = Field(default_factory=dict)
    """Groups of servers, by name."""
    sites: dict[str, Site] = Field(default_factory=dict)
    """Sites by host: "example.com", "*.example.com", or "*" for all the rest."""


def json_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of gapura.toml, for editors (`gapura schema`)."""
    schema = Document.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "gapura.toml"}
