"""A name and a password (RFC 7617): checked in threads, remembered for minutes, the file read again when it changes."""

from __future__ import annotations

import binascii
import hashlib
import logging
import os
import re
from collections.abc import Callable
from functools import lru_cache, partial
from time import monotonic_ns
from typing import Final

from gapura.config import htpasswd
from gapura.config.plan_access import BasicAuthPlan
from gapura.edge.exchange import Exchange
from gapura.edge.password_checks import checks_of
from gapura.edge.passwords import decoy, verify
from gapura.edge.router import NEXT, PAUSED
from gapura.edge.waiting import Waiting
from gapura.edge.watched_file import WatchedFile
from gapura.wire.headers import find_all, without

KEPT: Final = 300_000_000_000
"""How long (ns) a right password is taken without another check."""
KEPT_WRONG: Final = 10_000_000_000
"""How long (ns) a wrong one is refused without another check: programs repeat themselves."""
REMEMBERED: Final = 4096
"""Passwords remembered, and as many wrong ones."""
LONGEST: Final = 4096
"""Bytes of credentials that are looked at."""

_BASE64: Final = re.compile(rb"[A-Za-z0-9+/]+={0,2}\Z")
AUTHORIZATION: Final = frozenset((b"authorization",))

Memory = dict[bytes, int]
"""Until when (CLOCK_MONOTONIC, ns) credentials count without another check."""
Pending = list[tuple["BasicAuth", Waiting]]

log = logging.getLogger("edge")


class Users:
    """Who may log in: the users of the configuration and those of a file, and who has shown the right password already.

    The memory holds keyed hashes of credentials, never what somebody typed; nothing of it counts after the users have changed.
    """

    __slots__ = ("hashes", "decoy", "pending", "right", "wrong", "_file", "_fixed", "_read", "_secret")

    def __init__(self, file: str, users: tuple[tuple[str, str], ...]) -> None:
        self._file = WatchedFile(file) if file else None
        self._fixed = {name.encode(): hashed for name, hashed in users}
        self._read = False
        self._use({})

    def _use(self, found: dict[bytes, str]) -> None:
        self.hashes = {**found, **self._fixed}
        self.decoy = decoy(list(self.hashes.values()))
        self.pending: dict[bytes, Pending] = {}
        """Who waits for the same check: a browser asks for a page with all its pictures at once."""
        self.right: Memory = {}
        self.wrong: Memory = {}
        self._secret = os.urandom(32)

    def look(self, now: int) -> None:
        """Read the file again if it has changed, at most once a second. A new one with mistakes leaves the users as they were."""
        raw = self._file.look(now) if self._file else None
        if raw is None or self._file is None:
            return
        found, mistakes = htpasswd.parse(raw)
        if mistakes:
            first = mistakes[0]
            log.error("%s:%d: %s; the users stay as they were", self._file.path, first.line, first.message)
            if self._read:
                return
        self._read = True
        self._use(found)

    def key(self, name: bytes, password: bytes) -> bytes:
        """What stands for these credentials in the memory."""
        return hashlib.blake2b(b"%b:%b" % (name, password), key=self._secret, digest_size=16).digest()


@lru_cache(maxsize=64)
def users_of(file: str, users: tuple[tuple[str, str], ...]) -> Users:
    """One object for all routes, and all generations, that say the same: a reload forgets nobody's password."""
    return Users(file, users)


class BasicAuth:
    """The step."""

    __slots__ = ("users", "forward", "challenge")

    def __init__(self, plan: BasicAuthPlan) -> None:
        self.users = users_of(plan["file"], tuple(plan["users"].items()))
        self.forward = plan["forward"]
        self.challenge = b'WWW-Authenticate: Basic realm=%b, charset="UTF-8"' % quoted(plan["realm"])

    def __call__(self, exchange: Exchange) -> int:
        now = exchange.sink.now
        users = self.users
        users.look(now)
        given = credentials(find_all(exchange.head.lines, b"authorization"))
        if given is None:
            return self._refuse(exchange)
        name, password = given
        key = users.key(name, password)
        if now < users.right.get(key, 0):
            self.let_in(exchange, name)
            return NEXT
        if now < users.wrong.get(key, 0):
            return self._refuse(exchange)
        waiting = Waiting(exchange)
        pending = users.pending.get(key)
        if pending is not None:
            pending.append((self, waiting))
            return PAUSED
        users.pending[key] = pending = [(self, waiting)]
        job: Callable[[], bool] = partial(_verify, password, users.hashes.get(name), users.decoy)
        then = partial(_checked, users.right, users.wrong, users.pending, key, name)
        if checks_of(exchange.worker.loop).add(exchange.client, job, then):
            return PAUSED
        del users.pending[key]
        exchange.handler = None
        return exchange.refuse(429, exchange.say("attempts"), lines=[b"Retry-After: 2"])

    def let_in(self, exchange: Exchange, name: bytes) -> None:
        """The application, and the log, learn who it is."""
        exchange.user = name
        if not self.forward:
            exchange.head.lines = without(exchange.head.lines, AUTHORIZATION)

    def decided(self, waiting: Waiting, name: bytes, right: bool) -> None:
        """The check of one who waits is over."""
        exchange = waiting.exchange
        if right:
            self.let_in(exchange, name)
            waiting.go_on(NEXT)
        else:
            waiting.refuse(401, exchange.say("password"), [self.challenge])

    def _refuse(self, exchange: Exchange) -> int:
        return exchange.refuse(401, exchange.say("password"), lines=[self.challenge])


def _checked(right: Memory, wrong: Memory, pending: dict[bytes, Pending], key: bytes, name: bytes, fits: bool) -> None:
    """The thread has an answer (in the loop again). The memories are those of when it was asked: the users may be others by now."""
    memory, kept = (right, KEPT) if fits else (wrong, KEPT_WRONG)
    if len(memory) >= REMEMBERED:
        memory.clear()
    memory[key] = monotonic_ns() + kept
    for step, waiting in pending.pop(key):
        waiting.exchange.worker.loop.call_soon(step.decided, waiting, name, fits)  # each by itself, should one of them fail


def _verify(password: bytes, known: str | None, decoy: str) -> bool:
    """An unknown name costs as much as a known one, so that nobody can tell who is in the file."""
    if known is None:
        verify(password, decoy)
        return False
    return verify(password, known)


def credentials(values: list[bytes]) -> tuple[bytes, bytes] | None:
    """(name, password) of the one Authorization header; None when there is none, or more than one, or another kind."""
    if len(values) != 1 or len(values[0]) > LONGEST:
        return None
    scheme, _, coded = values[0].partition(b" ")
    if scheme.lower() != b"basic":
        return None
    coded = coded.strip(b" ")
    if len(coded) % 4 or not _BASE64.match(coded):
        return None
    name, colon, password = binascii.a2b_base64(coded).partition(b":")
    if not colon or not name or any(byte < 0x20 or byte == 0x7F for byte in name):
        return None
    return name, password


def quoted(text: str) -> bytes:
    """A text as a quoted-string (RFC 9110 §5.6.4)."""
    return b'"%b"' % text.replace("\\", "\\\\").replace('"', '\\"').encode()
