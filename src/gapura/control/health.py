"""Active health checks of all servers: who is watched, and when a check begins."""

from __future__ import annotations

import asyncio
import logging
import time

from gapura.board import HEALTH, HEALTHY, Board
from gapura.config.plan import Plan
from gapura.config.plan_tls import place
from gapura.control.check import Check
from gapura.control.watch import Watch
from gapura.outgoing import Files, Outgoing, expected_name

SHORTEST, LONGEST = 0.01, 0.05
"""Seconds between two looks at the board: exact enough for a check to begin on time, few enough to cost next to nothing."""

log = logging.getLogger(__name__)


class Health:
    """Watches every server whose upstream has checks turned on, on one event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, board: Board) -> None:
        self.board = board
        self.watches: dict[int, Watch] = {}
        self.outgoing = Outgoing()
        self._loop = loop
        self._timer: asyncio.TimerHandle | None = None

    def apply(self, plan: Plan) -> None:
        """Watch the servers of this plan. One that was watched before keeps what is known of it.

        First checks are spread over one interval, so that a thousand servers are not asked in one moment. A server whose
        checks were turned off is healthy again; one marked `down` is left alone.
        """
        now = time.monotonic_ns()
        self.outgoing.place = place(plan["edge"]["user"], plan["paths"]["run"])
        wanted = [
            (upstream, server, slot)
            for upstream in plan["upstreams"].values()
            for server in upstream["servers"]
            for slot in server["slots"]
        ]
        before, self.watches = self.watches, {}
        for number, (upstream, server, slot) in enumerate(wanted):
            health = upstream["health"]
            if health is None or server["down"]:
                self._absolve(slot)
                continue
            watch = before.get(slot)
            if watch is not None and watch.key == (upstream["name"], server["id"]):
                del before[slot]
                watch.update(upstream, health, server)
            else:
                due = now + int(health["interval"] * 1e9 * number / len(wanted))
                watch = Watch(self.board, upstream, health, server, slot, due)
            self.watches[slot] = watch
        for watch in before.values():
            watch.forget()
        self._introduce()
        if self._timer is None:
            self._sweep()

    def stop(self) -> None:
        """Begin no check any more and cancel those under way."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for watch in self.watches.values():
            watch.forget()

    def _introduce(self) -> None:
        """Tell each watch who else can answer for its upstream."""
        groups: dict[str, list[Watch]] = {}
        for watch in self.watches.values():
            groups.setdefault(watch.key[0], []).append(watch)
        for group in groups.values():
            for watch in group:
                watch.peers = [other for other in group if other is not watch]

    def _absolve(self, slot: int) -> None:
        cell = self.board.slot(slot) + HEALTH
        if self.board.cells[cell] != HEALTHY:
            self.board.cells[cell] = HEALTHY

    def _sweep(self) -> None:
        now = time.monotonic_ns()
        earliest = now + int(LONGEST * 1e9)
        try:
            for watch in self.watches.values():
                if watch.look(now):
                    self._begin(watch, now)
                earliest = min(earliest, watch.due)
        except Exception:
            log.exception("a look at the servers' health failed")
        finally:
            self._timer = self._loop.call_later(max(SHORTEST, (earliest - now) / 1e9), self._sweep)

    def _begin(self, watch: Watch, now: int) -> None:
        def done(check: Check) -> None:
            watch.judge(check, time.monotonic_ns())

        check = Check(self._loop, now, done)
        watch.under_way.append(check)
        if watch.tls is None:
            check.begin(watch.address(), watch.request, watch.health["timeout"])
            return
        tls, server = watch.tls, watch.server
        name = expected_name(tls["server_name"], server["name"], server["host"])
        try:
            context = self.outgoing.context(Files(tls["verify"], tls["ca"], tls["certificate"], tls["key"]), now)
        except (OSError, ValueError) as error:
            check.refuse(error, name)
        else:
            check.begin(watch.address(), watch.request, watch.health["timeout"], (context, name))
