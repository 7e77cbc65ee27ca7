"""The same key to the same server (nginx: hash, and hash … consistent)."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from itertools import accumulate
from zlib import crc32

from gapura.balance.policy import ATTEMPTS, Tried
from gapura.balance.round_robin import RoundRobin
from gapura.balance.server import Server

POINTS = 160
"""Points on the ring for each unit of weight (ketama)."""


class KeyHash:
    """The plain hash, compatible with Cache::Memcached: crc32 of the key, and of the attempt and the key from the second on.

    Adding or removing a server moves most keys; a server that cannot be picked keeps its place. After 20 misses round robin.
    """

    __slots__ = ("servers", "_bounds", "_total", "_fallback")

    def __init__(self, servers: list[Server]) -> None:
        self.servers = servers
        self._bounds = list(accumulate(server.weight for server in servers))
        self._total = sum(server.weight for server in servers)
        self._fallback = RoundRobin(servers)

    def pick(self, now: int, key: bytes, tried: Tried) -> Server | None:
        servers = self.servers
        if key and len(servers) > 1:
            value = 0
            for attempt in range(ATTEMPTS + 1 + (len(tried) if tried else 0)):
                value += crc32(b"%d%s" % (attempt, key) if attempt else key) >> 16 & 0x7FFF
                server = servers[bisect_right(self._bounds, value % self._total)]
                if not (tried and server in tried) and server.eligible(now):
                    return server
        return self._fallback.pick(now, key, tried)


class ConsistentHash:
    """The ring of Cache::Memcached::Fast (ketama): removing one of n servers moves about 1/n of the keys.

    Points come from the server's id alone, so neither its place in the file nor an instance's port matters. On a server that
    cannot be picked the search goes on to the next point: 20 times, then round robin.
    """

    __slots__ = ("servers", "_points", "_owners", "_fallback")

    def __init__(self, servers: list[Server]) -> None:
        self.servers = servers
        self._fallback = RoundRobin(servers)
        ring: dict[int, Server] = {}
        for server in servers:
            for point in ring_points(server.id_bytes, server.weight):
                ring.setdefault(point, server)
        self._points = sorted(ring)
        self._owners = [ring[point] for point in self._points]

    def pick(self, now: int, key: bytes, tried: Tried) -> Server | None:
        owners = self._owners
        if key and len(self.servers) > 1:
            start = bisect_left(self._points, crc32(key))
            for step in range(ATTEMPTS + 1):
                server = owners[(start + step) % len(owners)]
                if not (tried and server in tried) and server.eligible(now):
                    return server
        return self._fallback.pick(now, key, tried)


def ring_points(server_id: bytes, weight: int) -> list[int]:
    """Ketama's points of a server: each is crc32(host NUL port previous point), the previous as 4 little-endian bytes."""
    if server_id.startswith(b"unix:"):
        host, port = server_id[5:], b""
    else:
        host, _, port = server_id.rpartition(b":")
    seed = crc32(host + b"\0" + port)
    points = []
    point = 0
    for _ in range(weight * POINTS):
        point = crc32(point.to_bytes(4, "little"), seed)
        points.append(point)
    return points
