"""Who the visitor is, and logging in and out."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, StringConstraints

from gapura import __version__
from gapura.config.plan_admin import ADMIN
from gapura.control.api.auth import AnyVisitor, InContext
from gapura.control.api.context import Context
from gapura.control.api.judge import COOKIE, NO_TLS, OFF_MACHINE, too_many
from gapura.control.api.problem import Refusal
from gapura.control.api.visitor import Visitor
from gapura.control.sessions import LIFE, LONGEST, TooMany

router = APIRouter(tags=["session"])


class Me(BaseModel):
    """What the visitor may do, and what this Gapura is."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    rights: str
    """none, read or full."""
    user: str
    """Account, token or session that the rights come from."""
    language: str
    """en or id, after Accept-Language."""
    version: str
    generation: int
    root: bool
    """Gapura runs as root: `command` and `user` are taken from files only."""
    why: str = ""
    """Why there are no more rights."""
    hint: str = ""
    session: bool = False
    """The rights come from a session, which can be ended."""


class Login(BaseModel):
    """What `gapura token create` or `gapura dashboard` has shown."""

    token: Annotated[str, StringConstraints(min_length=1, max_length=LONGEST)]


@router.get("/v1/me", summary="Who am I, and what may I do?")
async def me(request: Request, context: InContext, visitor: AnyVisitor) -> Me:
    """Anybody may ask."""
    return _me(request, context, visitor)


@router.post("/v1/session", summary="Log in with a token or a one-time code")
async def log_in(login: Login, request: Request, response: Response, context: InContext, visitor: AnyVisitor) -> Me:
    """Sets a cookie that holds for twelve hours, or until its token is revoked."""
    sessions = context.sessions
    if sessions is None or visitor.door == ADMIN:
        raise Refusal(400, "nobody logs in here", "this socket gives all rights")
    if not visitor.secure and not visitor.loopback:
        raise Refusal(403, OFF_MACHINE, f"whoever listens has this token now: revoke it, and {NO_TLS}")
    try:
        found = sessions.log_in(login.token, visitor.sender, visitor.secure)
    except TooMany as error:
        _note(context, visitor, "too many wrong tokens")
        raise too_many(error) from None
    if found is None:
        _note(context, visitor, "wrong token")
        hint = "`gapura token list` shows them; a one-time code holds for 60 s"
        raise Refusal(401, "the token is wrong, revoked or expired", hint)
    secret, session = found
    visitor.name, visitor.rights, visitor.session, visitor.why, visitor.hint = session.name, session.role, session.id, "", ""
    if context.audit is not None:
        context.audit.note(visitor, "log in", {})
    response.set_cookie(COOKIE, secret, max_age=int(LIFE), path="/", secure=True, httponly=True, samesite="strict")
    return _me(request, context, visitor)


@router.delete("/v1/session", status_code=204, summary="Log out")
async def log_out(response: Response, context: InContext, visitor: AnyVisitor) -> None:
    """Ends the session of the cookie, if there is one."""
    if visitor.session and context.sessions is not None:
        context.sessions.log_out(visitor.session)
        if context.audit is not None:
            context.audit.note(visitor, "log out", {})
    response.delete_cookie(COOKIE, path="/", secure=True, httponly=True, samesite="strict")


def _note(context: Context, visitor: Visitor, why: str) -> None:
    if context.audit is not None:
        context.audit.refuse(visitor, "log in", why)


def _me(request: Request, context: Context, visitor: Visitor) -> Me:
    return Me(
        rights=visitor.rights,
        user=visitor.name,
        language=_language(request.headers.get("accept-language", "")),
        version=__version__,
        generation=context.generation,
        root=context.owner == 0,
        why=visitor.why,
        hint=visitor.hint,
        session=bool(visitor.session),
    )


def _language(accepted: str) -> str:
    """The first of our languages in Accept-Language."""
    for part in accepted.lower().split(",")[:20]:
        language = part.partition(";")[0].strip().partition("-")[0]
        if language in ("id", "en"):
            return language
    return "en"
