"""Tokens, one-time codes and sessions: by what a visitor of the admin API is known. Of secrets only hashes are kept."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from dataclasses import dataclass
from typing import Any, Final

LIFE: Final = 12 * 3600.0
"""Seconds that a session lasts."""
CODE_LIFE: Final = 60.0
"""Seconds within which a one-time code must be used."""
SESSIONS: Final = 1000
"""At the same time; the oldest makes room."""
CODES: Final = 20
TRIES: Final = 10
"""Wrong tokens that one address may send within a window; then it is refused until the window is over."""
WINDOW: Final = 60.0
ADDRESSES: Final = 2000
"""Addresses with wrong tokens that are remembered; the oldest makes room."""
LONGEST: Final = 200
"""Characters of a token: what is longer is none."""


@dataclass(slots=True)
class Token:
    """A token as it is kept. `digest`: SHA-256 in hexadecimal; enough, because tokens are 256 random bits. `expires` is wall
    clock in s, 0: never.
    """

    name: str
    digest: str
    role: str
    expires: float


@dataclass(slots=True)
class Session:
    """A browser that has logged in. `token`: the digest of what it logged in with. `secure`: over TLS; else on this machine."""

    id: str
    name: str
    role: str
    token: str
    until: float
    secure: bool


class TooMany(Exception):
    """An address has sent too many wrong tokens. `seconds` until it may try again."""

    def __init__(self, seconds: int) -> None:
        super().__init__("too many wrong tokens")
        self.seconds = seconds


class Sessions:
    """What control knows of tokens (the master keeps them), codes and sessions (in memory: they end with control)."""

    def __init__(self) -> None:
        self._tokens: list[Token] = []
        self._codes: list[Token] = []
        self._sessions: dict[str, Session] = {}
        self._wrong: dict[str, tuple[int, float]] = {}

    @property
    def known(self) -> bool:
        """Whether there is any token."""
        return bool(self._tokens)

    def take_up(self, rows: list[dict[str, Any]]) -> None:
        """The master's tokens. Sessions of those that are gone, or may do something else now, end."""
        self._tokens = [Token(str(r["name"]), str(r["hash"]), str(r["role"]), float(r["expires"])) for r in rows]
        roles = {token.digest: token.role for token in self._tokens}
        for key, session in list(self._sessions.items()):
            if session.token and roles.get(session.token) != session.role:
                del self._sessions[key]

    def expect(self, digest: str, role: str) -> None:
        """A one-time code that `gapura dashboard` has just shown."""
        self._codes = [*self._codes, Token("gapura dashboard", digest, role, time.time() + CODE_LIFE)][-CODES:]

    def token(self, text: str, address: str) -> Token | None:
        """The valid token of this text. Raises `TooMany`."""
        self._check(address)
        found = _match(self._tokens, text)
        if found is None:
            self._fail(address)
        return found

    def log_in(self, text: str, address: str, secure: bool) -> tuple[str, Session] | None:
        """A session for a token or a one-time code: the secret of its cookie, and the session. Raises `TooMany`."""
        self._check(address)
        token = _match(self._tokens, text)
        code = _match(self._codes, text) if token is None else None
        found = token or code
        if found is None:
            self._fail(address)
            return None
        if code is not None:
            self._codes.remove(code)
        until = time.time() + LIFE
        if token is not None and token.expires:
            until = min(until, token.expires)
        secret = secrets.token_urlsafe(32)
        digest = _digest(secret)
        session = Session(digest[:16], found.name, found.role, token.digest if token else "", until, secure)
        while len(self._sessions) >= SESSIONS:
            del self._sessions[next(iter(self._sessions))]
        self._sessions[digest] = session
        return secret, session

    def session(self, secret: str) -> Session | None:
        """The session of a cookie. By its hash: how long the look-up takes tells nothing about the secret."""
        if len(secret) > LONGEST:
            return None
        key = _digest(secret)
        found = self._sessions.get(key)
        if found is not None and found.until <= time.time():
            del self._sessions[key]
            return None
        return found

    def log_out(self, session: str) -> None:
        """End a session by its id."""
        for key, found in list(self._sessions.items()):
            if found.id == session:
                del self._sessions[key]

    def alive(self, session: str) -> bool:
        """Whether a session by its id still holds, for answers that go on for long."""
        now = time.time()
        return any(found.id == session and found.until > now for found in self._sessions.values())

    def holds(self, digest: str) -> bool:
        """Whether a token by its digest still counts."""
        now = time.time()
        return any(token.digest == digest and (not token.expires or token.expires > now) for token in self._tokens)

    def _check(self, address: str) -> None:
        count, since = self._wrong.get(address, (0, 0.0))
        left = since + WINDOW - time.monotonic()
        if count >= TRIES and left > 0:
            raise TooMany(int(left) + 1)

    def _fail(self, address: str) -> None:
        now = time.monotonic()
        count, since = self._wrong.pop(address, (0, now))
        if now - since > WINDOW:
            count, since = 0, now
        while len(self._wrong) >= ADDRESSES:
            del self._wrong[next(iter(self._wrong))]
        self._wrong[address] = count + 1, since


def _match(tokens: list[Token], text: str) -> Token | None:
    """Compared with each in constant time (CWE-208)."""
    if not text or len(text) > LONGEST:
        return None
    digest, now = _digest(text), time.time()
    found = None
    for token in tokens:
        if hmac.compare_digest(token.digest, digest) and (not token.expires or token.expires > now):
            found = token
    return found


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
