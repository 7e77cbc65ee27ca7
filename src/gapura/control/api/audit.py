"""`/v1/audit`: who changed what."""

from __future__ import annotations

from itertools import islice
from typing import Annotated, Any

from fastapi import APIRouter, Query

from gapura.control.api.auth import InContext, Reader
from gapura.control.api.models_logs import Audit

router = APIRouter(prefix="/v1", tags=["logs"])
Limit = Annotated[int, Query(ge=1, le=500, description="How many at most.")]


@router.get("/audit", operation_id="audit", summary="Who changed what", response_model=Audit)
async def audit(context: InContext, visitor: Reader, limit: Limit = 100) -> dict[str, Any]:
    """Changes that were asked for through the API and what came of them, the newest first. All are in `audit.log`."""
    newest = context.audit.newest if context.audit is not None else ()
    return {"changes": list(islice(reversed(newest), limit))}
