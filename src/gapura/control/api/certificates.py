"""`/v1/certificates`: which there are, until when, and getting one anew."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from gapura.control.api import problem
from gapura.control.api.auth import Changer, InContext, Reader
from gapura.control.api.models_changes import Certificates, Renewal, Renewing
from gapura.control.api.status import PATIENCE

router = APIRouter(prefix="/v1/certificates", tags=["certificates"])


@router.get("", operation_id="certificates", summary="All certificates", response_model=Certificates)
async def certificates(context: InContext, visitor: Reader) -> dict[str, Any]:
    """The certificates that Gapura gets and renews by itself, as `gapura certificates --json`."""
    document = await context.ask("status", timeout=PATIENCE)
    return {"certificates": document["certificates"]}


@router.post(
    "/renew",
    operation_id="renew_certificate",
    summary="Get a certificate anew",
    status_code=202,
    response_model=Renewing,
    responses=problem.answers(409, 504),
)
async def renew(renewal: Renewal, context: InContext, visitor: Changer) -> dict[str, Any]:
    """Get a certificate now, without waiting for its turn, as `gapura certificates` does. What came of it is shown above."""
    return await context.ask("renew", host=renewal.host)
