"""A visitor stays with the server that answered first (nginx: sticky cookie)."""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64encode
from typing import Final

from gapura.balance.policy import Policy, Tried
from gapura.balance.server import Server

_OF_THIS_MACHINE: Final = ("/etc/machine-id", "/var/lib/dbus/machine-id", "/proc/sys/kernel/random/boot_id")
"""Where to find something that outsiders do not know and that stays (machine-id(5)), the last one until the next boot."""


class Sticky:
    """Takes the server that the key (a cookie's value) names, as long as it is eligible; else `policy` chooses anew."""

    __slots__ = ("_servers", "_policy")

    def __init__(self, values: dict[str, bytes], servers: list[Server], policy: Policy) -> None:
        self._servers = {values[server.id]: server for server in servers}
        self._policy = policy

    def pick(self, now: int, key: bytes, tried: Tried) -> Server | None:
        server = self._servers.get(key)
        if server is not None and not (tried and server in tried) and server.eligible(now):
            return server
        return self._policy.pick(now, b"", tried)


def cookie_values(upstream: str, servers: list[Server], secret: str) -> dict[str, bytes]:
    """What a cookie says for each server id: always the same, on all machines with the same secret, and telling nothing."""
    key = hashlib.blake2b(secret.encode() or _machine(), digest_size=32, person=b"gapura sticky").digest()
    return {server.id: _value(key, f"{upstream}/{server.id}") for server in servers}


def _value(key: bytes, name: str) -> bytes:
    return urlsafe_b64encode(hashlib.blake2b(name.encode(), digest_size=12, key=key).digest())


def _machine() -> bytes:
    for path in _OF_THIS_MACHINE:
        try:
            with open(path, "rb") as stream:
                if found := stream.read(64).strip():
                    return found
        except OSError:
            continue
    return b""
