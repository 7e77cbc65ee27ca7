"""`/v1/apps`: the programs under care."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Body

from gapura.control.api import known, problem
from gapura.control.api.auth import Changer, InContext, Reader
from gapura.control.api.context import Context
from gapura.control.api.fields import AppName
from gapura.control.api.models_apps import App, Apps, Done, Number, Which
from gapura.control.api.status import PATIENCE

router = APIRouter(prefix="/v1/apps", tags=["apps"], responses=problem.answers(404))
CONFLICT = problem.answers(409, 504)
Chosen = Body(default=None, description="Which instance is meant; without a body all of them.")


@router.get("", operation_id="apps", summary="All apps", response_model=Apps)
async def apps(context: InContext, visitor: Reader) -> dict[str, Any]:
    """All apps with their instances: state, process id, memory of the whole tree, restarts, and why one ended last."""
    document = await context.ask("status", timeout=PATIENCE)
    return {"apps": document["apps"]}


@router.get("/{app}", operation_id="app", summary="One app", response_model=App)
async def one(app: AppName, context: InContext, visitor: Reader) -> dict[str, Any]:
    """One app with its instances."""
    known.app(context, app)
    document = await context.ask("status", timeout=PATIENCE)
    found: dict[str, Any] | None = next((item for item in document["apps"] if item["name"] == app), None)
    if found is None:
        raise known.missing("app", app, [item["name"] for item in document["apps"]])
    return found


@router.post("/{app}/start", operation_id="start_app", summary="Start", response_model=Done, responses=CONFLICT)
async def start(app: AppName, context: InContext, visitor: Changer, which: Which | None = Chosen) -> dict[str, Any]:
    """Start what was stopped or has crashed, as `gapura start`. It is answered when the instances are ready."""
    return await _do("start", context, app, which)


@router.post("/{app}/stop", operation_id="stop_app", summary="Stop", response_model=Done, responses=CONFLICT)
async def stop(app: AppName, context: InContext, visitor: Changer, which: Which | None = Chosen) -> dict[str, Any]:
    """Take instances out of the balancing, let them end what they have, and stop them, as `gapura stop`."""
    return await _do("stop", context, app, which)


@router.post("/{app}/restart", operation_id="restart_app", summary="Restart", response_model=Done, responses=CONFLICT)
async def restart(app: AppName, context: InContext, visitor: Changer, which: Which | None = Chosen) -> dict[str, Any]:
    """Replace instances one after the other, each by one that is ready before the old one goes, as `gapura restart`."""
    return await _do("restart", context, app, which)


@router.put("/{app}/instances", operation_id="scale_app", summary="Scale", response_model=Done, responses=CONFLICT)
async def scale(app: AppName, number: Number, context: InContext, visitor: Changer) -> dict[str, Any]:
    """Change how many instances an app has until the next reload, as `gapura scale`."""
    known.app(context, app)
    return await context.ask("scale", app=app, instances=number.instances)


async def _do(command: str, context: Context, app: str, which: Which | None) -> dict[str, Any]:
    known.app(context, app)
    index = which.index if which is not None else None
    if index is not None:
        known.instance(context, app, index)
    return await context.ask(command, app=app, index=index)
