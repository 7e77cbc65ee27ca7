"""`/v1/requests`, `/v1/failures`: single requests, where their time went, and why they failed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Query
from pydantic import Field
from pydantic.json_schema import SkipJsonSchema
from starlette.concurrency import run_in_threadpool

from gapura.access_lines import statuses_of
from gapura.control import requests as told
from gapura.control.api import known, problem
from gapura.control.api.auth import InContext, Reader
from gapura.control.api.context import Context
from gapura.control.api.fields import RouteFilter, ServerFilter, SiteFilter, StatusFilter
from gapura.control.api.models_requests import Failures, Requests, Timeline
from gapura.control.api.problem import Refusal
from gapura.records import FAILED, RECENT, Record

router = APIRouter(prefix="/v1", tags=["requests"])
SEARCHED: Final = 2000
"""Records that are looked through when only some are wanted."""

RequestId = Annotated[
    str, Path(pattern=r"^[A-Za-z0-9._:=+/-]{1,128}$", description="The `X-Request-Id` of an answer.", examples=["eb6788a975a85a69"])
]
Limit = Annotated[int, Query(ge=1, le=1000, description="How many at most.")]
Failed = Annotated[bool | SkipJsonSchema[None], Query(description="true: only failed ones; false: only the others.")]
Least = Annotated[
    Annotated[float, Field(ge=0, le=86_400_000)] | SkipJsonSchema[None], Query(description="Only what took so many milliseconds.")
]
Test = Callable[[Record], bool]


@router.get(
    "/requests", operation_id="requests", summary="The last requests", response_model=Requests, responses=problem.answers(404)
)
async def requests(
    context: InContext,
    visitor: Reader,
    failed: Failed = None,
    site: SiteFilter = None,
    route: RouteFilter = None,
    server: ServerFilter = None,
    status: StatusFilter = None,
    min_ms: Least = None,
    limit: Limit = 100,
) -> dict[str, Any]:
    """The last requests of all workers, the newest first. Of heavy traffic it is a sample; failed and slow ones are kept
    longer, and all of them."""
    names = context.names
    tests = _tests(context, failed, site, route, server, status, min_ms)
    rings = (FAILED,) if failed else (RECENT, FAILED)
    wanted: list[Record] = []
    for most in (2 * limit, max(2 * limit, SEARCHED)):  # thousands only when the newest are not enough
        found = await run_in_threadpool(context.records.newest, rings, most)
        wanted = [record for record in found if record.row not in names.ours and all(test(record) for test in tests)]
        if len(wanted) >= limit or len(found) < most:
            break
    return {"requests": [told.row(names, record) for record in wanted[:limit]]}


@router.get(
    "/requests/{request:path}",
    operation_id="request",
    summary="Where the time of a request went",
    response_model=Timeline,
    responses=problem.answers(404),
)
async def one(request: RequestId, context: InContext, visitor: Reader) -> dict[str, Any]:
    """One request by its id: its stages from the first byte to the last, the servers that were tried and what came of it, why
    it ended as it did, and what to do, as `gapura explain ID`."""
    record = await run_in_threadpool(context.records.find, request)
    if record is None:
        raise Refusal(404, f"there is no record of the request {request}", "records are kept for the last thousands of requests")
    return told.timeline(context.names, record)


@router.get("/failures", operation_id="failures", summary="Why requests failed", response_model=Failures)
async def failures(
    context: InContext, visitor: Reader, limit: Annotated[int, Query(ge=1, le=100, description="How many groups at most.")] = 20
) -> dict[str, Any]:
    """The last failures, those that are alike together: the reason as a sentence, what to do, and how many there were."""
    names = context.names
    found = await run_in_threadpool(context.records.newest, (FAILED,), SEARCHED)
    return {"failures": told.failures(names, [record for record in found if record.row not in names.ours], limit)}


def _tests(
    context: Context,
    failed: bool | None,
    site: str | None,
    route: int | None,
    server: str | None,
    status: str | None,
    min_ms: float | None,
) -> list[Test]:
    """What is wanted of a record. Raises `Refusal` 404."""
    tests: list[Test] = []
    names = context.names
    if failed is not None:
        tests.append(lambda record: record.failed == failed)
    if site is not None:
        rows = set(names.rows_of[known.site(context, site)["hosts"][0]])
        tests.append(lambda record: record.row in rows)
    if route is not None:
        tests.append(lambda record: (record.row if record.row in names.routes else 0) == route)
    if server is not None:
        if server not in names.servers:
            raise known.missing("server", server, names.servers)
        tests.append(lambda record: server in told.servers(names, record))
    if status is not None:
        ranges = statuses_of(status)
        tests.append(lambda record: any(low <= record.status <= high for low, high in ranges))
    if min_ms is not None:
        tests.append(lambda record: record.ended >= min_ms * 1e6)
    return tests
