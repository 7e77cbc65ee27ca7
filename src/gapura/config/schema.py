"""gapura.toml as a model: the one place from which checking and the editors' JSON Schema come."""

from __future__ import annotations

from typing import Any

from pydantic import Field
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from .schema_admin import Admin
from .schema_app import App
from .schema_edge import Edge
from .schema_events import Events
from .schema_site import Site
from .schema_tracing import Tracing
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
    admin: Admin | None = None
    """Who may look at Gapura itself, and change it, from where. Left out: the dashboard is at http://gapura.localhost for visitors
    on this machine."""
    events: Events | None = None
    """Whom is told what happens. Left out: events.log in the logs folder."""
    tracing: Tracing | None = None
    """Where requests are told to as traces (OpenTelemetry). Left out: nowhere."""


class _Toml(GenerateJsonSchema):
    """TOML has no null: a key that may be left out is simply not required. Defaults of whole tables stand at their keys."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        made = super().default_schema(schema)
        return {key: value for key, value in made.items() if key != "default" or not (value is None or isinstance(value, dict))}


def json_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of gapura.toml, for editors (`gapura schema`)."""
    schema = Document.model_json_schema(schema_generator=_Toml)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "gapura.toml"}
