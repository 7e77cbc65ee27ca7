"""Which policy an upstream's plan asks for."""

from __future__ import annotations

from gapura.balance.ip_hash import IpHash
from gapura.balance.key_hash import ConsistentHash, KeyHash
from gapura.balance.least_conn import LeastConn
from gapura.balance.policy import Policy
from gapura.balance.ramp import RampedLeastConn, RampedRoundRobin
from gapura.balance.random_two import RandomTwo
from gapura.balance.round_robin import RoundRobin
from gapura.balance.server import Server
from gapura.config.plan import UpstreamPlan


def choose(plan: UpstreamPlan, servers: list[Server]) -> Policy:
    """The policy that the plan names, over `servers`. Raises ValueError for a name that does not exist."""
    match plan["policy"]:
        case "round_robin":
            return RampedRoundRobin(servers) if ramps(servers) else RoundRobin(servers)
        case "least_conn":
            return RampedLeastConn(servers) if ramps(servers) else LeastConn(servers)
        case "ip_hash":
            return IpHash(servers)
        case "hash":
            return ConsistentHash(servers) if plan["consistent"] else KeyHash(servers)
        case "random":
            return RandomTwo(servers)
        case other:
            raise ValueError(f"there is no policy {other!r}")


def ramps(servers: list[Server]) -> bool:
    """Whether some of several servers begin slowly; a single one has nobody to leave the rest to (nginx)."""
    return len(servers) > 1 and any(server.slow_start_ns for server in servers)
