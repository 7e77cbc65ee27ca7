"""The server with the fewest connections for its weight (nginx: least_conn)."""

from __future__ import annotations

from gapura.balance.policy import Tried
from gapura.balance.round_robin import RoundRobin
from gapura.balance.server import Server


class LeastConn:
    """Smallest connections/weight over all workers, compared crosswise; the tied ones take turns by round robin."""

    __slots__ = ("servers",)

    def __init__(self, servers: list[Server]) -> None:
        self.servers = servers

    def pick(self, now: int, key: bytes, tried: Tried) -> Server | None:
        tied: list[Server] = []
        fewest, weight = 0, 1
        for server in self.servers:
            if (tried and server in tried) or not server.eligible(now):
                continue
            connections = server.connections()
            difference = connections * weight - fewest * server.weight if tied else -1
            if difference < 0:
                tied = [server]
                fewest, weight = connections, server.weight
            elif difference == 0:
                tied.append(server)
        if len(tied) < 2:
            return tied[0] if tied else None
        return RoundRobin(tied).pick(now, key, None)
