"""Types of parameters and fields that several nouns share, with the limits that keep a request cheap."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import Header, Path, Query
from pydantic import BaseModel, ConfigDict, Field

_NAME: Final = r"^[A-Za-z0-9_.@-]{1,100}$"
_HOST: Final = r"^[A-Za-z0-9_.:\[\]*-]{1,253}$"
_SERVER: Final = r"^[A-Za-z0-9_.:/@+,=%\[\]-]{1,200}$"


class Model(BaseModel):
    """What the API answers: nothing that it does not name."""

    model_config = ConfigDict(extra="forbid")


class Open(BaseModel):
    """A document that newer versions add fields to."""

    model_config = ConfigDict(extra="allow")


class Body(BaseModel):
    """What the API is given: an unknown field is a mistake."""

    model_config = ConfigDict(extra="forbid", strict=True)


def example(**fields: Any) -> ConfigDict:
    """The configuration of a model that is shown with this example."""
    return ConfigDict(json_schema_extra={"example": fields})


AppName = Annotated[str, Path(pattern=_NAME, description="Name of an app, as in `[apps.NAME]`.", examples=["dumbflix"])]
UpstreamName = Annotated[str, Path(pattern=_NAME, description="Name of an upstream; an app is one, too.", examples=["dumbflix"])]
ServerName = Annotated[
    str,
    Path(pattern=_SERVER, description="Id or address of a server: `dumbflix:0`, `10.0.0.7:3000`.", examples=["10.0.0.7:3000"]),
]
HostName = Annotated[str, Path(pattern=_HOST, description="One of a site's host names.", examples=["shop.example"])]
Index = Annotated[int, Path(ge=0, le=255, description="Number of an instance, from 0.", examples=[0])]

SiteFilter = Annotated[
    str | None, Query(pattern=_HOST, description="Only of the site with this host name.", examples=["shop.example"])
]
RouteFilter = Annotated[int | None, Query(ge=0, le=65535, description="Only of the route with this `row` (0: no route).")]
ServerFilter = Annotated[
    str | None,
    Query(
        pattern=r"^[A-Za-z0-9_.@-]{1,100}/[A-Za-z0-9_.:/@+,=%\[\]-]{1,200}$", description="Only of this server, as `upstream/id`."
    ),
]
Lines = Annotated[int, Query(ge=0, le=5000, description="How many of the last lines.")]
IfMatch = Annotated[
    str | None,
    Header(alias="If-Match", max_length=64, description='The `ETag` of the configuration that the change is meant for, as `"12"`.'),
]

Milliseconds = Annotated[float | None, Field(description="Milliseconds; null where nothing was measured.", examples=[12.4])]
At = Annotated[str, Field(description="Time of day, ISO 8601 in UTC.", examples=["2026-11-22T20:00:00.000Z"])]
