"""`/v1/…/log`, `/v1/logs/access`: what apps print and what is written about requests. Only files of the plan are opened."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request
from pydantic import Field
from pydantic.json_schema import SkipJsonSchema
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from gapura.access_lines import KNOWN, Filters, parse, statuses_of
from gapura.config.plan import Plan
from gapura.config.plan_log import AccessLogPlan
from gapura.control.api import known, problem, streams
from gapura.control.api.auth import InContext, Reader
from gapura.control.api.fields import AppName, Index, Lines, SiteFilter, StatusFilter
from gapura.control.api.models_apps import Log
from gapura.control.api.models_logs import AccessLines
from gapura.control.api.problem import Refusal
from gapura.control.tail import Tail, open_log

router = APIRouter(prefix="/v1", tags=["logs"])
FOLLOWERS: Final = 50
"""Logs that are followed at the same time."""
PAUSE: Final = 0.25
RENAMED: Final = 2.0
"""Seconds without a new line after which it is looked whether the file was renamed."""
_STAMP: Final = len("2026-11-22T14:03:07.123")

Slow = Annotated[
    Annotated[float, Field(ge=0, le=86400)] | SkipJsonSchema[None], Query(description="Only what took so many seconds.")
]
Open = Callable[[], Awaitable[int]]
_following = 0


@router.get(
    "/apps/{app}/instances/{index}/log",
    operation_id="app_log",
    summary="What an instance prints",
    response_model=Log,
    responses={**problem.answers(404, 429), **streams.DOCUMENTED},
)
async def app_log(
    app: AppName, index: Index, request: Request, context: InContext, visitor: Reader, lines: Lines = 100
) -> dict[str, Any] | Response:
    """The last lines, the oldest first, of at most a megabyte. With `Accept: text/event-stream` it goes on with what is added, as
    events `line`."""
    known.instance(context, app, index)
    path = os.path.join(context.running["paths"]["logs"], f"{app}-{index}.log")

    async def opened() -> int:
        try:
            return open_log(path)
        except PermissionError:
            return await context.lend("log", f"{app}:{index}")

    if streams.wanted(request) and _following >= FOLLOWERS:
        raise Refusal(429, "too many logs are followed already", "close another one")
    tail = await _tail(opened)
    if streams.wanted(request):
        return streams.stream(_follow(tail, opened, lines, _line))
    try:
        return {"lines": [_line(text) for text in await run_in_threadpool(tail.last, lines)] if tail else []}
    finally:
        if tail is not None:
            tail.close()


@router.get(
    "/logs/access",
    operation_id="access_log",
    summary="What was written about requests",
    response_model=AccessLines,
    responses=problem.answers(404, 409),
)
async def access_log(
    context: InContext,
    visitor: Reader,
    site: SiteFilter = None,
    status: StatusFilter = None,
    slow: Annotated[
        Annotated[float, Field(ge=0, le=86400)] | SkipJsonSchema[None], Query(description="Only what took so many seconds.")
    ] = None,
    lines: Lines = 100,
) -> dict[str, Any]:
    """The last lines of the access logs, the oldest first; of each file at most its last megabyte is read."""
    host = known.site(context, site)["hosts"][0] if site is not None else None
    paths, by_field = _access_logs(context.running, host)
    filters = Filters(statuses_of(status) if status is not None else [], slow or 0.0, "", [], "", 0.0)
    if by_field:
        filters.of_site(by_field)
    if filters and not all(form in KNOWN for forms in paths.values() for form in forms):
        raise Refusal(409, "this log has a format of its own", "filters understand combined, common and json")
    found: list[tuple[float, dict[str, Any]]] = []
    for path in paths:
        try:
            tail = Tail(open_log(path))
        except FileNotFoundError:
            continue  # it is made with the first line
        except OSError as error:
            raise Refusal(
                403, f"{path} cannot be read: {error.strerror or error}", "`gapura logs --access` can, as the user that runs Gapura"
            ) from None
        found += await run_in_threadpool(_read, tail, path, lines, filters)
    found.sort(key=lambda item: item[0])
    return {"lines": [line for _, line in found[max(0, len(found) - lines) :]]}


def _read(tail: Tail, path: str, count: int, filters: Filters) -> list[tuple[float, dict[str, Any]]]:
    """The last wanted lines of a log with their times."""

    def want(text: str) -> bool:
        entry = parse(text)
        return entry is not None and filters.want(entry)

    try:
        texts = tail.last(count, want) if filters else tail.last(count)
    finally:
        tail.close()
    found, moment = [], 0.0
    for text in texts:
        entry = parse(text)
        moment = entry.when if entry is not None else moment
        found.append((moment, {"file": os.path.basename(path), "text": text, "fields": entry.fields if entry else None}))
    return found


def _access_logs(plan: Plan, host: str | None) -> tuple[dict[str, set[str]], str]:
    """Paths with the formats in them, and the site that lines are picked of when others share the log. Raises `Refusal` 409."""
    found: dict[str, set[str]] = {}

    def add(log: AccessLogPlan | None) -> None:
        if log is not None and log["path"] not in ("", "-") and log["syslog"] is None:
            found.setdefault(log["path"], set()).add(log["format"])

    edge = plan["edge"]["access_log"]
    for site in plan["sites"]:
        if host in (None, site["hosts"][0]):
            for item in (site, *site["routes"]):
                add(item["access_log"])
    if host is None:
        add(edge)
    if found:
        return found, ""
    add(edge)
    if not found:
        raise Refusal(409, "this log is not written to a file", "the configuration says so")
    if host is not None and edge["format"] != "json":
        hint = f'write access_log = "{host}.log" into [sites."{host}"], or format = "json" into [edge.access_log]'
        raise Refusal(409, f"{host} has no access log of its own", hint)
    return found, host or ""


async def _tail(opened: Open) -> Tail | None:
    """A log, None where there is none yet. Raises `Refusal` 403."""
    try:
        return Tail(await opened())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Refusal(
            403, f"the log cannot be read: {error.strerror or error}", "`gapura logs` can, as the user that runs Gapura"
        ) from None


def _line(text: str) -> dict[str, str]:
    if text[10:11] == "T" and text[_STAMP : _STAMP + 1] == " ":
        return {"at": text[:_STAMP], "text": text[_STAMP + 1 :]}
    return {"at": "", "text": text}


async def _follow(tail: Tail | None, opened: Open, lines: int, show: Callable[[str], dict[str, str]]) -> AsyncIterator[bytes]:
    """The last lines as events, then what is added, through renaming."""
    global _following
    _following += 1
    try:
        texts = await run_in_threadpool(tail.last, lines) if tail is not None else []
        heard = time.monotonic()
        while True:
            if texts:
                heard = time.monotonic()
                yield b"".join(f"event: line\ndata: {json.dumps(show(text))}\n\n".encode() for text in texts)
            await asyncio.sleep(PAUSE)
            texts = tail.added() if tail is not None else []
            if not texts and time.monotonic() - heard > RENAMED:
                heard = time.monotonic()
                tail, texts = await _successor(tail, opened)
    finally:
        _following -= 1
        if tail is not None:
            tail.close()


async def _successor(tail: Tail | None, opened: Open) -> tuple[Tail | None, list[str]]:
    """The file that has the log's name now, and what was left in the one before."""
    try:
        fd = await opened()
    except OSError:
        return tail, []
    if tail is None:
        return Tail(fd), []
    if tail.same(fd):
        os.close(fd)
        return tail, []
    return tail, tail.go_on(fd)
