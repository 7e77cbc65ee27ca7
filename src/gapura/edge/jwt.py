"""Signed tokens (RFC 7519) as bearers (RFC 6750): who has one that is right comes in, and the application learns what it says.

The signature is PyJWT's business, imported only where a route asks for tokens. Which algorithms count is decided by the key, never
by the token (RFC 8725 §3.1).
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from functools import partial
from typing import Any, Final, NamedTuple

from gapura.config.plan_access import JwtPlan
from gapura.edge.basic_auth import quoted
from gapura.edge.exchange import Exchange
from gapura.edge.jwks import Key, keys_for
from gapura.edge.router import NEXT, PAUSED
from gapura.edge.variables import getter
from gapura.edge.waiting import Waiting
from gapura.wire.headers import bad, find_all, without

LONGEST: Final = 16 << 10
"""Bytes of a token that is looked at."""
REMEMBERED: Final = 4096
"""Tokens whose verdict is kept."""
KEPT: Final = 60.0
"""Seconds that a verdict is kept at most; never beyond `exp`."""
TRIED: Final = 4
"""Keys that are tried on one token."""
_FAR: Final = 1 << 40
"""A time of day (s) beyond all; a number of a token may be too large for a float."""
LONGEST_VALUE: Final = 4096
"""Bytes of a claim that becomes a header."""


class Verdict(NamedTuple):
    """What is to become of a token. `lines` are the headers for the application; `until` is time of day in seconds."""

    status: int
    error: str = ""
    lines: tuple[bytes, ...] = ()
    user: bytes = b""
    until: float = 0.0


class Tokens:
    """The step."""

    __slots__ = (
        "plan", "keys", "header", "challenge", "_algorithms", "_cookie", "_known", "_secret", "_headers", "_forward", "_options",
    )  # fmt: skip

    def __init__(self, plan: JwtPlan) -> None:
        import jwt  # noqa: F401 - here, or the first visitor would wait for it

        self.plan = plan
        self.keys = keys_for(plan["keys"], plan["jwks"])
        self.header = plan["header"].lower().encode() or b"authorization"
        self.challenge = b"WWW-Authenticate: Bearer realm=" + quoted(plan["realm"])
        self._algorithms = frozenset(plan["algorithms"])
        self._cookie = getter(f"cookie_{plan['cookie']}") if plan["cookie"] else None
        self._known: dict[bytes, Verdict] = {}
        self._secret = os.urandom(32)
        self._headers = {name.encode(): claim for name, claim in plan["headers"].items()}
        self._forward = plan["forward"]
        self._options: dict[str, Any] = {
            "require": [] if plan["eternal"] else ["exp"],
            "verify_aud": bool(plan["audience"]),
            "verify_iss": bool(plan["issuer"]),
            "verify_iat": False,
            "verify_sub": False,
            "verify_jti": False,
        }

    def __call__(self, exchange: Exchange) -> int:
        token = self._token(exchange)
        if token is None:
            return exchange.refuse(401, exchange.say("token"), lines=[self.challenge])
        self.keys.look(exchange.worker.loop, exchange.sink.now)
        verdict = self._verdict(token)
        if verdict is None:  # it names a key that is not here, or none is here yet
            waiting = Waiting(exchange)
            if self.keys.fetch(exchange.worker.loop, exchange.sink.now, partial(self._fetched, waiting, token)):
                return PAUSED
            exchange.handler = None
            verdict = self._unknown()
        if verdict.status != 200:
            return exchange.refuse(verdict.status, self._say(exchange, verdict), lines=self._lines(verdict))
        self._let_in(exchange, verdict)
        return NEXT

    def _fetched(self, waiting: Waiting, token: bytes) -> None:
        exchange = waiting.exchange
        verdict = self._verdict(token) or self._unknown()
        if verdict.status == 200:
            self._let_in(exchange, verdict)
            waiting.go_on(NEXT)
        else:
            waiting.refuse(verdict.status, self._say(exchange, verdict), self._lines(verdict))

    def _unknown(self) -> Verdict:
        return Verdict(401, "invalid_token") if self.keys.current else Verdict(503)

    def _say(self, exchange: Exchange, verdict: Verdict) -> str:
        return exchange.say({401: "token", 403: "claims"}.get(verdict.status, "decider"))

    def _lines(self, verdict: Verdict) -> list[bytes]:
        return [b'%b, error="%b"' % (self.challenge, verdict.error.encode())] if verdict.error else []

    def _token(self, exchange: Exchange) -> bytes | None:
        """The token of a request; b"" when there is something that cannot be one, None when there is nothing."""
        values = find_all(exchange.head.lines, self.header)
        if len(values) > 1:
            return b""
        if values:
            scheme, space, token = values[0].partition(b" ")
            if scheme.lower() == b"bearer":
                return token.strip(b" ")
            if self.header != b"authorization":
                return b"" if space else values[0]
        if self._cookie is not None:
            return self._cookie(exchange) or None
        return None

    def _let_in(self, exchange: Exchange, verdict: Verdict) -> None:
        if not self._forward:
            exchange.head.lines = without(exchange.head.lines, {self.header})
        exchange.head.lines += verdict.lines
        if verdict.user:
            exchange.user = verdict.user

    # -- the token itself -----------------------------------------------------------------------------------------------

    def _verdict(self, token: bytes) -> Verdict | None:
        """What is to become of it; None when the key that it names may be found by asking again."""
        digest = hashlib.blake2b(b"%d:%b" % (self.keys.version, token), key=self._secret, digest_size=16).digest()
        known = self._known.get(digest)
        now = time.time()
        if known is not None and now < known.until:
            return known
        verdict = self._judge(token, now)
        if verdict is not None:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            self._known[digest] = verdict
        return verdict

    def _judge(self, token: bytes, now: float) -> Verdict | None:
        import jwt

        wrong = Verdict(401, "invalid_token", until=now + 1)
        if len(token) > LONGEST or token.count(b".") != 2:
            return wrong
        try:
            header = jwt.get_unverified_header(token)
        except Exception:  # every garbage has its own exception: also RecursionError, UnicodeError
            return wrong
        algorithm, kid = header.get("alg"), header.get("kid")
        if not isinstance(algorithm, str) or (kid is not None and not isinstance(kid, str)) or "crit" in header:
            return wrong
        if self._algorithms and algorithm not in self._algorithms:
            return wrong
        keys = self.keys.find(kid, algorithm)
        if not keys:
            return None if self.keys.url else wrong
        claims = self._claims(token, algorithm, keys[:TRIED])
        return wrong if claims is None else self._said(claims, now)

    def _claims(self, token: bytes, algorithm: str, keys: list[Key]) -> dict[str, Any] | None:
        """What the token says if one of the keys signed it and it holds now."""
        import jwt

        plan = self.plan
        for key in keys:
            try:
                return jwt.decode(
                    token,
                    key.key,
                    algorithms=[algorithm],
                    audience=plan["audience"] or None,
                    issuer=plan["issuer"] or None,
                    leeway=plan["leeway"],
                    options=self._options,  # type: ignore[arg-type]
                )
            except jwt.InvalidSignatureError:
                continue
            except Exception:
                return None
        return None

    def _said(self, claims: dict[str, Any], now: float) -> Verdict:
        """The verdict about a token that is right: whether it is enough, and what the application learns."""
        until = now + KEPT
        if "exp" in claims:
            until = min(until, min(int(claims["exp"]), _FAR) + self.plan["leeway"])
        for name, wanted in self.plan["claims"].items():
            if not set(wanted) & set(_values(name, claim(claims, name))):
                return Verdict(403, "insufficient_scope", until=until)
        lines = []
        for header, name in self._headers.items():
            try:
                value = _text(claim(claims, name))
            except ValueError:
                return Verdict(403, "invalid_token", until=until)
            if value is not None:
                lines.append(b"%b: %b" % (header, value))
        try:
            user = _text(claims.get("sub")) or b""
        except ValueError:
            user = b""
        return Verdict(200, "", tuple(lines), user, until)


def claim(claims: dict[str, Any], name: str) -> Any:
    """A claim by its name, or by its way: `realm_access.roles` is `roles` in `realm_access`."""
    if name in claims:
        return claims[name]
    here: Any = claims
    for part in name.split("."):
        if not isinstance(here, dict):
            return None
        here = here.get(part)
    return here


def _values(name: str, value: Any) -> list[str]:
    """The values of a claim as texts; those of `scope` stand between spaces (RFC 8693 §4.2)."""
    if name in ("scope", "scp") and isinstance(value, str):
        return value.split(" ")
    items = value if isinstance(value, list) else [value]
    return [item if isinstance(item, str) else json.dumps(item) for item in items if item is not None]


def _text(value: Any) -> bytes | None:
    """A claim as the value of a header; None for none. Raises ValueError for one that no header may have (CWE-113)."""
    if value is None:
        return None
    if isinstance(value, list) and all(isinstance(item, str | int) for item in value):
        text = ",".join(item if isinstance(item, str) else json.dumps(item) for item in value)
    else:
        text = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
    raw = text.encode()
    if bad(raw) or len(raw) > LONGEST_VALUE:
        raise ValueError("a claim cannot be a header")
    return raw
