"""What the board says of one server: its condition, its place among the six states of `status`, its counters.

Needs only the plan's server and the board, so the master and control ask it without building an `Upstream`.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from gapura.board import (
    ADMIN,
    CONNS,
    DOWN_AT,
    DRAINING,
    ENABLED,
    ERRORS,
    HEALTH,
    HEALTHY,
    HIT_AT,
    READY,
    READY_AT,
    SERVED,
    SINCE,
    STATE,
    STATES,
    Board,
)
from gapura.config.plan import ServerPlan

NANOSECONDS: Final = 1_000_000_000

CONDITIONS: Final = (
    "up",
    "full",
    "starting",
    "stopping",
    "backoff",
    "benched",
    "unhealthy",
    "draining",
    "crashed",
    "stopped",
    "disabled",
    "free",
    "down",
)
"""Everything that a server can be, the most hopeful first."""

_SERVER_STATES: Final = {
    "up": "up",
    "full": "up",
    "benched": "benched",
    "unhealthy": "unhealthy",
    "draining": "draining",
    "disabled": "disabled",
}


class Counters(NamedTuple):
    """Sums over all workers and both slots of a server."""

    active: int  # exchanges and tunnels under way
    requests: int  # answers received
    fails: int  # failures in all


def up_at(board: Board, slot: int) -> int:
    """Since when the slot's server is known to answer, in ns: earlier failures say nothing of it."""
    return max(board.cells[slot + READY_AT], board.cells[slot + HIT_AT])


def benched(board: Board, slot: int, fail_timeout_ns: int, now: int) -> bool:
    """Whether max_fails was reached less than `fail_timeout` ago and nothing proved the server alive since."""
    mark: int = board.cells[slot + DOWN_AT]
    return mark > up_at(board, slot) and now < mark + fail_timeout_ns


def slot_condition(board: Board, slot: int, server: ServerPlan, now: int) -> str:
    """One of `CONDITIONS` for one slot of a server; "up" means eligible."""
    cells = board.cells
    if server["down"]:
        return "down"
    state = cells[slot + STATE]
    if state != READY:
        return STATES[state]
    admin = cells[slot + ADMIN]
    if admin != ENABLED:
        return "draining" if admin == DRAINING else "disabled"
    if cells[slot + HEALTH] != HEALTHY:
        return "unhealthy"
    if server["max_fails"] and benched(board, slot, int(server["fail_timeout"] * NANOSECONDS), now):
        return "benched"
    if server["max_conns"] and board.total(slot, CONNS) >= server["max_conns"]:
        return "full"
    return "up"


def best_slot(board: Board, server: ServerPlan, now: int) -> tuple[int, str]:
    """Offset and condition of the slot that tells how a server is.

    Of an instance's two slots that is the more hopeful one, of equals the one that changed last. Raises ValueError for a
    server without slots.
    """
    slots = [board.slot(index) for index in server["slots"]]
    found = [(slot, slot_condition(board, slot, server, now)) for slot in slots]
    return min(found, key=lambda item: (CONDITIONS.index(item[1]), -board.cells[item[0] + SINCE]))


def condition(board: Board, server: ServerPlan, now: int) -> str:
    """One of `CONDITIONS` for a server of the plan; "up" means eligible, "free" that it has no slot in use."""
    return best_slot(board, server, now)[1] if server["slots"] else "free"


def server_state(board: Board, server: ServerPlan, now: int) -> str:
    """The state shown by `gapura status`: one of up, down, benched, unhealthy, draining, disabled.

    An instance that is not ready is "down"; a server at its `max_conns` is "up".
    """
    return _SERVER_STATES.get(condition(board, server, now), "down")


def counters(board: Board, server: ServerPlan) -> Counters:
    """What the workers counted for a server."""
    offsets = [board.slot(index) for index in server["slots"]]
    active, requests, fails = (sum(board.total(slot, cell) for slot in offsets) for cell in (CONNS, SERVED, ERRORS))
    return Counters(active, requests, fails)
