"""The keys that tokens are checked with: a secret, a public key, or a set of keys that is fetched and fetched again (RFC 7517).

Nothing of it happens in the loop's way: files are small and looked at once a second, URLs are asked in a thread. The last good
keys hold until there are better ones.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable
from functools import lru_cache
from time import monotonic_ns
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from gapura.edge.watched_file import WatchedFile

if TYPE_CHECKING:
    import asyncio

SECOND: Final = 1_000_000_000
FRESH: Final = 600 * SECOND
"""After so long (ns) a set from a URL is fetched anew, while the old one holds."""
AGAIN: Final = 10 * SECOND
"""ns between two fetches at least: a token may name any key it likes."""
PATIENCE: Final = 8.0
"""Seconds that a fetch may take."""
LARGEST: Final = 1 << 20
"""Bytes of the largest set."""
MOST: Final = 100
"""Keys of a set that are looked at."""

HMAC: Final = {"HS256": 32, "HS384": 48, "HS512": 64}
"""Bytes that a secret must have (RFC 7518 §3.2)."""
RSA: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
_CURVES: Final = {
    "P-256": "ES256",
    "P-384": "ES384",
    "P-521": "ES512",
    "secp256r1": "ES256",
    "secp384r1": "ES384",
    "secp521r1": "ES512",
}

log = logging.getLogger("edge")


class Key(NamedTuple):
    """One key and the signatures that may be made with it. A key never serves another kind: no RSA key is taken for a secret."""

    kid: str | None
    algorithms: frozenset[str]
    key: Any


class KeysError(ValueError):
    """What was read is no key, or none that is taken."""


def keys_of_file(raw: bytes) -> list[Key]:
    """A secret, or a public key or certificate in PEM. Raises KeysError."""
    text = raw.strip()
    if not text.startswith(b"-----BEGIN "):
        names = frozenset(name for name, least in HMAC.items() if len(text) >= least)
        if not names:
            raise KeysError(f"a secret needs {HMAC['HS256']} bytes at least")
        return [Key(None, names, text)]
    from cryptography.hazmat.primitives.serialization import load_pem_public_key
    from cryptography.x509 import load_pem_x509_certificate

    try:
        found = load_pem_x509_certificate(text).public_key() if b"BEGIN CERTIFICATE" in text else load_pem_public_key(text)
    except Exception as error:
        raise KeysError(f"it is no public key: {error}") from None
    return [Key(None, _algorithms(found), found)]


def _algorithms(key: Any) -> frozenset[str]:
    """What a public key may have signed. Raises KeysError."""
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PublicKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

    if isinstance(key, RSAPublicKey):
        if key.key_size < 2048:
            raise KeysError(f"an RSA key of {key.key_size} bits is too short")
        return frozenset(RSA)
    if isinstance(key, EllipticCurvePublicKey) and key.curve.name in _CURVES:
        return frozenset((_CURVES[key.curve.name],))
    if isinstance(key, Ed25519PublicKey | Ed448PublicKey):
        return frozenset(("EdDSA",))
    raise KeysError("a key of this kind is not taken")


def keys_of_set(raw: bytes, secrets: bool) -> list[Key]:
    """The keys of a set (RFC 7517 §5) that can be used here; others are left out. Raises KeysError when none is left.

    `secrets`: symmetric keys are taken too; from another machine they never are.
    """
    try:
        items = json.loads(raw)["keys"]
    except (ValueError, LookupError, TypeError, RecursionError):
        raise KeysError("it is no set of keys") from None
    if not isinstance(items, list):
        raise KeysError("it is no set of keys")
    found = [key for item in items[:MOST] if isinstance(item, dict) and (key := _key(item, secrets)) is not None]
    if not found:
        raise KeysError("no key in it can be used")
    return found


def _key(item: dict[str, Any], secrets: bool) -> Key | None:
    import jwt

    operations = item.get("key_ops")
    if item.get("use", "sig") != "sig" or (isinstance(operations, list) and "verify" not in operations) or "d" in item:
        return None
    symmetric = item.get("kty") == "oct"
    if symmetric and not secrets:
        return None
    try:
        key = jwt.PyJWK(item).key
        names = frozenset(n for n, least in HMAC.items() if len(key) >= least) if symmetric else _algorithms(key)
    except Exception as error:  # whatever somebody's server sends
        log.warning("a key of a set is left out: %s", str(error)[:200] if isinstance(error, KeysError) else type(error).__name__)
        return None
    alg, kid = item.get("alg"), item.get("kid")
    if alg is not None:
        names &= {alg} if isinstance(alg, str) else frozenset()
    return Key(kid if isinstance(kid, str) else None, names, key) if names else None


class Keys:
    """The keys of one source. `version` grows with each change; `current` is empty until the first are there."""

    __slots__ = ("version", "current", "url", "_file", "_parse", "_tried", "_busy", "_then")

    def __init__(self, keys: str, jwks: str) -> None:
        self.version = 0
        self.current: list[Key] = []
        self.url = jwks if "://" in jwks else ""
        self._file = None if self.url else WatchedFile(keys or jwks)
        self._parse: Callable[[bytes], list[Key]] = keys_of_file if keys else lambda raw: keys_of_set(raw, not self.url)
        self._tried = 0
        self._busy = False
        self._then: list[Callable[[], None]] = []

    def find(self, kid: str | None, algorithm: str) -> list[Key]:
        """The keys that may have signed a token which names these."""
        fitting = [key for key in self.current if algorithm in key.algorithms]
        named = [key for key in fitting if key.kid == kid]
        return named or [key for key in fitting if key.kid is None or kid is None]

    def look(self, loop: asyncio.AbstractEventLoop, now: int) -> None:
        """See to it that the keys are fresh; nobody waits for it."""
        if self._file is not None:
            raw = self._file.look(now)
            if raw is not None:
                self._use(raw)
        elif self.current and now - self._tried > FRESH:
            self.fetch(loop, now, lambda: None)

    def fetch(self, loop: asyncio.AbstractEventLoop, now: int, then: Callable[[], None]) -> bool:
        """Ask the URL, and call `then` when it has answered or failed. False when it was asked a moment ago, or is none."""
        if self._busy:
            self._then.append(then)
            return True
        if not self.url or (self._tried and now - self._tried < AGAIN):
            return False
        self._tried = now
        self._busy = True
        self._then.append(then)
        threading.Thread(target=self._ask, args=(loop,), daemon=True, name="jwks").start()
        return True

    def _ask(self, loop: asyncio.AbstractEventLoop) -> None:
        """In a thread."""
        try:
            raw: bytes | Exception = download(self.url)
        except Exception as error:  # whatever a network may do
            raw = error
        try:
            loop.call_soon_threadsafe(self._fetched, loop, raw)
        except RuntimeError:  # the loop is closed
            return

    def _fetched(self, loop: asyncio.AbstractEventLoop, raw: bytes | Exception) -> None:
        self._busy = False
        if isinstance(raw, bytes):
            self._use(raw)
        else:
            log.error("%s: the keys cannot be fetched: %s; the last ones hold", self.url, str(raw)[:300] or type(raw).__name__)
        self._tried = monotonic_ns()
        waiting, self._then = self._then, []
        for then in waiting:
            loop.call_soon(then)  # each by itself, should one of them fail

    def _use(self, raw: bytes) -> None:
        try:
            self.current = self._parse(raw)
            self.version += 1
        except KeysError as error:
            log.error("%s: %s; the last keys hold", self.url or (self._file.path if self._file else ""), error)


@lru_cache(maxsize=64)
def keys_for(keys: str, jwks: str) -> Keys:
    """One object for all routes, and all generations, with the same source."""
    return Keys(keys, jwks)


def download(url: str) -> bytes:
    """What a URL answers, verified as https is. Raises OSError and ValueError."""
    import http.client
    import urllib.request

    request = urllib.request.Request(url, headers={"Accept": "application/jwk-set+json, application/json", "User-Agent": "gapura"})
    deadline = time.monotonic() + PATIENCE
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE / 2) as answer:
            if url.startswith("https:") and not answer.geturl().startswith("https:"):
                raise ValueError("it leads away from https")
            raw = b""
            while part := answer.read1(1 << 16):
                raw += part
                if len(raw) > LARGEST:
                    raise ValueError(f"it is larger than {LARGEST >> 20} MiB")
                if time.monotonic() > deadline:
                    raise TimeoutError("it takes too long")
            if answer.length:
                raise ValueError("its answer was cut short")
            return raw
    except http.client.HTTPException as error:
        raise ValueError(f"its answer is not HTTP ({type(error).__name__})") from None
