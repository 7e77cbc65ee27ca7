"""Dependencies of routes: who may read, who may change."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from gapura.control.api.context import Context
from gapura.control.api.judge import admin_of, is_in
from gapura.control.api.problem import Refusal
from gapura.control.api.visitor import FULL, NONE, READ, Visitor


def context_of(request: Request) -> Context:
    """What the API knows."""
    found: Context = request.app.state.context
    return found


def visitor(request: Request) -> Visitor:
    """Who asks."""
    found: Visitor = request.state.visitor
    return found


def reader(request: Request) -> Visitor:
    """For routes that tell something. Raises `Refusal` 401, 403."""
    return _holder(request, READ)


def changer(request: Request) -> Visitor:
    """For routes that change something. Raises `Refusal` 401, 403."""
    return _holder(request, FULL)


def metrics_reader(request: Request) -> Visitor:
    """For /metrics: who may read, and who comes from `[admin] metrics_from`. Raises `Refusal` 401."""
    found = visitor(request)
    networks = admin_of(context_of(request).plan)["metrics_from"]
    if not found.may(READ) and networks and is_in(found.client, networks):
        return found
    return _holder(request, READ)


def _holder(request: Request, rights: str) -> Visitor:
    found = visitor(request)
    if found.may(rights):
        return found
    audit = context_of(request).audit
    if audit is not None and rights == FULL:
        audit.refuse(found, f"{request.method} {request.url.path}", f"the rights are {found.rights}")
    hint = found.hint or "`gapura token create NAME` makes a token, `gapura dashboard` logs a browser in"
    if found.rights == NONE:
        raise Refusal(401, found.why or "a token is needed", hint, headers={"WWW-Authenticate": 'Bearer realm="gapura"'})
    raise Refusal(403, found.why or f"the rights are {found.rights}, and this needs {rights}", hint)


InContext = Annotated[Context, Depends(context_of)]
"""A route's parameter: what the API knows."""
AnyVisitor = Annotated[Visitor, Depends(visitor)]
Reader = Annotated[Visitor, Depends(reader)]
"""A route's parameter: it may be read by whoever may read."""
MetricsReader = Annotated[Visitor, Depends(metrics_reader)]
"""A route's parameter: it may be read without a token from some networks."""
Changer = Annotated[Visitor, Depends(changer)]
"""A route's parameter: only who may change things gets here."""
