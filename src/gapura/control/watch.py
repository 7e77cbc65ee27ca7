"""What is known of one server's health, and what a look at the board or a check's outcome changes in it.

Pure: no sockets, no loop, no clock. `now` and `began` are CLOCK_MONOTONIC in ns.
"""

from __future__ import annotations

import logging

from gapura.balance import facts
from gapura.board import (
    DOWN_AT,
    HEALTH,
    HEALTHY,
    HIT_AT,
    PORT,
    READY,
    READY_AT,
    REFUSED,
    SERVED,
    STATE,
    UNHEALTHY,
    Board,
)
from gapura.config.plan import HealthPlan, ServerPlan, UpstreamPlan, address
from gapura.control.check import Address, Check, request

BESIDE = 200_000_000
"""A check that has not answered after so many ns gets another beside it, each with its full time to answer: two misses of a
server that hangs come within interval + BESIDE + timeout (2.2 s), not within interval + interval + timeout."""

log = logging.getLogger(__name__)


class Watch:
    """The health of one slot: a server, or one of the two slots of an instance. Writes its HEALTH and HIT_AT, nothing else.

    `under_way` holds the checks without a verdict, the oldest first. `misses` and `hits` count in a row. `missed` remembers
    that a check has failed since the last HIT_AT; `failing` why, once so many have that it counts. `answered_at` is when real
    traffic was last seen to be answered.
    """

    __slots__ = (
        "board",
        "offset",
        "slot",
        "key",
        "name",
        "instance",
        "tls",
        "server",
        "health",
        "request",
        "fail_timeout",
        "peers",
        "due",
        "under_way",
        "misses",
        "hits",
        "missed",
        "failing",
        "ready_at",
        "served",
        "looked_at",
        "answered_at",
    )

    def __init__(self, board: Board, upstream: UpstreamPlan, health: HealthPlan, server: ServerPlan, slot: int, due: int) -> None:
        self.board = board
        self.slot = slot
        self.offset = board.slot(slot)
        self.key = (upstream["name"], server["id"])
        self.due = due
        self.under_way: list[Check] = []
        self.misses = 0
        self.hits = 0
        self.missed = self.cells[self.offset + HEALTH] == UNHEALTHY
        self.failing = ""
        self.ready_at = self.cells[self.offset + READY_AT]
        self.served = board.total(self.offset, SERVED)
        self.looked_at = 0
        self.answered_at = 0
        self.update(upstream, health, server)

    def update(self, upstream: UpstreamPlan, health: HealthPlan, server: ServerPlan) -> None:
        """Take over the words of a new plan; what is known of the server stays."""
        self.server = server
        self.health = health
        self.instance = upstream["app"]
        self.tls = upstream["tls"]
        self.name = f"{upstream['name']}: {server['id'] if upstream['app'] else address(server)}"
        self.request = request(health["path"], health["host"])
        self.fail_timeout = int(server["fail_timeout"] * 1e9)
        self.peers: list[Watch] = []

    @property
    def cells(self) -> memoryview:
        return self.board.cells

    def address(self) -> Address:
        """Where to connect now: an instance's port stands on the board."""
        if self.server["path"]:
            return self.server["path"]
        return self.server["host"], self.cells[self.offset + PORT] if self.instance else self.server["port"]

    def eligible(self, now: int) -> bool:
        """May it be picked (ARCHITECTURE, "Eligible")? A full server counts as well: it is alive."""
        return facts.slot_condition(self.board, self.offset, self.server, now) in ("up", "full")

    def look(self, now: int) -> bool:
        """Read the board; True when a check shall begin now."""
        if not self._present():
            return False
        self._see_traffic(now)
        return self._wants_check(now)

    def judge(self, check: Check, now: int) -> None:
        """A check has come to its verdict. What began before the instance became ready says nothing about it."""
        self.under_way.remove(check)
        if check.ours or not self._present() or check.began <= self.ready_at:
            return
        self._see_traffic(now)
        if 0 < check.status < 500:
            self._hit(check.began, now)
        elif self.answered_at < check.began:
            self._miss(f"status {check.status}" if check.status else check.reason, now)

    def forget(self) -> None:
        """Cancel what is under way."""
        for check in self.under_way:
            check.cancel()
        self.under_way.clear()

    def _present(self) -> bool:
        """Is there a server to be checked? A process that has just become ready begins with a clean sheet."""
        cells, at = self.cells, self.offset
        ready = cells[at + STATE] == READY
        if ready and cells[at + READY_AT] == self.ready_at:
            return True
        if cells[at + READY_AT] != self.ready_at or self.instance:
            self.forget()
            self.ready_at = cells[at + READY_AT]
            self.misses = self.hits = 0
            self.missed = False
            self.failing = ""
            if cells[at + HEALTH] != HEALTHY:
                cells[at + HEALTH] = HEALTHY
        return bool(ready)

    def _see_traffic(self, now: int) -> None:
        """An answer to real traffic is a hit."""
        served = self.board.total(self.offset, SERVED)
        if served > self.served:
            self.answered_at = now
            self._hit(self.looked_at, now)
        self.served = served
        self.looked_at = now

    def _wants_check(self, now: int) -> bool:
        out = self.cells[self.offset + HEALTH] == UNHEALTHY or facts.benched(self.board, self.offset, self.fail_timeout, now)
        period = int((self.health["fast_interval"] if out else self.health["interval"]) * 1e9)
        self.due = min(self.due, now + period)
        if out and any(check.connected for check in self.under_way):
            self.due = now + period  # its kernel holds the connection already and will answer as soon as the server lives again
            return False
        if now >= self.due:
            self.due += period
            if self.due <= now:
                self.due = now + period
            return True
        waiting = len(self.under_way)
        return bool(
            waiting and not out and self.misses + waiting < self.health["misses"] and now - self.under_way[-1].began >= BESIDE
        )

    def _hit(self, began: int, now: int) -> None:
        cells, at = self.cells, self.offset
        self.misses = 0
        self.hits += 1
        self.failing = ""
        down_at = cells[at + DOWN_AT]
        refused = down_at & REFUSED and down_at > max(cells[at + READY_AT], cells[at + HIT_AT])
        if began > down_at and (self.missed or refused):
            self.missed = False
            cells[at + HIT_AT] = now
        if cells[at + HEALTH] == UNHEALTHY and self.hits >= self.health["hits"]:
            cells[at + HEALTH] = HEALTHY
            log.info("%s answers again", self.name)

    def _miss(self, reason: str, now: int) -> None:
        self.hits = 0
        self.missed = True
        self.misses += 1
        if self.misses >= self.health["misses"]:
            self.failing = reason
        if self.misses < self.health["misses"] or self.cells[self.offset + HEALTH] == UNHEALTHY:
            return
        if any(peer.eligible(now) for peer in self.peers):
            self.cells[self.offset + HEALTH] = UNHEALTHY
            log.warning("%s is out: %d health checks in a row failed (%s)", self.name, self.misses, reason)
        elif self.misses == self.health["misses"]:
            log.warning("%s fails its health checks (%s), but nothing else could answer in its place", self.name, reason)
