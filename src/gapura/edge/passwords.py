"""Passwords against their hashes, as htpasswd and others make them: bcrypt, apr1, SHA, and what the system's crypt(3) knows.

Every function here may take long and is called in a thread. bcrypt and crypt(3) leave the interpreter's lock alone meanwhile;
apr1 needs it, so only one thread at a time computes that, and rests as long as it worked.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from gapura.config.htpasswd import APACHE, BCRYPT, CRYPT, SHA1, family

LONGEST: Final = 1024
"""Bytes of a password that is looked at."""
BCRYPT_BYTES: Final = 72
"""bcrypt sees no more of a password; Apache and nginx cut it there as well."""
SAMPLE: Final = 500
"""Hashes of a file that are looked at for the cost of the others."""
_CRYPT_DATA: Final = 1 << 18
"""Bytes of `struct crypt_data`: 32 KiB in libxcrypt, 128 KiB in old glibc."""
_LIBRARIES: Final = ("libcrypt.so.1", "libcrypt.so.2", None)

_alone: Final = threading.Lock()


def verify(password: bytes, hashed: str) -> bool:
    """Whether the password belongs to the hash, in a time that does not tell where they differ. False for a wrong hash."""
    kind = family(hashed)
    if not kind or len(password) > LONGEST or 0 in password:
        return False
    try:
        return hmac.compare_digest(_CHECKS[kind](password, hashed), hashed.encode("latin-1"))
    except (ValueError, OSError):
        return False


def _bcrypt(password: bytes, hashed: str) -> bytes:
    import bcrypt

    salt = hashed[:29].encode()
    if salt[:4] == b"$2y$":  # PHP's and Apache's name of the same thing
        salt = b"$2b$" + salt[4:]
    found: bytes = bcrypt.hashpw(password[:BCRYPT_BYTES], salt)
    return hashed[:4].encode() + found[4:]


def _sha1(password: bytes, hashed: str) -> bytes:
    if hashed.startswith("{SHA}"):
        return b"{SHA}" + base64.b64encode(hashlib.sha1(password, usedforsecurity=False).digest())
    raw = base64.b64decode(hashed[6:])
    digest, salt = raw[:20], raw[20:]
    found = hashlib.sha1(password + salt, usedforsecurity=False).digest()
    return hashed.encode() if hmac.compare_digest(found, digest) else b""


_ITOA64: Final = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def _apache(password: bytes, hashed: str) -> bytes:
    """$apr1$ and $1$: a thousand rounds of MD5 (Apache's apr_md5.c, Poul-Henning Kamp's crypt)."""
    magic, salt = (part.encode("latin-1") for part in (f"${hashed.split('$')[1]}$", hashed.split("$")[2]))
    with _alone:
        begun = time.perf_counter()
        digest = _md5_rounds(password, magic, salt)
        out = bytearray(magic + salt + b"$")
        for a, b, c in ((0, 6, 12), (1, 7, 13), (2, 8, 14), (3, 9, 15), (4, 10, 5)):
            number = digest[a] << 16 | digest[b] << 8 | digest[c]
            out += bytes(_ITOA64[number >> shift & 63] for shift in (0, 6, 12, 18))
        out += bytes(_ITOA64[digest[11] >> shift & 63] for shift in (0, 6))
        time.sleep(time.perf_counter() - begun)
    return bytes(out)


def _md5_rounds(password: bytes, magic: bytes, salt: bytes) -> bytes:
    def md5(data: bytes) -> bytes:
        return hashlib.md5(data, usedforsecurity=False).digest()

    length = len(password)
    text = password + magic + salt + (md5(password + salt + password) * (length // 16 + 1))[:length]
    while length:
        text += b"\0" if length & 1 else password[:1]
        length >>= 1
    digest = md5(text)
    for number in range(1000):
        odd = number & 1
        text = (password if odd else digest) + (salt if number % 3 else b"") + (password if number % 7 else b"")
        digest = md5(text + (digest if odd else password))
    return digest


_found: list[Any] = []


def _library() -> Any:
    """The system's crypt_r, or None."""
    import ctypes

    if not _found:
        for name in _LIBRARIES:
            try:
                function = ctypes.CDLL(name).crypt_r
            except (OSError, AttributeError):
                continue
            function.restype = ctypes.c_char_p
            function.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p)
            _found.append(function)
            break
        else:
            _found.append(None)
    return _found[0]


def _crypt(password: bytes, hashed: str) -> bytes:
    """$5$, $6$ and $y$, by crypt(3), which Python had a module for until 3.13."""
    import ctypes

    function = _library()
    if function is None:
        raise OSError("this machine has no libcrypt")
    data = ctypes.create_string_buffer(_CRYPT_DATA)
    return function(password, hashed.encode(), data) or b""


_CHECKS: Final[dict[str, Callable[[bytes, str], bytes]]] = {BCRYPT: _bcrypt, APACHE: _apache, SHA1: _sha1, CRYPT: _crypt}


def decoy(hashes: list[str]) -> str:
    """A hash of nobody's password that costs what those of a file do: for names that are not in it.

    It is the first of the costliest ones with its end changed, so that nobody's password fits by luck.
    """
    if not hashes:
        return ""
    chosen = max(hashes[:SAMPLE], key=_cost)
    kind = family(chosen)
    if kind == SHA1:
        return "{SHA}" + base64.b64encode(b"\0" * 20).decode()
    last = "." if chosen[-1] != "." else "/"
    return chosen[:-8] + 7 * last + last


def _cost(hashed: str) -> tuple[int, str]:
    kind = family(hashed)
    rank = {SHA1: 0, APACHE: 1, CRYPT: 2, BCRYPT: 3}.get(kind, 0)
    return rank, hashed[4:6] if kind == BCRYPT else ""
