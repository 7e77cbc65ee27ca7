"""From a request to its visitor: which door, whose process, which name was asked for, which token or session it shows."""

from __future__ import annotations

import ipaddress
import pwd
from collections.abc import Callable
from http.cookies import CookieError, SimpleCookie
from typing import Any, Final

from starlette.types import Scope

from gapura.config import plan_admin
from gapura.config.plan import Plan
from gapura.config.plan_admin import ADMIN, DASHBOARD, VISITOR, AdminPlan
from gapura.control.api.context import Context
from gapura.control.api.problem import Refusal
from gapura.control.api.visitor import FULL, NONE, RANKS, READ, Visitor
from gapura.control.peer import uid_of
from gapura.control.sessions import TooMany

COOKIE: Final = "__Host-gapura"
PORT: Final = "port"
"""The door of `[admin] listen`."""
HERE: Final = frozenset(("localhost", "127.0.0.1", "[::1]"))
"""Names by which the port of `[admin] listen` may be asked for."""
OFF_MACHINE: Final = "off this machine a token counts over HTTPS only"
NO_TLS: Final = "give the site tls, or use `ssh -L` (docs/admin.md)"
Field = Callable[[str], str]


def judge(scope: Scope, field: Field, context: Context) -> Visitor:
    """Who asks. Raises `Refusal` for what comes by no honest way."""
    state: dict[str, Any] = scope["state"]
    host = field("host").lower()
    if state["door"] == ADMIN:
        if field("x-forwarded-for"):
            raise Refusal(403, "no proxy may ask here", "write dashboard = true instead of a proxy to this socket")
        return Visitor(ADMIN, account(state["uid"]), f"uid {state['uid']}", False, True, FULL, host)
    if state["door"] == DASHBOARD:
        visitor = _through_edge(field(VISITOR), host, context)
    else:
        visitor = _by_port(state["peer"], state["local"], host, context)
    return _with_login(visitor, field, context)


def admin_of(plan: Plan | None) -> AdminPlan:
    """`[admin]` of the committed plan."""
    found = plan.get("admin", None) if plan is not None else None
    return found or plan_admin.default()


def account(uid: int) -> str:
    """The name of a user."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def _by_port(peer: tuple[str, int], local: tuple[str, int], host: str, context: Context) -> Visitor:
    if _name(host) not in HERE and not _name(host).endswith(".localhost"):
        raise misdirected(host)
    visitor = Visitor(PORT, "visitor", peer[0], False, True, host=host)
    _give_loopback(visitor, peer, local, context)
    return visitor


def _through_edge(said: str, host: str, context: Context) -> Visitor:
    """`way scheme client peer port local port`, as the edge says it. Raises `Refusal` when somebody else has come to our door."""
    words = said.split(" ")
    if len(words) != 7 or words[0] not in ("direct", "proxied") or not (words[4] + words[6]).isdecimal():
        raise Refusal(403, "only the edge may ask here", "write dashboard = true instead of a proxy to this socket")
    way, scheme, client = words[:3]
    peer, local = (words[3], int(words[4])), (words[5], int(words[6]))
    named = _is_ours(_name(host), context.plan)
    if named is None:
        raise misdirected(host)
    loopback = way == "direct" and _is_loopback(peer[0])
    visitor = Visitor(DASHBOARD, "visitor", client, scheme == "https", loopback, host=host)
    if not loopback:
        visitor.why = "a token is needed" if visitor.secure else OFF_MACHINE
        visitor.hint = "" if visitor.secure else NO_TLS
    elif not named:
        visitor.why = "this name could be anybody's: log in, or ask for a site by a name of its own"
    else:
        _give_loopback(visitor, peer, local, context)
    return visitor


def _is_ours(name: str, plan: Plan | None) -> bool | None:
    """Whether a site with the dashboard has this name: True, as it is; False, through a `*`; None: none has."""
    found: bool | None = None
    for site in plan["sites"] if plan is not None else ():
        if any(route.get("dashboard") for route in site["routes"]):
            if name in site["hosts"]:
                return True
            if any(item.startswith("*") and name.endswith(item[1:]) for item in site["hosts"]):
                found = False
    return found


def _give_loopback(visitor: Visitor, peer: tuple[str, int], local: tuple[str, int], context: Context) -> None:
    """What a visitor of this machine may do without a token: only those of our own user, and root."""
    rights = admin_of(context.plan)["loopback"] or (READ if context.owner == 0 else FULL)
    uid = uid_of(peer, local)
    visitor.sender = f"{visitor.client} uid {uid}"
    if rights == NONE:
        visitor.why = 'a token is needed: [admin] says loopback = "none"'
        return
    if uid not in (0, context.owner):
        who = f"you are {account(uid)}" if uid is not None else "it cannot be seen whose this connection is"
        visitor.why = f"Gapura runs as {account(context.owner)}, and {who}"
        return
    visitor.name, visitor.rights = account(uid), rights
    if rights == READ:
        visitor.why = "visitors of this machine may only read" + (" when Gapura runs as root" if context.owner == 0 else "")
        visitor.hint = "`gapura dashboard` logs a browser in; `gapura token create NAME --role full` is for programs"


def _with_login(visitor: Visitor, field: Field, context: Context) -> Visitor:
    """The rights of a token or a session, if it shows one. Raises `Refusal` for a wrong token."""
    sessions = context.sessions
    if sessions is None:
        return visitor
    scheme, _, text = field("authorization").partition(" ")
    if scheme.lower() == "bearer":
        if not visitor.secure and not visitor.loopback:
            raise Refusal(403, OFF_MACHINE, "whoever listens has it now: `gapura token revoke`, and use https", headers=_CLOSE)
        try:
            token = sessions.token(text.strip(), visitor.sender)
        except TooMany as error:
            raise too_many(error) from None
        if token is None:
            raise Refusal(401, "the token is wrong, revoked or expired", "`gapura token list` shows them", headers=_BEARER)
        visitor.name, visitor.rights, visitor.token = f"token {token.name}", token.role, token.digest
        visitor.why = visitor.hint = ""
        return visitor
    session = sessions.session(_cookie(field("cookie")))
    if session is None:
        return visitor
    if session.secure != visitor.secure or not (visitor.secure or visitor.loopback):
        visitor.why = "the session was made over another way than this request came by: log in here"
        return visitor
    if RANKS[session.role] >= RANKS[visitor.rights]:
        visitor.name, visitor.rights = session.name, session.role
        visitor.why = visitor.hint = ""
    visitor.session = session.id
    return visitor


_BEARER: Final = {"WWW-Authenticate": 'Bearer realm="gapura", error="invalid_token"'}
_CLOSE: Final = {"Connection": "close"}


def misdirected(host: str) -> Refusal:
    """The name that was asked for is none of ours: a page may have had its own name lead here (DNS rebinding)."""
    return Refusal(421, f"{host[:100] or 'no name'} is none of the names of this dashboard", "`gapura dashboard` tells its URL")


def too_many(error: TooMany) -> Refusal:
    """An address has to wait."""
    return Refusal(429, "too many wrong tokens", "wait a minute", headers={"Retry-After": str(error.seconds)})


def _cookie(text: str) -> str:
    if COOKIE not in text:
        return ""
    try:
        found = SimpleCookie(text).get(COOKIE)
    except CookieError:
        return ""
    return found.value if found is not None else ""


def _name(host: str) -> str:
    """A Host header without its port."""
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdecimal() and (":" not in name or name.startswith("[")) else host


def is_in(address: str, networks: list[str]) -> bool:
    """Whether an address lies in one of the networks."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(parsed in ipaddress.ip_network(network) for network in networks)


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
