"""The better of two random servers (nginx: random two least_conn)."""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Callable
from itertools import accumulate

from gapura.balance.policy import ATTEMPTS, Tried
from gapura.balance.round_robin import RoundRobin
from gapura.balance.server import Server


class RandomTwo:
    """Draws two different eligible servers by weight and takes the one with fewer connections for its weight.

    The second drawn wins a tie. When 20 draws did not give two, round robin decides.
    `draw` gives numbers from 0 up to, not including, 1.
    """

    __slots__ = ("servers", "_bounds", "_total", "_draw", "_fallback")

    def __init__(self, servers: list[Server], draw: Callable[[], float] = random.random) -> None:
        self.servers = servers
        self._bounds = list(accumulate(server.weight for server in servers))
        self._total = sum(server.weight for server in servers)
        self._draw = draw
        self._fallback = RoundRobin(servers)

    def pick(self, now: int, key: bytes, tried: Tried) -> Server | None:
        servers = self.servers
        if len(servers) > 1:
            first = None
            for _ in range(ATTEMPTS + 1):
                server = servers[bisect_right(self._bounds, int(self._draw() * self._total))]
                if server is first or (tried and server in tried) or not server.eligible(now):
                    continue
                if first is None:
                    first = server
                elif server.connections() * first.weight > first.connections() * server.weight:
                    return first
                else:
                    return server
        return self._fallback.pick(now, key, tried)
