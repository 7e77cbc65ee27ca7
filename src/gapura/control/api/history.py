"""`/v1/history`: the last hours in figures."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query

from gapura.control import history as past
from gapura.control.api import known, problem
from gapura.control.api.auth import InContext, Reader
from gapura.control.api.fields import RouteFilter, ServerFilter, SiteFilter
from gapura.control.api.models_now import HistoryAnswer

router = APIRouter(prefix="/v1", tags=["status"])
Seconds = Annotated[int, Query(ge=1, le=86400, description="How far back; up to 900 in steps of a second, else of a minute.")]


@router.get(
    "/history",
    operation_id="history",
    summary="The last hours in figures",
    response_model=HistoryAnswer,
    responses=problem.answers(404),
)
async def history(
    context: InContext,
    visitor: Reader,
    seconds: Seconds = 900,
    site: SiteFilter = None,
    route: RouteFilter = None,
    server: ServerFilter = None,
) -> dict[str, Any]:
    """Requests and errors a second, and percentiles of their duration, of all traffic, or of one server, route or site
    (the first of them that is given). It begins when Gapura starts, a quarter of an hour in seconds, a day in minutes."""
    key: past.Key = past.TOTAL
    if server is not None:
        if server not in context.names.servers:
            raise known.missing("server", server, context.names.servers)
        key = ("server", server)
    elif route is not None:
        if route and route not in context.names.routes:
            raise known.missing("route", str(route), map(str, context.names.routes))
        key = ("route", route)
    elif site is not None:
        key = ("site", known.site(context, site)["hosts"][0])
    found: dict[str, Any] = context.history.read(seconds, key)
    return found
