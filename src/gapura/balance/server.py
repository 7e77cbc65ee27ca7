"""One server of an upstream as one worker sees it: where it is, whether it may be picked, its share of the rotation."""

from __future__ import annotations

import struct

from gapura.balance import facts
from gapura.board import (
    CONNS,
    DOWN_AT,
    ENABLED,
    ERRORS,
    HEALTHY,
    PORT,
    READY,
    RETURNS_AT,
    SINCE,
    STATE,
    Board,
)
from gapura.config.plan import ServerPlan, address, join_address

# STATE, ADMIN, HEALTH and DOWN_AT lie side by side: one call reads them in half the time of four. Each is read by one 8-byte
# load in native mode, so none is torn; that the four are not of one instant is no worse than four reads.
_read_facts = struct.Struct("@4Q").unpack_from
_USUAL = (READY, ENABLED, HEALTHY, 0)

_WHY_NOT = {
    "up": "",
    "starting": "it is starting",
    "stopping": "it is stopping",
    "crashed": "it crashed too often and was given up",
    "stopped": "it is stopped",
    "draining": "it is draining",
    "disabled": "it was disabled by a command",
    "unhealthy": "it does not answer health checks",
    "down": "the configuration marks it as down",
    "free": "it is not running",
}


class Server:
    """An address with its slot on the board; an instance of an app has two slots, used in turn.

    `slot` is the offset of the slot found eligible last: read it right after `Upstream.claim`. `current` and `effective`
    are nginx's current_weight and effective_weight and belong to this worker alone. Raises ValueError for a server without
    slots.
    """

    __slots__ = (
        # what the configuration says
        "plan",
        "id",
        "id_bytes",
        "host",
        "port",
        "path",
        "weight",
        "max_fails",
        "fail_timeout_ns",
        "max_conns",
        "slow_start_ns",
        "backup",
        "down",
        "index",
        # where it is on the board
        "board",
        "cells",
        "slots",
        "offsets",
        "slot",
        "_facts_at",
        # the rotation
        "current",
        "effective",
        # the address as text, for the port that it was made for
        "_address",
        "_address_port",
    )

    def __init__(self, plan: ServerPlan, board: Board, index: int = 0) -> None:
        if not plan["slots"]:
            raise ValueError(f"server {plan['id']} has no slot")
        self.plan = plan
        self.id = plan["id"]
        self.id_bytes = plan["id"].encode()
        self.host = plan["host"]
        self.port = plan["port"]
        self.path = plan["path"]
        self.weight = plan["weight"]
        self.max_fails = plan["max_fails"]
        self.fail_timeout_ns = int(plan["fail_timeout"] * facts.NANOSECONDS)
        self.max_conns = plan["max_conns"]
        self.slow_start_ns = int((plan["slow_start"] or 0) * facts.NANOSECONDS)
        self.backup = plan["backup"]
        self.down = plan["down"]
        self.index = index
        self.board = board
        self.cells = board.cells
        self.slots = tuple(plan["slots"])
        self.offsets = tuple(board.slot(number) for number in self.slots)
        self._use(self.offsets[0])
        self.current = 0
        self.effective = self.weight
        self._address = address(plan)
        self._address_port = self.port

    def __repr__(self) -> str:
        return f"<Server {self.id}>"

    def eligible(self, now: int) -> bool:
        """Whether the server may be picked: ready, enabled, healthy, not benched, not down, below `max_conns`.

        Leaves the eligible slot's offset in `slot`.
        """
        if (
            not self.down
            and _read_facts(self.cells, self._facts_at) == _USUAL
            and (not self.max_conns or self.connections() < self.max_conns)
        ):
            return True
        for slot in self.offsets:
            if facts.slot_condition(self.board, slot, self.plan, now) == "up":
                self._use(slot)
                return True
        return False

    def benched(self, now: int) -> bool:
        """Whether the server pauses after failures (nginx: max_fails reached, fail_timeout not over)."""
        return self.condition(now) == "benched"

    def port_now(self) -> int:
        """The TCP port; an instance's stands on the board and changes with each new process. 0 for a UNIX socket."""
        return self.port or int(self.cells[self.slot + PORT])

    @property
    def address(self) -> str:
        """`host:port` or `unix:/path` of the slot claimed last."""
        port = self.port_now()
        if port != self._address_port:
            self._address = join_address(self.host, port)
            self._address_port = port
        return self._address

    def connections(self) -> int:
        """Exchanges and tunnels under way on the current slot, of all workers."""
        return self.board.total(self.slot, CONNS)

    def condition(self, now: int) -> str:
        """One of `facts.CONDITIONS`; "up" means eligible."""
        return facts.best_slot(self.board, self.plan, now)[1]

    def why_not(self, now: int) -> str:
        """In plain words why the server is not eligible; empty when it is."""
        slot, word = facts.best_slot(self.board, self.plan, now)
        if word == "benched":
            left = self.cells[slot + DOWN_AT] + self.fail_timeout_ns - now
            fails = self.board.total(slot, ERRORS)
            return f"it failed ({fails} failures so far) and is tried again in {_seconds(left)}"
        if word == "full":
            return f"it has as many connections as max_conns = {self.max_conns} allows"
        if word == "backoff":
            return f"it ended unexpectedly and is started again in {_seconds(self.cells[slot + RETURNS_AT] - now)}"
        return _WHY_NOT[word]

    def may_return(self, now: int, hold_ns: int) -> bool:
        """Whether the server can answer now or may within `hold_ns`, without anybody's command."""
        slot, word = facts.best_slot(self.board, self.plan, now)
        if word == "backoff":
            return bool(self.cells[slot + RETURNS_AT] <= now + hold_ns)
        if word in ("draining", "free"):
            # An instance (two slots) that drains is being replaced, and one without a slot in use is about to be launched.
            return len(self.offsets) > 1
        return word in ("up", "full", "starting", "stopping", "benched", "unhealthy")

    def left_at(self, now: int) -> int:
        """When the server stopped being eligible, in ns; 0 when it did not, or when the board does not tell."""
        slot, word = facts.best_slot(self.board, self.plan, now)
        if word == "benched":
            return int(self.cells[slot + DOWN_AT])
        if word in ("starting", "stopping", "backoff", "crashed", "stopped"):
            return int(self.cells[slot + SINCE])
        return 0

    def _use(self, slot: int) -> None:
        self.slot = slot
        self._facts_at = (slot + STATE) * self.cells.itemsize


def _seconds(ns: int) -> str:
    return f"{max(0, ns) / facts.NANOSECONDS:.1f} s"
