"""What a simulation plays: servers with their weights, who is slow, who dies when, how much is asked for."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from gapura.config.plan import ServerPlan, UpstreamPlan

POLICIES: Final = ("round_robin", "least_conn", "random", "ip_hash", "hash", "consistent")
"""The words for policies; the last is `policy = "hash"` with `consistent = true`."""
MOST_SERVERS: Final = 26
MOST_REQUESTS: Final = 200_000
SLOWER: Final = 3.0
"""So many times longer a slow server takes when nobody says otherwise."""

_MOMENT = r"(\d+(?:\.\d+)?)s?"
_FAULT = re.compile(rf"(\d+)@{_MOMENT}(?:-{_MOMENT})?")
_SLOW = re.compile(r"(\d+)(?:x(\d+(?:\.\d+)?))?")


class ScenarioError(ValueError):
    """A scenario that cannot be played: `args[0]` says what and what would be right."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Server number `server` (from 0) is dead (refuses connections) or hung (takes them and never answers), in seconds."""

    server: int
    begin: float
    end: float | None = None
    hung: bool = False


@dataclass(frozen=True, slots=True)
class Scenario:
    """`rate` is requests per second, `work` the mean seconds that a request takes a server of ordinary speed.

    A server works on `cores` requests at a time; further ones wait in line there. `slow` holds, by server, how many times longer
    it takes. `checks`: health checks as Gapura makes them (every second, two misses). `retries`: a failed request goes on to
    another server. `clients` is how many different visitors there are.
    """

    weights: tuple[int, ...] = (1, 1, 1, 1)
    cores: tuple[int, ...] = (1, 1, 1, 1)
    slow: dict[int, float] = field(default_factory=dict)
    faults: tuple[Fault, ...] = ()
    requests: int = 2000
    rate: float = 100.0
    work: float = 0.020
    clients: int = 100
    max_fails: int = 1
    fail_timeout: float = 10.0
    checks: bool = True
    retries: bool = True
    seed: int = 1

    def __post_init__(self) -> None:
        for word, value in (("rate", self.rate), ("work", self.work), ("fail_timeout", self.fail_timeout)):
            if not 0 < value < 1_000_000:  # nor is "nan" between these
                raise ScenarioError(f"{word} cannot be {value:g}")
        count = len(self.weights)
        if not 1 <= count <= MOST_SERVERS:
            raise ScenarioError(f"there may be 1 to {MOST_SERVERS} servers")
        if len(self.cores) != count:
            raise ScenarioError(f"there are {count} servers, but {len(self.cores)} numbers of cores")
        for number in (*self.slow, *(fault.server for fault in self.faults)):
            if not 0 <= number < count:
                raise ScenarioError(f"there is no server {number + 1}: there are {count}")
        for fault in self.faults:
            if fault.end is not None and fault.end <= fault.begin:
                raise ScenarioError(
                    f"server {fault.server + 1} would be back at {fault.end:g} s, before it fails at {fault.begin:g} s"
                )

    @property
    def servers(self) -> int:
        return len(self.weights)

    def upstream(self, policy: str) -> UpstreamPlan:
        """The plan that a gapura.toml with these servers and this policy makes; slots are 0, 1, 2, …"""
        return {
            "name": "simulation",
            "app": False,
            "policy": "hash" if policy == "consistent" else policy,
            "key": "$remote_addr",
            "consistent": policy == "consistent",
            "servers": [self._server(number) for number in range(self.servers)],
            "names": [],
            "defaults": None,
            "health": None,
            "hold": 3.0,
            "sticky": None,
            "queue": None,
            "queue_timeout": None,
            "connect_timeout": 2.0,
            "read_timeout": 60.0,
            "send_timeout": 60.0,
            "tries": 0 if self.retries else 1,
            "keepalive": 0,
            "keepalive_timeout": 60.0,
            "tls": None,
        }

    def _server(self, number: int) -> ServerPlan:
        return {
            "id": f"192.0.2.{number + 1}:3000",
            "host": f"192.0.2.{number + 1}",
            "port": 3000,
            "path": "",
            "name": "",
            "weight": self.weights[number],
            "max_fails": self.max_fails,
            "fail_timeout": self.fail_timeout,
            "max_conns": 0,
            "slow_start": None,
            "backup": False,
            "down": False,
            "slots": [number],
        }


def numbers(text: str, count: int, what: str, highest: int = 1000) -> tuple[int, ...]:
    """`3,1,1,1` as numbers, one for each of `count` servers; a single one is for all. Raises ScenarioError."""
    words = [word.strip() for word in text.split(",")]
    if not all(re.fullmatch(r"[0-9]{1,6}", word) and 1 <= int(word) <= highest for word in words):
        raise ScenarioError(f"{what} {text!r} are no numbers from 1 to {highest}, such as 3,1,1,1")
    if len(words) == 1:
        words *= count
    if len(words) != count:
        raise ScenarioError(f"there are {count} servers, but {len(words)} {what}: {text}")
    return tuple(int(word) for word in words)


def slow_servers(texts: tuple[str, ...]) -> dict[int, float]:
    """`2` (three times slower) or `2x5`, by server from 0. Raises ScenarioError."""
    found = {}
    for text in (part.strip() for words in texts for part in words.split(",")):
        match = _SLOW.fullmatch(text)
        factor = float(match[2] or SLOWER) if match else 0.0
        if match is None or not 1 <= factor <= 1000:
            raise ScenarioError(f"{text!r} is no slow server: say 2 (three times slower), or 2x5 (five times)")
        found[int(match[1]) - 1] = factor
    return found


def faults(texts: tuple[str, ...], hung: bool = False) -> tuple[Fault, ...]:
    """`3@10s` (server 3 from second 10 on) or `3@10s-15s` (back after 15). Raises ScenarioError."""
    found = []
    for text in (part.strip() for words in texts for part in words.split(",")):
        match = _FAULT.fullmatch(text)
        if match is None:
            raise ScenarioError(f"{text!r} is no failure: say 3@10s (server 3, at second 10), or 3@10s-15s (until second 15)")
        found.append(Fault(int(match[1]) - 1, float(match[2]), float(match[3]) if match[3] else None, hung))
    return tuple(found)
