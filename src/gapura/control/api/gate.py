"""What every request passes before the application sees it: who it is from, whether a browser was tricked into it, its size.

Loopback is no proof of anything by itself: a page of any site may have the visitor's browser send requests here. So the name that
was asked for must be one of ours (DNS rebinding), and a request that another site's page has caused is refused (CSRF).
"""

from __future__ import annotations

import asyncio
import re
from email.utils import formatdate
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gapura.config.plan_admin import LARGEST
from gapura.control.api.context import Context, visitor_now
from gapura.control.api.judge import judge
from gapura.control.api.problem import Refusal, Revoked, of
from gapura.control.api.turns import Turns
from gapura.control.api.visitor import Visitor

SLOWEST: Final = 30.0
"""Seconds that a body may take."""
SAFE: Final = frozenset(("GET", "HEAD", "OPTIONS"))
JSON: Final = re.compile(r"application/json(?:\s*;\s*charset=\"?utf-8\"?)?\s*", re.IGNORECASE)
GUARDED: Final = re.compile(r"/(?:v1(?:/|$)|metrics|stub_status|openapi\.json)")
"""Where a browser may not be led by a link of another site."""
HEADERS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
)
POLICY: Final = (
    b"default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self'; "
    b"connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Content-Security-Policy of what does not bring its own."""


class Gate:
    """ASGI application around the application."""

    def __init__(self, app: ASGIApp, context: Context) -> None:
        self.app = app
        self._context = context
        self._turns = Turns()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError("the admin API speaks HTTP only")
        await self._turns.take()
        outgoing = _Outgoing(send)
        headers = _Fields(scope)
        try:
            visitor = judge(scope, headers.first, self._context)
            scope["state"]["visitor"] = visitor
            visitor_now.set(visitor)
            try:
                _check(scope, headers, visitor)
            except Refusal as refusal:
                self._note(scope, visitor, refusal)
                raise
        except Refusal as refusal:
            refusal.headers["connection"] = "close"
            await refusal.response()(scope, receive, outgoing.send)
            return
        incoming = _Incoming(receive)

        async def answer(message: Message) -> None:
            if message.get("more_body") and not self._still(visitor):
                await outgoing.send({"type": "http.response.body"})
                raise Revoked
            if incoming.refusal is None:
                await outgoing.send(message)

        try:
            await self.app(scope, incoming.receive, answer)
        except Revoked:
            return
        except Exception as error:
            if outgoing.started:
                raise
            incoming.refusal = incoming.refusal or of(error)
        if incoming.refusal is not None:  # the framework would make a 400 of it
            await incoming.refusal.response()(scope, receive, outgoing.send)

    def _still(self, visitor: Visitor) -> bool:
        """Whether what the rights come from still holds: an answer may go on for an hour."""
        sessions = self._context.sessions
        if sessions is None or not (visitor.token or visitor.session):
            return True
        return sessions.holds(visitor.token) if visitor.token else sessions.alive(visitor.session)

    def _note(self, scope: Scope, visitor: Visitor, refusal: Refusal) -> None:
        if self._context.audit is not None:
            self._context.audit.refuse(visitor, f"{scope['method']} {scope['path']}", refusal.detail)


class _Fields:
    """Header fields of a request by name, in lower case."""

    def __init__(self, scope: Scope) -> None:
        self._all: dict[str, list[str]] = {}
        for name, value in scope["headers"]:
            self._all.setdefault(name.decode("latin-1"), []).append(value.decode("latin-1"))

    def first(self, name: str) -> str:
        """The only value, "" without one. Raises `Refusal` when there are two: nobody knows which counts."""
        values = self._all.get(name, [])
        if len(values) > 1:
            raise Refusal(400, f"there are {len(values)} header fields {name}", "send one")
        return values[0] if values else ""


class _Incoming:
    """Takes the body, as much and as long as is allowed."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._size = 0
        self._until = 0.0
        self._whole = False
        self.refusal: Refusal | None = None
        """Why it was not taken, once it was not."""

    async def receive(self) -> Message:
        if self._whole:
            return await self._receive()  # somebody waits for the client to go away
        now = asyncio.get_running_loop().time()
        self._until = self._until or now + SLOWEST
        try:
            async with asyncio.timeout(max(0.0, self._until - now)):
                message = await self._receive()
        except TimeoutError:
            self.refusal = Refusal(408, "the request took too long", headers={"connection": "close"})
            raise self.refusal from None
        self._size += len(message.get("body", b""))
        if self._size > LARGEST:
            self.refusal = too_large()
            raise self.refusal
        self._whole = not message.get("more_body", False)
        return message


class _Outgoing:
    """Adds the header fields that every answer has."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.started = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            headers: list[tuple[bytes, bytes]] = list(message.get("headers", []))
            names = {name.lower() for name, _ in headers}
            headers += [(name, value) for name, value in HEADERS if name not in names]
            if b"content-security-policy" not in names:
                headers.append((b"content-security-policy", POLICY))
            if b"cache-control" not in names:
                headers.append((b"cache-control", b"no-store"))
            headers.append((b"date", formatdate(usegmt=True).encode()))
            message = {**message, "headers": headers}
        await self._send(message)


def too_large() -> Refusal:
    """The body is larger than anything that is asked for."""
    return Refusal(413, f"the request is larger than {LARGEST >> 20} MiB", headers={"connection": "close"})


def _check(scope: Scope, headers: _Fields, visitor: Visitor) -> None:
    """Raises `Refusal` for what no command line and no page of ours sends."""
    method, path = scope["method"], scope["path"]
    if headers.first("upgrade"):
        raise Refusal(400, "this is plain HTTP/1.1: no WebSocket and no h2c", "events come as text/event-stream")
    _check_origin(headers, visitor, method, path)
    length = headers.first("content-length")
    if length and (len(length) > 9 or int(length) > LARGEST):
        raise too_large()
    bodied = bool(headers.first("transfer-encoding")) or length not in ("", "0")
    if method not in SAFE and bodied and not JSON.fullmatch(headers.first("content-type")):
        raise Refusal(415, "changes are sent as JSON", "Content-Type: application/json")
    if headers.first("content-encoding"):
        raise Refusal(415, "the body must not be compressed")


def _check_origin(headers: _Fields, visitor: Visitor, method: str, path: str) -> None:
    """Whether another site's page had a browser send this (Fetch Metadata, RFC 6454 §7)."""
    origin, site = headers.first("origin"), headers.first("sec-fetch-site")
    scheme = "https" if visitor.secure else "http"
    if origin and origin.lower() != f"{scheme}://{visitor.host}":
        raise Refusal(403, "a page of another site asked for this", f"the page must come from {scheme}://{visitor.host}")
    if site in ("", "same-origin"):
        return
    followed = method in ("GET", "HEAD") and headers.first("sec-fetch-mode") == "navigate" and not GUARDED.match(path)
    typed = site == "none" and method in ("GET", "HEAD")
    framed = headers.first("sec-fetch-dest") not in ("", "document", "empty")
    if not typed and (not followed or framed):
        raise Refusal(403, "a page of another site asked for this", "open the dashboard itself")
