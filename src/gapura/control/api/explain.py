"""`/v1/explain`: what would answer a URL, and why."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query

from gapura.control.api import problem
from gapura.control.api.auth import InContext, Reader
from gapura.control.api.models_changes import Explanation
from gapura.control.api.problem import Refusal
from gapura.control.api.status import PATIENCE
from gapura.control.shown import shown

router = APIRouter(prefix="/v1", tags=["requests"])
ARGV: Final = (sys.executable, "-P", "-m", "gapura.cli.explain_plan")
LIMIT: Final = 20.0
"""Seconds that the answer may take."""
_at_once = asyncio.Semaphore(2)

Url = Annotated[
    str, Query(min_length=1, max_length=4000, description="What a visitor would ask for.", examples=["http://shop.example/"])
]
Method = Annotated[str, Query(pattern=r"^[A-Za-z-]{1,20}$", description="Method of the request.")]
Client = Annotated[str, Query(pattern=r"^[0-9A-Fa-f.:]{2,45}$", description="Address that it comes from.")]


@router.get(
    "/explain",
    operation_id="explain",
    summary="What answers a URL",
    response_model=Explanation,
    responses=problem.answers(504),
)
async def explain(
    context: InContext, visitor: Reader, url: Url, method: Method = "GET", client: Client = "127.0.0.1"
) -> dict[str, Any]:
    """The site, the route, what stands before it, the upstream, and which servers may be picked and why not, as `gapura
    explain`; by the configuration that is served."""
    question = {
        "plan": context.running,
        "url": url,
        "method": method.upper(),
        "client": client,
        "live": await context.ask("status", timeout=PATIENCE),
    }
    found = await _asked(json.dumps(question).encode())
    if "error" in found:
        raise Refusal(422, str(found["error"]), "a URL such as http://shop.example/path")
    return {**shown(found), "url": url}


async def _asked(question: bytes) -> dict[str, Any]:
    """The router is the workers' code: a process of its own imports it. Raises `Refusal`."""
    async with _at_once:
        pipe = asyncio.subprocess.PIPE
        child = await asyncio.create_subprocess_exec(*ARGV, stdin=pipe, stdout=pipe, stderr=asyncio.subprocess.DEVNULL, cwd="/")
        try:
            async with asyncio.timeout(LIMIT):
                answer, _ = await child.communicate(question)
        except TimeoutError:
            raise Refusal(504, f"there is no answer within {LIMIT:.0f} s", "the machine may be busy") from None
        finally:
            if child.returncode is None:
                child.kill()
                await child.wait()
    if child.returncode:
        raise RuntimeError(f"explain_plan ended with {child.returncode}")
    found: dict[str, Any] = json.loads(answer)
    return found
