"""The explanations, as `gapura learn --browser` opens them: pages and drawings that are in every installation."""

from __future__ import annotations

import base64
import hashlib
from typing import Final

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from gapura.control.api.auth import AnyVisitor
from gapura.control.api.problem import Refusal
from gapura.learn import pages
from gapura.learn.words import LANGUAGES

router = APIRouter(prefix="/learn", include_in_schema=False)

_STYLE: Final = base64.b64encode(hashlib.sha256(f"\n{pages.STYLE}".encode()).digest()).decode()
POLICY: Final = (
    f"default-src 'none'; style-src 'sha256-{_STYLE}'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
DRAWING_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
"""A drawing has its colours in itself, for light and dark."""


@router.api_route("/", methods=["GET", "HEAD"])
async def first(request: Request, visitor: AnyVisitor) -> Response:
    """To the first page, in the language of the browser."""
    wanted = request.headers.get("accept-language", "")[:2].lower()
    return RedirectResponse(f"{wanted if wanted in LANGUAGES else LANGUAGES[0]}/{pages.TOPICS[0]}.html", 302)


@router.api_route("/drawings/{name}", methods=["GET", "HEAD"])
async def drawing(name: str, visitor: AnyVisitor) -> Response:
    """A drawing. Raises `Refusal` 404."""
    try:
        body = pages.drawing(name)
    except (KeyError, OSError):
        raise _missing() from None
    return Response(body, media_type="image/svg+xml", headers=_headers(DRAWING_POLICY))


@router.api_route("/{language}/{name}", methods=["GET", "HEAD"])
async def page(language: str, name: str, visitor: AnyVisitor) -> Response:
    """A page. Raises `Refusal` 404."""
    if not name.endswith(".html"):
        raise _missing()
    try:
        text = pages.html(name.removesuffix(".html"), language, lambda drawing: f"../drawings/{drawing}")
    except (KeyError, OSError):
        raise _missing() from None
    return HTMLResponse(text, headers=_headers(POLICY))


def _headers(policy: str) -> dict[str, str]:
    return {"Content-Security-Policy": policy, "Cache-Control": "no-cache"}


def _missing() -> Refusal:
    return Refusal(404, "there is no such explanation", "the first is at /learn/")
