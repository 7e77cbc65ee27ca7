"""`/v1/upstreams`: groups of servers, and changes of single ones without a file."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response

from gapura.control import picture
from gapura.control.api import etag, known, problem
from gapura.control.api.auth import Changer, InContext, Reader
from gapura.control.api.context import Context
from gapura.control.api.fields import IfMatch, ServerName, UpstreamName
from gapura.control.api.models_changes import NewServer, ServerChange, ServerChanged, Upstreams
from gapura.control.api.problem import Refusal

router = APIRouter(prefix="/v1/upstreams", tags=["upstreams"])
CHANGES = problem.answers(404, 409, 412, 504)


@router.get("", operation_id="upstreams", summary="All upstreams", response_model=Upstreams)
async def upstreams(context: InContext, visitor: Reader, response: Response) -> dict[str, Any]:
    """All upstreams with their servers. `ETag` is the generation of the configuration."""
    response.headers["ETag"] = etag.tag(context.generation)
    return {"generation": context.generation, "upstreams": picture.upstreams(context.known_board, context.running)}


@router.post(
    "/{upstream}/servers",
    operation_id="add_server",
    summary="Add a server",
    status_code=201,
    response_model=ServerChanged,
    responses=CHANGES,
)
async def add(
    upstream: UpstreamName, new: NewServer, context: InContext, visitor: Changer, if_match: IfMatch = None
) -> dict[str, Any]:
    """Add a server to an upstream, as `gapura server` does. It stays through reloads and restarts until it is removed."""
    known.upstream(context, upstream)
    generation = etag.expected(context, if_match)
    answer = await context.ask("server_add", upstream=upstream, **new.model_dump(exclude_none=True), **_meant(generation))
    return _changed(context, upstream, new.address, answer)


@router.patch(
    "/{upstream}/servers/{server:path}",
    operation_id="change_server",
    summary="Change a server's weight, drain or enable it",
    response_model=ServerChanged,
    responses=CHANGES,
)
async def change(
    upstream: UpstreamName, server: ServerName, wanted: ServerChange, context: InContext, visitor: Changer, if_match: IfMatch = None
) -> dict[str, Any]:
    """`weight`: its share until it is changed again. `state`: `draining` ends what it has and gets nothing new (`gapura drain`),
    `enabled` brings it back (`gapura enable`)."""
    found = _server(context, upstream, server)
    generation = etag.expected(context, if_match)
    if wanted.weight is None and wanted.state is None:
        raise Refusal(422, "nothing is to be changed", "send weight, state or both")
    answer: dict[str, Any] = {}
    if wanted.weight is not None:
        answer |= await context.ask("server_weight", upstream=upstream, server=found, weight=wanted.weight, **_meant(generation))
    if wanted.state is not None:
        answer |= await context.ask("drain" if wanted.state == "draining" else "enable", upstream=upstream, address=found)
    return _changed(context, upstream, found, answer)


@router.delete(
    "/{upstream}/servers/{server:path}",
    operation_id="remove_server",
    summary="Remove a server",
    response_model=ServerChanged,
    responses=CHANGES,
)
async def remove(
    upstream: UpstreamName, server: ServerName, context: InContext, visitor: Changer, if_match: IfMatch = None
) -> dict[str, Any]:
    """Remove a server, as `gapura server` does. It gets nothing new, and ends what it has."""
    found = _server(context, upstream, server)
    generation = etag.expected(context, if_match)
    answer = await context.ask("server_remove", upstream=upstream, server=found, **_meant(generation))
    return _changed(context, upstream, found, answer)


def _changed(context: Context, upstream: str, wanted: str, answer: dict[str, Any]) -> dict[str, Any]:
    """What is told of a change: the master has committed it here before it answered."""
    group = context.running["upstreams"].get(upstream)
    servers = picture.upstream(context.known_board, group)["servers"] if group else []
    found = next((one for one in servers if wanted in (one["id"], one["address"])), None)
    return {"generation": context.generation, "changes": answer.get("changes") or [], "server": found}


def _server(context: Context, name: str, wanted: str) -> str:
    """The id of a server that is named by its id or address. Raises `Refusal` 404."""
    group = known.upstream(context, name)
    places = {one["id"]: picture.reached(context.known_board, group, one) for one in group["servers"]}
    return known.server(context, name, wanted, places)["id"]


def _meant(generation: int | None) -> dict[str, int]:
    return {} if generation is None else {"generation": generation}
