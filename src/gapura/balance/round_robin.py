"""Smooth weighted round robin (nginx: the default method)."""

from __future__ import annotations

from gapura.balance.policy import Tried
from gapura.balance.server import Server


class RoundRobin:
    """Each eligible server gains its effective weight, the highest wins (the first among equals) and pays the sum.

    Weights 5, 1, 1 give a a b a c a a. A failure lowers a server's effective weight; each later round gives 1 back.
    """

    __slots__ = ("servers",)

    def __init__(self, servers: list[Server]) -> None:
        self.servers = servers

    def pick(self, now: int, key: bytes, tried: Tried) -> Server | None:
        best = None
        highest = total = 0
        for server in self.servers:
            if (tried and server in tried) or not server.eligible(now):
                continue
            effective = server.effective
            total += effective
            server.current = current = server.current + effective
            if effective < server.weight:
                server.effective = effective + 1
            if best is None or current > highest:
                best = server
                highest = current
        if best is not None:
            best.current = highest - total
        return best

    def advance(self, picks: int) -> None:
        """Go on by so many picks as if all servers were eligible, so that workers do not all begin with the same one."""
        servers = self.servers
        total = sum(server.weight for server in servers)
        for _ in range(picks % total if total else 0):
            for server in servers:
                server.current += server.weight
            max(servers, key=lambda server: server.current).current -= total
