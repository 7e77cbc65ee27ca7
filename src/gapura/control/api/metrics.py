"""`/metrics` and `/stub_status`: figures for Prometheus, and for whoever reads nginx's page."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import PlainTextResponse, Response

from gapura.control.api import problem
from gapura.control.api.auth import InContext, MetricsReader
from gapura.control.api.context import Context, MasterAway
from gapura.control.exposition import OPENMETRICS, PLAIN, wants_openmetrics
from gapura.control.scrape import Reload, Scene, Scraper
from gapura.errors import GapuraError
from gapura.events import moment

router = APIRouter(tags=["metrics"])
PATIENCE = 2.0
"""Seconds within which the master tells of its apps; else they are left out, so that a scrape never waits for it."""

_TEXT: dict[int | str, dict[str, Any]] = {200: {"description": "The figures of this moment.", "content": {"text/plain": {}}}}


@router.get(
    "/metrics",
    operation_id="metrics",
    summary="Figures for Prometheus",
    response_class=Response,
    responses={**_TEXT, **problem.answers(503)},
)
async def metrics(request: Request, context: InContext, visitor: MetricsReader) -> Response:
    """Counters, gauges and histograms in Prometheus' text format, or in OpenMetrics for whoever accepts it. Of a scraper from one
    of the networks in `[admin] metrics_from` no token is asked. What each name means: docs/metrics.md."""
    openmetrics = wants_openmetrics(request.headers.get("accept", ""))
    scene = await _scene(context)
    scraper = _scraper(request)
    async with request.app.state.scraping:
        text = await asyncio.to_thread(scraper.render, scene, openmetrics)
    return Response(text, media_type=OPENMETRICS if openmetrics else PLAIN)


@router.get(
    "/stub_status", operation_id="stub_status", summary="nginx's status page", response_class=PlainTextResponse, responses=_TEXT
)
async def stub_status(context: InContext, visitor: MetricsReader) -> Response:
    """Connections and requests of all workers, in the form and with the meaning of nginx's `stub_status`."""
    if context.metrics is None:
        raise MasterAway("Gapura is still starting")
    one = context.metrics.workers()
    return PlainTextResponse(
        f"Active connections: {one.reading + one.writing + one.waiting} \n"
        "server accepts handled requests\n"
        f" {one.accepted} {one.handled} {one.requests} \n"
        f"Reading: {one.reading} Writing: {one.writing} Waiting: {one.waiting} \n"
    )


def _scraper(request: Request) -> Scraper:
    """The one of this application, made at the first scrape."""
    state = request.app.state
    if not hasattr(state, "scraper"):
        state.scraper, state.scraping = Scraper(), asyncio.Lock()
    found: Scraper = state.scraper
    return found


async def _scene(context: Context) -> Scene:
    """What this scrape looks at. Raises `MasterAway` before the first configuration."""
    names, board = context.names, context.known_board
    try:
        status = await context.ask("status", timeout=PATIENCE)
    except GapuraError:  # it is away, or slow
        status = None
    traces = context.traces
    return Scene(
        names,
        board,
        context.metrics,
        context.generation,
        _reload(context),
        status,
        list(context.dates()),
        traces.lost if traces is not None else {},
        traces.sent if traces is not None else 0,
    )


def _reload(context: Context) -> Reload:
    """What the events of the configuration say; without any, it was taken up when control began."""
    events = context.events.since(0, ("config",)) if context.events is not None else []
    changed = [event for event in events if event["type"] == "config.changed"]
    successful = not events or events[-1]["type"] != "config.refused"
    return Reload(successful, moment(changed[-1]["at"]) if changed else context.settled_at)
