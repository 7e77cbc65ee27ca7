"""Types of parameters and fields that several nouns share, with the limits that keep a request cheap."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import Header, Path, Query
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.json_schema import SkipJsonSchema

_NAME: Final = r"^[A-Za-z0-9_.@-]{1,100}$"
_HOST: Final = r"^[A-Za-z0-9_.:\[\]*-]{1,253}$"
_STATUS: Final = "([1-5][xX]{2}|[1-5][0-9]{2}(-[1-5][0-9]{2})?)"


class Model(BaseModel):
    """What the API answers: nothing that it does not name."""

    model_config = ConfigDict(extra="forbid")


class Open(BaseModel):
    """A document that newer versions add fields to."""

    model_config = ConfigDict(extra="allow")


class Body(BaseModel):
    """What the API is given: an unknown field is a mistake."""

    model_config = ConfigDict(extra="forbid", strict=True)


def _whole(value: Any) -> Any:
    """JSON knows no integers: 3.0 is one, "3" and true are none."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


WHOLE: Final = BeforeValidator(_whole)
"""Stands last in an integer of a body: before it the limits, which the document would lose behind it."""


def example(**fields: Any) -> ConfigDict:
    """The configuration of a model that is shown with this example."""
    return ConfigDict(json_schema_extra={"example": fields})


AppName = Annotated[str, Path(pattern=_NAME, description="Name of an app, as in `[apps.NAME]`.", examples=["dumbflix"])]
UpstreamName = Annotated[str, Path(pattern=_NAME, description="Name of an upstream; an app is one, too.", examples=["dumbflix"])]
ServerName = Annotated[
    str,
    Path(
        min_length=1,
        max_length=300,
        description="Id or address of a server: `dumbflix:0`, `10.0.0.7:3000`.",
        examples=["10.0.0.7:3000"],
    ),
]
HostName = Annotated[str, Path(pattern=_HOST, description="One of a site's host names.", examples=["shop.example"])]
Index = Annotated[int, Path(ge=0, le=255, description="Number of an instance, from 0.", examples=[0])]

SiteFilter = Annotated[
    Annotated[str, Field(pattern=_HOST)] | SkipJsonSchema[None],
    Query(description="Only of the site with this host name.", examples=["shop.example"]),
]
RouteFilter = Annotated[
    Annotated[int, Field(ge=0, le=65535)] | SkipJsonSchema[None],
    Query(description="Only of the route with this `row` (0: no route)."),
]
ServerFilter = Annotated[
    Annotated[str, Field(min_length=1, max_length=300)] | SkipJsonSchema[None],
    Query(description="Only of this server, as `upstream/id`.", examples=["dumbflix/dumbflix:0"]),
]
StatusFilter = Annotated[
    Annotated[str, Field(pattern=f"^{_STATUS}(,{_STATUS}){{0,9}}$")] | SkipJsonSchema[None],
    Query(description="Only these: `404`, `5xx`, `400-499`, with commas between."),
]
Lines = Annotated[int, Query(ge=0, le=5000, description="How many of the last lines.")]
IfMatch = Annotated[
    Annotated[str, Field(max_length=200)] | SkipJsonSchema[None],
    Header(alias="If-Match", description='The `ETag` of the configuration that the change goes by, as `"12"`.'),
]
Milliseconds = Annotated[float | None, Field(description="Milliseconds; null where nothing was measured.", examples=[12.4])]
At = Annotated[str, Field(description="Time of day, ISO 8601 in UTC.", examples=["2026-11-22T20:00:00.000Z"])]
