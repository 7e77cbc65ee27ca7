"""The dashboard's files, as tools/dashboard built them; without a build a plain page that says how to make one, and what runs."""

from __future__ import annotations

import gzip
import hashlib
import html
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, Response

import gapura.control
from gapura.control.api.auth import AnyVisitor, InContext
from gapura.control.api.context import Context
from gapura.control.api.problem import Refusal
from gapura.control.api.visitor import READ
from gapura.control.picture import picture

router = APIRouter(include_in_schema=False)

FOLDER: Final = Path(gapura.control.__file__).with_name("dashboard")
"""Where a build is."""
INDEX: Final = "index.html"
LONGEST: Final = 4 << 20
"""Bytes of a file; a larger one is none of the dashboard's."""
TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Stricter than what the API's other answers have: nothing stands in the page itself."""


class File(NamedTuple):
    """A file of the dashboard, ready to be sent."""

    body: bytes
    packed: bytes
    tag: str
    kind: str
    lasting: bool
    """Its name changes whenever it does."""


class Build:
    """The files of a build, in memory; read again when another build is there."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self._folder = folder
        self._seen = (0, 0)
        self._files: dict[str, File] = {}

    def find(self, path: str) -> File | None:
        """The file at a path of a URL, without the leading slash; None when the build has none there."""
        try:
            found = os.stat(self._folder / INDEX)
        except OSError:
            return None
        if self._seen != (found.st_mtime_ns, found.st_ino):
            self._files = {name: file for name, file in (self._read(path) for path in self._folder.rglob("*")) if file}
            self._seen = (found.st_mtime_ns, found.st_ino)
        return self._files.get(path)

    def _read(self, path: Path) -> tuple[str, File | None]:
        name = path.relative_to(self._folder).as_posix()
        try:
            entry = path.lstat()
            if not stat.S_ISREG(entry.st_mode) or path.suffix not in TYPES or entry.st_size > LONGEST:
                return name, None
            body = path.read_bytes()
        except OSError:
            return name, None
        tag = f'"{hashlib.sha256(body).hexdigest()[:24]}"'
        return name, File(body, gzip.compress(body, 9, mtime=0), tag, TYPES[path.suffix], name.startswith("assets/"))


build = Build()


@router.api_route("/", methods=["GET", "HEAD"])
async def index(request: Request, context: InContext, visitor: AnyVisitor) -> Response:
    """The page, which anybody may load: it shows nothing before the API gives it something."""
    file = build.find(INDEX)
    return _answer(request, file) if file else _plain(context, visitor.may(READ))


@router.api_route("/{name}", methods=["GET", "HEAD"])
async def top(name: str, request: Request, visitor: AnyVisitor) -> Response:
    """A file beside the page. Raises `Refusal` 404."""
    return _found(request, name)


@router.api_route("/assets/{name}", methods=["GET", "HEAD"])
async def asset(name: str, request: Request, visitor: AnyVisitor) -> Response:
    """A file that the page needs. Raises `Refusal` 404."""
    return _found(request, f"assets/{name}")


def _found(request: Request, name: str) -> Response:
    file = build.find(name)
    if file is None:
        raise Refusal(404, "there is nothing here", "the dashboard is at /, what the API can do is told by /openapi.json")
    return _answer(request, file)


def _answer(request: Request, file: File) -> Response:
    headers = {
        "ETag": file.tag,
        "Vary": "Accept-Encoding",
        "Cache-Control": "public, max-age=31536000, immutable" if file.lasting else "no-cache",
        "Content-Security-Policy": POLICY,
    }
    if file.tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    packed = _takes_gzip(request.headers.get("accept-encoding", "")) and len(file.packed) < len(file.body)
    if packed:
        headers["Content-Encoding"] = "gzip"
    return Response(file.packed if packed else file.body, media_type=file.kind, headers=headers)


def _takes_gzip(accepted: str) -> bool:
    """Whether a client takes gzip; "gzip;q=0" says that it does not (RFC 9110 §12.5.3)."""
    for part in accepted.lower().split(","):
        coding, _, weight = part.partition(";")
        if coding.strip() == "gzip":
            return weight.strip() not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False


def _plain(context: Context, may_read: bool) -> Response:
    """What stands in for a dashboard that was not built."""
    shown = _tables(context) if may_read else "<p>To see what runs: <code>gapura status</code></p>"
    return HTMLResponse(
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'><title>Gapura</title>"
        "<h1>Gapura</h1><p>This installation has no dashboard. In a checkout <code>make dashboard</code> builds it; it needs Node "
        "20.19 or newer. The admin API is here all the same: <a href='/openapi.json'>openapi.json</a>.</p>" + shown,
        headers={"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'", "Cache-Control": "no-store"},
    )


def _tables(context: Context) -> str:
    """The picture as tables."""
    document: dict[str, Any] = picture(context.names, context.known_board, context.generation)
    sites = [
        (site["id"], route["path"] or route["name"], route["action"], ", ".join(route["upstreams"]))
        for site in document["sites"]
        for route in site["routes"]
    ]
    servers = [
        (upstream["name"], server["id"], server["address"], server["condition"], server["weight"])
        for upstream in document["upstreams"]
        for server in upstream["servers"]
    ]
    return _table(("site", "route", "action", "goes to"), sites) + _table(
        ("upstream", "server", "address", "state", "weight"), servers
    )


def _table(head: tuple[str, ...], rows: Sequence[tuple[object, ...]]) -> str:
    lines = "".join("<tr>" + "".join(f"<td>{html.escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    return (
        "<table border=1 cellpadding=4><tr>" + "".join(f"<th scope=col>{word}</th>" for word in head) + f"</tr>{lines}</table><br>"
    )
