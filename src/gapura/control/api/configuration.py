"""`/v1/config`, `/v1/reload`: the whole configuration, looked at, checked and changed."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response

from gapura.control.api import etag, problem
from gapura.control.api.auth import Changer, InContext, Reader
from gapura.control.api.context import MasterAway
from gapura.control.api.fields import IfMatch
from gapura.control.api.models_changes import Changed, Checked, Configuration, NewText
from gapura.control.api.visitor import FULL
from gapura.control.shown import shown

router = APIRouter(prefix="/v1", tags=["config"])


@router.get("/config", operation_id="config", summary="The configuration", response_model=Configuration)
async def config(context: InContext, visitor: Reader, response: Response) -> dict[str, Any]:
    """The configuration that is served: the text of its file for who may change it (there may be secrets in it), and the plan
    that was made of it. `ETag` is what `If-Match` of a change wants."""
    found: dict[str, Any] = {"text": ""}
    if visitor.may(FULL):
        try:
            found = await context.ask("config_text")
        except MasterAway:
            pass  # what serves can be looked at all the same
    response.headers["ETag"] = etag.tag(context.generation)
    plan = context.running
    return {"generation": context.generation, "file": plan["file"], "text": found["text"], "plan": shown(plan)}


@router.post("/config/check", operation_id="check_config", summary="Check a configuration", response_model=Checked)
async def check(new: NewText, context: InContext, visitor: Changer) -> dict[str, Any]:
    """What would become of this text in the file's place: problems with line and column, or what would be different. Nothing is
    changed."""
    return await context.ask("config_check", text=new.text)


@router.put(
    "/config",
    operation_id="change_config",
    summary="Change the configuration",
    response_model=Changed,
    responses=problem.answers(409, 412, 428, 504),
)
async def change(
    new: NewText, context: InContext, visitor: Changer, response: Response, if_match: IfMatch = None
) -> dict[str, Any]:
    """Put this text into the file's place and serve it, or keep everything as it is and say why. `If-Match` is required: 428
    without, 412 when the configuration was changed since."""
    generation = etag.expected(context, if_match, required=True)
    answer = await context.ask("config_put", text=new.text, generation=context.generation if generation is None else generation)
    response.headers["ETag"] = etag.tag(int(answer.get("generation") or context.generation))
    return answer


@router.post(
    "/reload",
    operation_id="reload",
    summary="Read the file again",
    response_model=Changed,
    responses=problem.answers(409, 504),
)
async def reload(context: InContext, visitor: Changer) -> dict[str, Any]:
    """Read the file and serve what it says, as `gapura reload`; on any error the running configuration stays."""
    return await context.ask("reload")
