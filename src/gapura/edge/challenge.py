"""What a certificate authority asks for over HTTP to see that a name is ours (http-01, RFC 8555 §8.3)."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final

from gapura.edge.router import Step

if TYPE_CHECKING:
    from gapura.edge.exchange import Exchange

CHALLENGES: Final = b"/.well-known/acme-challenge/"
"""Where an authority looks for proof, over HTTP: it would follow a redirect, to a port that has no certificate yet."""
LONGEST: Final = 512
"""Bytes of an answer: a token, a dot, and the thumbprint of the account's key."""
_TOKEN: Final = re.compile(rb"[A-Za-z0-9_-]{16,256}")
_PLACE: Final = re.compile(re.escape(CHALLENGES) + rb"[A-Za-z0-9_-]+")
_TYPE: Final = b"Content-Type: application/octet-stream"


def asked(path: bytes) -> bool:
    """Whether a path is that of a challenge, ours or an app's: no more than a token, so that no server takes it for another."""
    return _PLACE.fullmatch(path) is not None


def answered(run: str, gate: Step) -> Step:
    """The gate of a site whose certificates are got by themselves: challenges come before redirects, access rules and routes.

    They are files that the master has put below `run`. What is none of ours goes on, for apps that get certificates themselves.
    """
    folder = os.fsencode(os.path.join(run, "challenges", ""))

    def step(exchange: Exchange) -> int:
        path = exchange.head.path
        if path.startswith(CHALLENGES):
            text = _read(folder, path[len(CHALLENGES) :])
            if text:
                return exchange.reply(200, [_TYPE, b"Cache-Control: no-store"], text)
        return gate(exchange)

    return step


def _read(folder: bytes, token: bytes) -> bytes:
    """The answer to a challenge, b"" when there is none. Nothing but a token becomes a file name."""
    if not _TOKEN.fullmatch(token):
        return b""
    try:
        fd = os.open(folder + token, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.read(fd, LONGEST)
    except OSError:
        return b""
    finally:
        os.close(fd)
