"""Keys of a site: how it looks in maintenance. Whether it is in maintenance is said by `gapura maintenance`."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field

from .addresses import network
from .quantities import PositiveSeconds
from .section import Also, Section, Text, by, short, wrapped
from .words import wrong


def _not_a_switch(value: object) -> object:
    if isinstance(value, bool):
        raise wrong("maintenance says how the site looks in maintenance", "`gapura maintenance on SITE` begins it, `off` ends it")
    return value


class Maintenance(Section):
    """How a site looks in maintenance."""

    page: Text | None = None
    """File that visitors get, relative to the folder of this file; $status, $reason and $request_id in it are replaced. Left out: a
    page of Gapura's, in English or Indonesian."""
    allow: Annotated[
        list[Annotated[str, by(lambda value: network(value) if isinstance(value, str) else value)]],
        wrapped,
        Also({"type": "string"}),
    ] = Field(default_factory=list)
    """Addresses or networks of visitors who see the site all the same."""
    retry_after: PositiveSeconds = 600.0
    """When clients are told to try again (Retry-After) as long as no end is known."""


class MaintenanceOptions(Section):
    """How a site looks in maintenance."""

    maintenance: Annotated[Maintenance | None, short("page"), BeforeValidator(_not_a_switch), Also({"type": "string"})] = None
    """How the site looks in maintenance, which `gapura maintenance on` begins: a page, or a table."""
