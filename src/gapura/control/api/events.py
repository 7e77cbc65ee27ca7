"""`/v1/events`: what has happened."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any, Final

from fastapi import APIRouter, Header, Query, Request
from pydantic import AfterValidator, Field, WithJsonSchema
from pydantic.json_schema import SkipJsonSchema
from starlette.responses import Response

from gapura.control.api import problem, streams
from gapura.control.api.auth import Changer, InContext, Reader
from gapura.control.api.context import Context
from gapura.control.api.models_logs import EventList, EventsTested
from gapura.control.api.problem import Refusal
from gapura.control.live import Viewer
from gapura.events import WORDS, wanted

router = APIRouter(prefix="/v1", tags=["events"])
MOST: Final = 1000
LISTENERS: Final = 100
_listening = 0


def _word(word: str) -> str:
    if word not in WORDS:
        raise ValueError(f"there is no event {word}; there are: {', '.join(WORDS)}")
    return word


Since = Annotated[int, Query(ge=0, le=1 << 53, description="Only events with a greater `id`.")]
Only = Annotated[
    tuple[Annotated[str, AfterValidator(_word), WithJsonSchema({"type": "string", "enum": list(WORDS)})], ...],
    Query(
        max_length=20,
        description="Only these types (`app.crashed`), groups of types (`app`), or from this severity on (`warning`).",
    ),
]
Limit = Annotated[int, Query(ge=1, le=MOST, description="How many at most, the newest.")]
Last = Annotated[
    Annotated[str, Field(max_length=20)] | SkipJsonSchema[None], Header(description="The last `id` that a browser has seen.")
]


@router.get(
    "/events",
    operation_id="events",
    summary="What has happened",
    response_model=EventList,
    responses={**problem.answers(429), **streams.DOCUMENTED},
)
async def events(
    request: Request,
    context: InContext,
    visitor: Reader,
    since: Since = 0,
    only: Only = (),
    limit: Limit = 100,
    last_event_id: Last = None,
) -> dict[str, Any] | Response:
    """The last events, the oldest first; a thousand are kept. With `Accept: text/event-stream` it goes on with those to come."""
    if last_event_id is not None and last_event_id.isascii() and last_event_id.isdigit():
        since = int(last_event_id)
    if streams.wanted(request):
        if context.events is None or _listening >= LISTENERS:
            raise Refusal(429, "too many listen already", "close another window of the dashboard")
        return streams.stream(_follow(context, since, only, limit))
    return {"events": context.events.since(since, only, limit) if context.events is not None else []}


@router.post("/events/test", operation_id="test_events", summary="Send a test event everywhere", response_model=EventsTested)
async def test(context: InContext, visitor: Changer) -> dict[str, Any]:
    """Send a test event to the log, to each webhook and to the command of `on_event`, and tell what came of it."""
    if context.audit is not None:
        context.audit.note(visitor, "events test", {})
    return {"sinks": await context.events.test() if context.events is not None else []}


async def _follow(context: Context, since: int, only: tuple[str, ...], limit: int) -> AsyncIterator[bytes]:
    """Events of the past and of the future. Who does not keep up is let go, and comes back with the last id that it has seen."""
    global _listening
    viewer = Viewer()

    def hear(event: dict[str, Any]) -> None:
        if wanted(only, event) and not viewer.put(_piece(event)):  # type: ignore[arg-type]
            viewer.close()

    leave: Callable[[], None] = context.events.subscribe(hear)
    _listening += 1
    try:
        yield b"".join(map(_piece, context.events.since(since, only, limit)))
        while (piece := await viewer.next()) is not None:
            yield piece
    finally:
        _listening -= 1
        leave()


def _piece(event: dict[str, Any]) -> bytes:
    return f"id: {event['id']}\nevent: event\ndata: {json.dumps(event, separators=(',', ':'))}\n\n".encode()
