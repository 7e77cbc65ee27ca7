"""The application: its routers, its errors, its gate."""

from __future__ import annotations

import importlib
from typing import Any, Final

from fastapi import FastAPI, Request
from starlette.responses import JSONResponse, Response

from gapura import __version__
from gapura.control.api import page, problem
from gapura.control.api.auth import Reader
from gapura.control.api.context import Context
from gapura.control.api.gate import Gate

ROUTERS: Final = (
    *("me", "login", "status", "live", "history", "apps", "upstreams", "requests", "configuration", "maintenance", "certificates"),
    *("explain", "trial", "logs", "events", "audit", "metrics", "learn"),
)
"""Modules of this package with a `router`, one for each noun, in the order in which they are asked."""


def make_app(context: Context) -> Gate:
    """The application behind its gate. It takes a second to make: control has a thread do it."""
    app = FastAPI(
        title="Gapura",
        version=__version__,
        summary="Admin API: what the command line can do and read.",
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        responses={status: problem.RESPONSES[status] for status in (400, 401, 403, 422, 503)},
    )
    app.state.context = context
    problem.install(app)
    for name in ROUTERS:
        app.include_router(importlib.import_module(f"gapura.control.api.{name}").router)

    @app.get("/openapi.json", include_in_schema=False)
    async def openapi(request: Request, visitor: Reader) -> Response:
        document: dict[str, Any] = app.openapi()
        return JSONResponse(document)

    app.include_router(page.router)  # last: it takes every name that nobody else has
    return Gate(app, context)
