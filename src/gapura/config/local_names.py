"""Which host names only this network can know. Asks no network. Control imports this, so nothing large is imported here."""

from __future__ import annotations

import ipaddress
import os
from functools import cache
from typing import Final

RESERVED: Final = ("localhost", "local", "internal", "test", "example", "invalid", "onion")
"""Last labels that no public DNS answers (RFC 6761, 6762, 7686; ICANN's .internal)."""
_LIST: Final = os.path.join(os.path.dirname(os.path.abspath(__file__)), "top_level_domains.txt")


def is_local(host: str) -> bool:
    """Whether no public certificate authority can ever vouch for a site's host as the plan writes it (`*.` in front included).

    So it is with names of one label, below a reserved label or a top-level domain that does not exist, and with private addresses.
    """
    name = host.removeprefix("*.").strip("[]")
    if is_address(name):
        return not ipaddress.ip_address(name).is_global
    _, dot, last = name.rpartition(".")
    return not dot or last in RESERVED or last not in top_level_domains()


@cache
def top_level_domains() -> frozenset[str]:
    """The top-level domains of the public DNS, in lower case, as punycode."""
    with open(_LIST, encoding="ascii") as stream:
        return frozenset(word for line in stream if not line.startswith("#") for word in line.split())


def is_address(host: str) -> bool:
    """Whether a site's host is an IP address (RFC 8738 names such identifiers `ip`)."""
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True
