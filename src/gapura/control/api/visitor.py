"""Who asks: by which door they came, what they may do, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

NONE: Final = "none"
READ: Final = "read"
FULL: Final = "full"
RANKS: Final = {NONE: 0, READ: 1, FULL: 2}
"""Rights, each holding those before it."""


@dataclass(slots=True)
class Visitor:
    """One request's sender. `rights`: none, read or full. `name` is for the audit log."""

    door: str
    """admin, dashboard or port."""
    name: str
    client: str
    """Address, or `uid N` on a UNIX socket."""
    secure: bool
    """Over TLS, or not over a network at all."""
    loopback: bool
    """On this machine and through no other proxy."""
    rights: str = NONE
    host: str = ""
    """Of the Host header, with its port."""
    sender: str = ""
    """By which wrong tokens are counted: the client, and on this machine its user."""
    token: str = ""
    """Digest of the token that the rights come from."""
    session: str = ""
    """Id of the session that the rights come from."""
    why: str = ""
    """Why there are no more rights than these."""
    hint: str = ""

    def __post_init__(self) -> None:
        self.sender = self.sender or self.client

    def may(self, rights: str) -> bool:
        """Whether these rights are among the visitor's."""
        return RANKS[self.rights] >= RANKS[rights]
