"""What the API says when something cannot be done: problem details (RFC 9457)."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from gapura.control.api.context import MasterAway, MasterSlow
from gapura.errors import CommandError, ConfigError

log = logging.getLogger(__name__)
MEDIA_TYPE: Final = "application/problem+json"


_STATUS: Final = {"conflict": 412, "forbidden": 403, "missing": 404}
"""By the code of a CommandError."""


class ProblemDetails(BaseModel):
    """An answer that says what went wrong and what to do (RFC 9457 §3)."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    title: str
    """The name of the status."""
    status: int
    detail: str
    """One sentence for people."""
    hint: str = ""
    """What to do about it."""
    problems: list[dict[str, Any]] = Field(default_factory=list)
    """Places in a configuration, or fields of the request, that are wrong."""


class Refusal(Exception):
    """A request that is not carried out. Routers raise it; it becomes the answer."""

    def __init__(
        self,
        status: int,
        detail: str,
        hint: str = "",
        problems: list[dict[str, Any]] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.hint = hint
        self.problems = problems or []
        self.headers = dict(headers or {})

    def response(self) -> Response:
        """The answer."""
        title = HTTPStatus(self.status).phrase
        content = {"title": title, "status": self.status, "detail": self.detail, "hint": self.hint, "problems": self.problems}
        return JSONResponse(content, self.status, self.headers, MEDIA_TYPE)


RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    status: {"model": ProblemDetails, "description": HTTPStatus(status).phrase, "content": {MEDIA_TYPE: {}}}
    for status in (400, 401, 403, 404, 405, 408, 409, 412, 413, 415, 422, 428, 429, 500, 503, 504)
}
"""For OpenAPI: what any route may answer."""


def answers(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For OpenAPI: how a route may refuse."""
    return {status: RESPONSES[status] for status in statuses}


class Revoked(Exception):
    """The token or the session of an answer that goes on counts no longer: it was ended, and nothing went wrong."""


def install(app: FastAPI) -> None:
    """Have an application answer with problem details, whatever goes wrong."""

    async def refused(request: Request, error: Exception) -> Response:
        refusal = of(error)
        if refusal.status == 405:
            refusal.headers["Allow"] = allowed(app, request.url.path) or refusal.headers.get("Allow", "")
        return refusal.response()

    for kind in (Refusal, CommandError, ConfigError, MasterAway, MasterSlow, HTTPException, RequestValidationError, Exception):
        app.add_exception_handler(kind, refused)


_WIDE: Final = {"{server}": ".+", "{request}": ".+"}
"""Parameters of paths that may hold slashes."""


def allowed(app: FastAPI, path: str) -> str:
    """The methods of a path, all of its routes together; "" for one that the API does not document."""
    found: list[str] = []
    for template, operations in app.openapi()["paths"].items():
        parts = re.split(r"(\{[^}]*\})", template)
        if re.fullmatch("".join(_WIDE.get(part, "[^/]+") if part.startswith("{") else re.escape(part) for part in parts), path):
            found += [method.upper() for method in operations]
    return ", ".join(dict.fromkeys(found))


def of(error: Exception) -> Refusal:
    """The refusal that an error becomes."""
    if isinstance(error, Refusal):
        return error
    if isinstance(error, ConfigError):
        problems = [problem.as_dict() for problem in error.problems]
        return Refusal(422, "the configuration cannot be used", "the running one is kept", problems)
    if isinstance(error, CommandError):
        status = _STATUS.get(error.code, 409)
        return Refusal(status, error.message, error.hint, [problem.as_dict() for problem in error.problems])
    if isinstance(error, Revoked):
        return Refusal(401, "the token or the session counts no longer")
    if isinstance(error, MasterAway):
        hint = "what serves goes on serving; `gapura up` starts a new master"
        return Refusal(503, str(error), hint, headers={"Retry-After": "2"})
    if isinstance(error, MasterSlow):
        return Refusal(504, str(error), "it may still happen: look at the status")
    if isinstance(error, RequestValidationError):
        problems = [{"place": ".".join(map(str, item["loc"])), "message": str(item["msg"])} for item in error.errors()]
        return Refusal(422, "the request does not have the form that is asked for", "see /openapi.json", problems)
    if isinstance(error, HTTPException):
        return Refusal(error.status_code, str(error.detail), headers=error.headers)
    log.error("a request to the admin API failed", exc_info=error)
    return Refusal(500, "it failed", "the log of Gapura tells more")
