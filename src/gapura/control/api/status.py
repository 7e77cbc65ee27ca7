"""`/v1/status`, `/v1/picture`: what there is, and how it is."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from gapura.control.api.auth import InContext, Reader
from gapura.control.api.models_now import Picture, Status
from gapura.control.picture import dated, picture

router = APIRouter(prefix="/v1", tags=["status"])
PATIENCE = 10.0
"""Seconds within which the master answers a question that needs no work."""


@router.get("/status", operation_id="status", summary="Everything that runs", response_model=Status)
async def status(context: InContext, visitor: Reader) -> dict[str, Any]:
    """The document of `gapura status --json`: listeners, processes, sites, apps with their instances, upstreams with their servers,
    certificates. Times are seconds, memory is bytes of whole process trees."""
    return await context.ask("status", timeout=PATIENCE)


@router.get("/picture", operation_id="picture", summary="How it hangs together", response_model=Picture)
async def show(context: InContext, visitor: Reader) -> dict[str, Any]:
    """Sites with their routes, upstreams with their servers: what the dashboard draws."""
    return dated(picture(context.names, context.known_board, context.generation))
