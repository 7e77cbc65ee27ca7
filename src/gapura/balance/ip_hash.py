"""The same client address to the same server (nginx: ip_hash)."""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate

from gapura.balance.policy import ATTEMPTS, Tried
from gapura.balance.round_robin import RoundRobin
from gapura.balance.server import Server


class IpHash:
    """Hashes the first three bytes of an IPv4 address (one /24 goes together) or all sixteen of IPv6.

    A server that cannot be picked keeps its place in the list, and its clients hash on: 20 times, then round robin.
    """

    __slots__ = ("servers", "_bounds", "_total", "_fallback")

    def __init__(self, servers: list[Server]) -> None:
        self.servers = servers
        self._bounds = list(accumulate(server.weight for server in servers))
        self._total = sum(server.weight for server in servers)
        self._fallback = RoundRobin(servers)

    def pick(self, now: int, key: bytes, tried: Tried) -> Server | None:
        servers = self.servers
        if len(servers) > 1:
            # nginx hashes three zero bytes for a client without an address, as on a UNIX socket.
            part = key[:3] if len(key) == 4 else key or b"\0\0\0"
            value = 89
            for _ in range(ATTEMPTS + 1 + (len(tried) if tried else 0)):
                for byte in part:
                    value = (value * 113 + byte) % 6271
                server = servers[bisect_right(self._bounds, value % self._total)]
                if not (tried and server in tried) and server.eligible(now):
                    return server
        return self._fallback.pick(now, key, tried)
