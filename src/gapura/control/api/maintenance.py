"""`/v1/sites/{host}/maintenance`: sites that are closed for a while."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from gapura.control.api import known, problem
from gapura.control.api.auth import Changer, InContext
from gapura.control.api.fields import HostName
from gapura.control.api.models_changes import Changed, Maintenance

router = APIRouter(prefix="/v1/sites", tags=["sites"], responses=problem.answers(404, 409, 504))


@router.put("/{host}/maintenance", operation_id="close_site", summary="Close a site", response_model=Changed)
async def close(host: HostName, how: Maintenance, context: InContext, visitor: Changer) -> dict[str, Any]:
    """Answer all visitors of a site with 503 and a page that says so, as `gapura maintenance on`. It outlives restarts."""
    known.site(context, host)
    return await context.ask("close_sites", sites=[host.lower()], seconds=how.seconds, message=how.message)


@router.delete("/{host}/maintenance", operation_id="open_site", summary="Open a site", response_model=Changed)
async def reopen(host: HostName, context: InContext, visitor: Changer) -> dict[str, Any]:
    """Open a site again, as `gapura maintenance off`."""
    known.site(context, host)
    return await context.ask("open_sites", sites=[host.lower()])
