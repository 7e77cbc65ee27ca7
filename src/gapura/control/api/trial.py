"""`/v1/try`: some traffic, for a picture that has none."""

from __future__ import annotations

from typing import Any, Final

from fastapi import APIRouter

from gapura.control import trial
from gapura.control.api import known, problem
from gapura.control.api.auth import Changer, InContext
from gapura.control.api.models_changes import Tried, Trying
from gapura.control.api.problem import Refusal

router = APIRouter(prefix="/v1", tags=["requests"])
AT_ONCE: Final = 2
_running = 0


@router.post(
    "/try",
    operation_id="try_site",
    summary="Send some requests to a site",
    response_model=Tried,
    responses=problem.answers(404, 409, 429),
)
async def send(trying: Trying, context: InContext, visitor: Changer) -> dict[str, Any]:
    """Send real GET requests for `/` to a site, through Gapura's own listener, in an even rhythm; answered when all are done."""
    global _running
    site = known.site(context, trying.site)
    listen = trial.target(context.running, site)
    if listen is None:
        raise Refusal(409, "no listener leads to this site", "see `http` and `https` of [edge]")
    if _running >= AT_ONCE:
        raise Refusal(429, "others are trying already", "try again in a moment")
    _running += 1
    if context.audit is not None:
        context.audit.note(visitor, "try", trying.model_dump())
    try:
        statuses, times = await trial.run(listen, trial.host_of(site), trying.requests, trying.per_second)
    finally:
        _running -= 1
    return {
        "site": site["hosts"][0],
        "sent": trying.requests,
        "statuses": statuses,
        "p50": trial.part(times, 0.5),
        "p99": trial.part(times, 0.99),
    }
