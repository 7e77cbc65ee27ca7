"""A server that has come back gets its share little by little (nginx: slow_start)."""

from __future__ import annotations

from typing import Final

from gapura.balance import facts
from gapura.balance.policy import Tried
from gapura.balance.server import Server

SCALE: Final = 1000
"""Parts of a unit of weight: the steps of a ramp."""


def ramped(server: Server, weight: int, now: int) -> int:
    """A weight in parts, less while less than `slow_start` has passed since the server is known to answer; at least one part."""
    slow = server.slow_start_ns
    if slow:
        passed = now - facts.up_at(server.board, server.slot)
        if passed < slow:
            return max(1, weight * SCALE * passed // slow)
    return weight * SCALE


class RampedRoundRobin:
    """`RoundRobin` with weights in parts: once no server is on its ramp any more, the very same sequence."""

    __slots__ = ("servers",)

    def __init__(self, servers: list[Server]) -> None:
        self.servers = servers

    def pick(self, now: int, key: bytes, tried: Tried) -> Server | None:
        best = None
        highest = total = 0
        for server in self.servers:
            if (tried and server in tried) or not server.eligible(now):
                continue
            effective = ramped(server, server.effective, now)
            total += effective
            server.current = current = server.current + effective
            if server.effective < server.weight:
                server.effective += 1
            if best is None or current > highest:
                best = server
                highest = current
        if best is not None:
            best.current = highest - total
        return best


class RampedLeastConn:
    """`LeastConn` with weights in parts; among servers that are equally busy, as idle ones are, the ramp decides by turns."""

    __slots__ = ("servers",)

    def __init__(self, servers: list[Server]) -> None:
        self.servers = servers

    def pick(self, now: int, key: bytes, tried: Tried) -> Server | None:
        tied: list[Server] = []
        fewest, weight = 0, 1
        for server in self.servers:
            if (tried and server in tried) or not server.eligible(now):
                continue
            connections, own = server.connections(), ramped(server, server.weight, now)
            difference = connections * weight - fewest * own if tied else -1
            if difference < 0:
                tied = [server]
                fewest, weight = connections, own
            elif difference == 0:
                tied.append(server)
        if len(tied) < 2:
            return tied[0] if tied else None
        return RampedRoundRobin(tied).pick(now, key, None)
