"""`/v1/live`: the traffic as it flows."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from starlette.responses import StreamingResponse

from gapura.control.api import problem, streams
from gapura.control.api.auth import InContext, Reader
from gapura.control.api.context import Context
from gapura.control.api.models_now import Tick
from gapura.control.api.problem import Refusal
from gapura.control.api.status import PATIENCE
from gapura.control.live import Live, Source, TooMany, Viewer

router = APIRouter(prefix="/v1", tags=["status"])
Interval = Annotated[Literal[1, 2, 5, 10], Query(description="Seconds between two ticks.")]


@router.get(
    "/live",
    operation_id="live",
    summary="The traffic as it flows",
    response_class=streams.EventStream,
    response_model=Tick,
    responses={200: {"content": {streams.MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Tick"}}}}, **problem.answers(429)},
)
async def live(request: Request, context: InContext, visitor: Reader, interval: Interval = 1) -> StreamingResponse:
    """Server-sent events. First `picture` (as `/v1/picture`), again whenever it changes; then a `tick` every `interval` seconds,
    and an `event` for each event. Who does not keep up misses ticks. A stream ends after an hour; browsers come back."""
    try:
        viewer, leave = _live(request, context).open(interval)
    except TooMany:
        raise Refusal(429, "too many look already", "close another window of the dashboard") from None
    return streams.stream(_pieces(viewer, leave))


async def _pieces(viewer: Viewer, leave: Callable[[], None]) -> AsyncIterator[bytes]:
    try:
        while (piece := await viewer.next()) is not None:
            yield piece
    finally:
        leave()


def _live(request: Request, context: Context) -> Live:
    """The one engine, made when somebody looks for the first time."""
    found: Live | None = getattr(request.app.state, "live", None)
    if found is None:
        board, metrics, records = context.known_board, context.metrics, context.records

        async def status() -> dict[str, object]:
            return await context.ask("status", timeout=PATIENCE)

        found = Live(Source(board, metrics, records, lambda: context.names, lambda: context.generation, status))
        request.app.state.live = found
        if context.events is not None:
            context.events.subscribe(found.tell)
    return found
