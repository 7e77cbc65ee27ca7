"""What a policy goes by for one request: the client's address, or a text with variables."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable

from gapura.config.plan import UpstreamPlan
from gapura.edge.cookie import Cookie
from gapura.edge.exchange import Exchange
from gapura.edge.variables import compile_text


def key_of(upstream: UpstreamPlan) -> Callable[[Exchange], bytes] | None:
    """What the policy goes by: nothing, the client's address, the string of `hash`, or the cookie of a sticky upstream."""
    if upstream["sticky"] is not None:
        return Cookie(upstream["sticky"]["cookie"]).read
    if upstream["policy"] == "ip_hash":
        return packed_client
    if upstream["policy"] == "hash":
        return compile_text(upstream["key"])
    return None


def packed_client(exchange: Exchange) -> bytes:
    """The client's address as 4 or 16 bytes; empty when it is none."""
    try:
        return ipaddress.ip_address(exchange.client.decode()).packed
    except ValueError:
        return b""
