"""Steps of a route: how often and how many at a time somebody may ask. Counted over all workers (`tally`)."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from functools import lru_cache, partial
from time import monotonic_ns
from typing import Final

from gapura.board import H_USED
from gapura.config.plan_limit import ConnectionsPlan, LimitPlan, RatePlan
from gapura.config.variables import PATTERN
from gapura.edge.exchange import Exchange
from gapura.edge.router import NEXT, PAUSED, Step
from gapura.edge.variables import Getter, getter
from gapura.edge.waiting import Waiting
from gapura.records import CONNECTION_LIMIT, RATE_LIMIT
from gapura.tally import Reading, Tally

NANOSECONDS: Final = 1_000_000_000
NETWORK: Final = 8
"""Bytes of an IPv6 address that count as one client: whoever has one address has its whole /64 (RFC 6177)."""

TELL: Final = 60 * NANOSECONDS
"""ns between two warnings that the tally is too small."""

log = logging.getLogger("edge")


def steps(plan: LimitPlan) -> list[Step]:
    """The steps that this part of the plan asks for."""
    return [Limits(plan)]


class Counted:
    """What an exchange was counted for. It is given back when the exchange ends, in whatever way."""

    __slots__ = ("keys", "back")

    def __init__(self) -> None:
        self.keys: set[int] = set()
        """In the tally."""
        self.back: list[Callable[[], None]] = []
        """What gives back a place that the exchange has."""

    def end(self) -> None:
        """The exchange is over."""
        for give_back in self.back:
            give_back()
        self.back.clear()


def counted(exchange: Exchange) -> Counted:
    """What an exchange was counted for so far."""
    if exchange.counted is None:
        exchange.counted = Counted()
    return exchange.counted


class Limits:
    """A compiled set of limits. An instance is a step: a request passes all of them or is counted by none."""

    __slots__ = ("_rates", "_most")

    def __init__(self, plan: LimitPlan) -> None:
        self._rates = [_Rate(rate) for rate in plan["rates"]]
        self._most = [_Most(most) for most in plan["connections"]]

    def __call__(self, exchange: Exchange) -> int:
        worker = exchange.worker
        tally, columns = worker.tally, worker.board.cells[H_USED]
        already = counted(exchange)
        now = monotonic_ns()
        wait = 0
        charges: list[tuple[_Rate, int, Reading]] = []
        for rate in self._rates:
            key = rate.key(exchange)
            if not key or key in already.keys:  # nothing to go by, or counted on another route before
                continue
            reading = tally.read(key, rate.interval, now, columns)
            if reading.backlog > rate.room:
                return _refuse(exchange, rate.status, "often", reading.backlog - rate.room)
            charges.append((rate, key, reading))
            wait = max(wait, rate.wait(reading.backlog))
        for most in self._most:
            key = most.key(exchange)
            if not key or key in already.keys:
                continue
            if not tally.enter(key, most.most, columns):
                return _refuse(exchange, most.status, "many", NANOSECONDS)
            already.keys.add(key)
            already.back.append(partial(tally.leave, key))
        for rate, key, reading in charges:
            tally.charge(key, rate.interval, rate.burst, now, columns, reading)
            already.keys.add(key)
        if tally.forgotten and now - tally.told_at > TELL:
            _tell(tally, now)
        if wait:
            _Delay(exchange, wait / NANOSECONDS)
            return PAUSED
        return NEXT


class _Client:
    """What tells the clients of one limit apart."""

    __slots__ = ("_name", "_zone", "_read")

    def __init__(self, zone: str, key: str) -> None:
        self._name = zone
        self._zone = b""
        self._read = client_key(key)

    def key(self, exchange: Exchange) -> int:
        """The client's key in the tally; 0 when there is nothing to go by."""
        value = self._read(exchange)
        if not value:
            return 0
        zone = self._zone
        if not zone:
            zone = self._zone = exchange.worker.tally.zone(self._name)
        return Tally.key(zone, value)


class _Rate(_Client):
    __slots__ = ("interval", "burst", "room", "status", "_undelayed")

    def __init__(self, plan: RatePlan) -> None:
        super().__init__(plan["zone"], plan["key"])
        self.interval = plan["interval"]
        self.burst = plan["burst"]
        self.room = self.burst * self.interval
        self.status = plan["status"]
        self._undelayed = plan["undelayed"]

    def wait(self, backlog: int) -> int:
        """ns until a request has its time that came when the bucket held so much."""
        return 0 if self._undelayed < 0 else max(0, backlog - self._undelayed * self.interval)


class _Most(_Client):
    __slots__ = ("most", "status")

    def __init__(self, plan: ConnectionsPlan) -> None:
        super().__init__(plan["zone"], plan["key"])
        self.most = plan["most"]
        self.status = plan["status"]


class _Delay:
    """A request that came early and waits until its time has come."""

    __slots__ = ("_waiting", "_timer")

    def __init__(self, exchange: Exchange, seconds: float) -> None:
        self._waiting = Waiting(exchange, self._gone)
        self._timer: asyncio.TimerHandle = exchange.worker.loop.call_later(seconds, self._over)

    def _over(self) -> None:
        self._waiting.go_on(NEXT)

    def _gone(self) -> None:
        self._timer.cancel()


def _tell(tally: Tally, now: int) -> None:
    log.warning("the limits count more clients than there is room for: %d were forgotten, the least busy first", tally.forgotten)
    tally.forgotten = 0
    tally.told_at = now


def _refuse(exchange: Exchange, status: int, sentence: str, wait: int) -> int:
    """Too often or too many: say so, and when to come again (RFC 6585 §4; draft-ietf-httpapi-ratelimit-headers)."""
    seconds = max(1, -(-wait // NANOSECONDS))
    lines = [b"Retry-After: %d" % seconds]
    exchange.cause = RATE_LIMIT if sentence == "often" else CONNECTION_LIMIT
    if sentence == "often":
        lines.append(b'RateLimit: "limit";r=0;t=%d' % seconds)
    return exchange.refuse(status, exchange.say(sentence), lines=lines)


def client_key(text: str) -> Getter:
    """A function from an exchange to what tells its client apart; empty when none of the variables has a value.

    Each value is preceded by its length, so that no two lists of values look alike. Raises KeyError for an unknown variable.
    """
    readers = [_network if (name := match[1] or match[2]) == "remote_addr" else getter(name) for match in PATTERN.finditer(text)]
    if len(readers) == 1:
        return readers[0]

    def read(exchange: Exchange) -> bytes:
        values = [reader(exchange) for reader in readers]
        return b"".join([b"%d:%b" % (len(value), value) for value in values]) if any(values) else b""

    return read


def _network(exchange: Exchange) -> bytes:
    client = exchange.client
    return client if b":" not in client else _ipv6_network(client)


@lru_cache(maxsize=4096)
def _ipv6_network(client: bytes) -> bytes:
    try:
        return socket.inet_pton(socket.AF_INET6, client.decode("ascii").partition("%")[0])[:NETWORK]
    except (OSError, ValueError):
        return client
