"""A named group of servers in one worker: claims a server for an exchange and writes down what became of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

from gapura.balance import facts
from gapura.balance.policies import choose, ramps
from gapura.balance.policy import Policy, Tried
from gapura.balance.ramp import SCALE
from gapura.balance.round_robin import RoundRobin
from gapura.balance.server import Server
from gapura.balance.sticky import Sticky, cookie_values
from gapura.board import (
    COLUMNS,
    CONNS,
    DOWN_AT,
    ERRORS,
    FAILED_AT,
    FAILS,
    FIXED,
    H_USED,
    REFUSED,
    SERVED,
    Board,
)
from gapura.config.plan import ServerPlan, UpstreamPlan

Answers = defaultdict[int, list[tuple[int, int]]]
"""Status and latency (ns) of answers that are not written down yet, by the slots of the servers that gave them."""


class Upstream:
    """The servers of one upstream and its policy, bound to one worker's column of the board.

    `previous` is the same upstream of the snapshot before: servers with the same id keep their place in the rotation. Without
    it the rotation begins `column` picks on, so that workers do not all send their first request to the same server.
    Timeouts are in seconds, `hold_ns` and `queue_ns` in ns. `tries` counts the first attempt and is at least 1.
    """

    __slots__ = (
        # what the configuration says
        "plan",
        "name",
        "app",
        "hold_ns",
        "connect_timeout",
        "read_timeout",
        "send_timeout",
        "tries",
        "queue",
        "queue_ns",
        "keepalive",
        "keepalive_timeout",
        # the servers
        "servers",
        "policy",
        "backups",
        "cookies",
        # the board, and where this worker's cells lie in a slot
        "board",
        "cells",
        "column",
        "_conns",
        "_fails",
        "_failed_at",
        "_served",
        "_errors",
        "_answers",
    )

    def __init__(
        self, plan: UpstreamPlan, board: Board, column: int, previous: Upstream | None = None, answers: Answers | None = None
    ) -> None:
        self.plan = plan
        self.name = plan["name"]
        self.app = plan["app"]
        self.hold_ns = int(plan["hold"] * facts.NANOSECONDS)
        self.queue = plan["queue"]
        self.queue_ns = int((plan["queue_timeout"] or 0) * facts.NANOSECONDS)
        self.connect_timeout = plan["connect_timeout"]
        self.read_timeout = plan["read_timeout"]
        self.send_timeout = plan["send_timeout"]
        self.keepalive = plan["keepalive"]
        self.keepalive_timeout = plan["keepalive_timeout"]
        self.servers = [Server(server, board, index) for index, server in enumerate(_counted(plan["servers"]))]
        usable = max(1, sum(not server.down for server in self.servers))
        self.tries = min(plan["tries"], usable) if plan["tries"] else usable
        primaries = [server for server in self.servers if not server.backup]
        backups = [server for server in self.servers if server.backup]
        sticky = plan["sticky"]
        self.cookies = cookie_values(self.name, self.servers, sticky["secret"]) if sticky else None
        """Of a sticky upstream: what the cookie says for each server id. Such a cookie is the key of `claim`."""
        self.policy = self._choose(primaries)
        self.backups = self._choose(backups) if backups else None
        self.board = board
        self.cells = board.cells
        self.column = column
        self._conns, self._fails, self._failed_at, self._served, self._errors = (
            FIXED + cell * COLUMNS + column for cell in (CONNS, FAILS, FAILED_AT, SERVED, ERRORS)
        )
        self._answers = answers
        for tier in (primaries, backups):
            _place(tier, column, previous)

    def _choose(self, tier: list[Server]) -> Policy:
        policy = choose(self.plan, tier)
        return policy if self.cookies is None else Sticky(self.cookies, tier, policy)

    def claim(self, now: int, key: bytes = b"", tried: Tried = None) -> Server | None:
        """The next eligible server that is not in `tried`, counted as busy from now on; None when there is none.

        Primaries come first, then backups. `key` is the client's packed address for ip_hash, the key for hash, the cookie of a
        sticky upstream. Keep
        `server.slot` at once: `release`, `answered` and `failed` want the slot that was claimed. Claiming a server whose
        pause after failures is over makes this request its probe: the others skip it for another `fail_timeout`, or until the
        probe is answered (nginx: picking a peer moves `checked`).
        """
        server = self.policy.pick(now, key, tried)
        if server is None:
            if self.backups is None:
                return None
            server = self.backups.pick(now, key, tried)
            if server is None:
                return None
        cells = self.cells
        slot = server.slot
        cells[slot + self._conns] += 1
        mark = cells[slot + DOWN_AT]
        if mark and mark > facts.up_at(self.board, slot):
            cells[slot + DOWN_AT] = now & ~REFUSED | mark & REFUSED
        return server

    def release(self, server: Server, slot: int) -> None:
        """The exchange or tunnel that claimed `slot` is over. Never goes below 0, also when the column was cleared."""
        cells = self.cells
        at = slot + self._conns
        connections = cells[at]
        if connections:
            cells[at] = connections - 1

    def answered(self, server: Server, slot: int, opened_at: int, now: int, latency_ns: int, status: int = 200) -> None:
        """A response head arrived, `latency_ns` after the request was sent. Any answer counts, whenever its connection was opened.

        Status and latency are only noted here: whoever gave the list of answers writes them down, all at once.

        Failures of this worker are forgotten by an answer after their window, not by one inside it (nginx).
        """
        cells = self.cells
        cells[slot + self._served] += 1
        if self._answers is not None:
            self._answers[slot].append((status, latency_ns))
        if cells[slot + self._fails] and now - cells[slot + self._failed_at] > server.fail_timeout_ns:
            cells[slot + self._fails] = 0
        if cells[slot + DOWN_AT]:
            self._unmark(slot)

    def failed(self, server: Server, slot: int, opened_at: int, now: int, refused: bool) -> None:
        """The attempt failed before a response head. `opened_at`: when its connection was opened (or tried), in ns.

        `refused` means that no connection came about. A failure of a connection that is older than the server's last proof of
        life says nothing about the server, so it is only counted in ERRORS.
        """
        cells = self.cells
        cells[slot + self._errors] += 1
        up_at = facts.up_at(self.board, slot)
        if not server.max_fails or opened_at < up_at:
            return
        at = slot + self._fails
        cells[at] = cells[at] + 1 if cells[slot + self._failed_at] > up_at else 1
        cells[slot + self._failed_at] = now
        server.effective = max(0, server.effective - server.weight // server.max_fails)
        # One more failure of a server that is marked already, be it the probe, renews the pause.
        if cells[slot + DOWN_AT] > up_at or self._failures(slot, max(up_at, now - server.fail_timeout_ns - 1)) >= server.max_fails:
            cells[slot + DOWN_AT] = now & ~REFUSED | (REFUSED if refused else 0)

    def may_return(self, now: int) -> bool:
        """Whether waiting makes sense: some server can answer, or may within `hold` without anybody's command.

        True for an instance that starts, is replaced, or is in back-off that ends in time, and for any server that is benched,
        unhealthy or full; False when all are stopped, crashed, down or disabled.
        """
        return any(server.may_return(now, self.hold_ns) for server in self.servers)

    def reason(self, now: int) -> str:
        """The condition (`facts.CONDITIONS`) of the most hopeful server, "up" when one is eligible; "unresolved" without any."""
        conditions = [server.condition(now) for server in self.servers]
        return min(conditions, key=facts.CONDITIONS.index) if conditions else "unresolved"

    def since(self, now: int) -> int:
        """For how long no server could answer, in ns; 0 when one can or when the board does not tell."""
        left = [server.left_at(now) for server in self.servers]
        return max(0, now - max(left)) if any(left) and self.reason(now) != "up" else 0

    def total(self, server: Server, cell: int) -> int:
        """Sum of a per-worker cell over all workers and both slots of a server."""
        return sum(self.board.total(slot, cell) for slot in server.offsets)

    def _failures(self, slot: int, after: int) -> int:
        """Failures of all workers whose last one came after `after`."""
        cells = self.cells
        fails = slot + FIXED + FAILS * COLUMNS
        failed_at = slot + FIXED + FAILED_AT * COLUMNS
        return sum(cells[fails + column] for column in range(cells[H_USED]) if cells[failed_at + column] > after)

    def _unmark(self, slot: int) -> None:
        """An answer arrived from a server marked as failing: the mark goes if it is void, or if this may be the probe.

        nginx: success counts when accessed < checked, that is when the peer was picked again after its last failure. The mark
        is `checked`, the latest FAILED_AT of all workers is `accessed`.
        """
        cells = self.cells
        mark = cells[slot + DOWN_AT]
        start = slot + FIXED + FAILED_AT * COLUMNS
        last = max(cells[start : start + cells[H_USED]], default=0)
        if mark <= facts.up_at(self.board, slot) or last | REFUSED < mark | REFUSED:
            cells[slot + DOWN_AT] = 0


class QueuedUpstream(Upstream):
    """An upstream whose requests queue when all servers are full: `freed` is told whenever a connection is given back."""

    __slots__ = ("freed",)

    def __init__(
        self, plan: UpstreamPlan, board: Board, column: int, previous: Upstream | None = None, answers: Answers | None = None
    ) -> None:
        super().__init__(plan, board, column, previous, answers)
        self.freed: Callable[[str], None] | None = None

    def release(self, server: Server, slot: int) -> None:
        super().release(server, slot)
        if self.freed is not None:
            self.freed(self.name)


def upstream_of(
    plan: UpstreamPlan, board: Board, column: int, previous: Upstream | None = None, answers: Answers | None = None
) -> Upstream:
    """The upstream that a plan asks for."""
    return (Upstream if plan["queue"] is None else QueuedUpstream)(plan, board, column, previous, answers)


def _counted(servers: list[ServerPlan]) -> list[ServerPlan]:
    """nginx ignores max_fails and fail_timeout of a single server: there is no other to go to."""
    if len(servers) != 1:
        return servers
    single = servers[0].copy()
    single["max_fails"] = 0
    return [single]


def _place(tier: list[Server], column: int, previous: Upstream | None) -> None:
    """Where the rotation of a tier begins.

    What is carried over is cut to what the new weights can bring about, or one server would get a long row of requests after
    large weights became small. A penalty for failures stays.
    """
    scale = SCALE if ramps(tier) else 1
    if previous is None:
        RoundRobin(tier).advance(column)
        for server in tier:
            server.current *= scale
        return
    before = {server.id: server for server in previous.servers}
    limit = sum(server.weight for server in tier) * scale
    for server in tier:
        old = before.get(server.id)
        if old is not None:
            server.current = max(-limit, min(limit, old.current))
            server.effective = max(0, server.weight - (old.weight - old.effective))
