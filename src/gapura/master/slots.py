"""Slots of the board: which server owns which, over reloads, restarts of the master and versions.

A server is known by `board.id_hash(upstream, id)`, which stands in the slot itself: so the board alone says who owns what. An
instance has two slots, used in turn; every other server has one. A slot is free when nobody owns it (ID is 0); the STATE "free"
alone says only that no process is in it. A slot is freed when nobody uses it any more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from gapura import board as b
from gapura.board import Board
from gapura.config.plan import Plan
from gapura.errors import CommandError


class Quiet:
    """True once no exchange can be under way on some slots: a condition for `loop.until`.

    A worker may have picked a server just before it left; so the sum counts only after every live worker has gone round its
    loop since, which two advances of its heartbeat prove.
    """

    def __init__(self, board: Board, slots: Iterable[int], columns: Callable[[], Iterable[int]]) -> None:
        self._board = board
        self._offsets = [board.slot(slot) for slot in slots]
        self._columns = columns
        self._beats = {column: (self._beat(column), 0) for column in columns()}

    def __call__(self) -> bool:
        live = set(self._columns())
        for column, (beat, advances) in list(self._beats.items()):
            seen = self._beat(column)
            if column not in live:
                del self._beats[column]
            elif seen != beat:
                self._beats[column] = (seen, advances + 1)
        if any(advances < 2 for _, advances in self._beats.values()):
            return False
        return not any(self._board.total(offset, b.CONNS) for offset in self._offsets)

    def _beat(self, column: int) -> int:
        return self._board.cells[self._board.process(b.WORKER_ROW + column) + b.P_BEAT]


class Slots:
    """Gives slots to the servers of plans and takes them back."""

    def __init__(self, board: Board, columns: Callable[[], Iterable[int]], inherited: bool = False) -> None:
        """`inherited`: the board is an earlier master's. (A fresh one is not read, which would make all of its pages real.)"""
        self.board = board
        self._columns = columns
        self.freed: Callable[[int], None] = lambda slot: None
        """Told of each slot that may go to another server."""
        self._owned: dict[int, list[int]] = {}
        self._leaving: dict[int, Quiet] = {}
        for index in range(b.SLOTS if inherited else 0):
            if owner := board.cells[board.slot(index) + b.ID]:
                self._owned.setdefault(owner, []).append(index)

    def give(self, plan: Plan, now: int) -> list[int]:
        """Write slots into the plan's servers; returns those that were taken for it.

        If the plan is not committed they are to be given back, and `settle` called with the plan that stays. `now` is
        CLOCK_MONOTONIC in ns. Raises `CommandError` when the board is full.
        """
        fresh: list[int] = []
        for upstream in plan["upstreams"].values():
            for server in upstream["servers"]:
                key = b.id_hash(upstream["name"], server["id"])
                owned = self._owned.setdefault(key, [])
                while len(owned) < (2 if upstream["app"] else 1):
                    try:
                        slot = self._take(key, b.FREE if upstream["app"] else b.READY, now)
                    except CommandError:
                        self.give_back(fresh)
                        raise
                    owned.append(slot)
                    fresh.append(slot)
                for slot in owned:
                    self._leaving.pop(slot, None)  # or it could be freed before the commit
                server["slots"] = owned[: 2 if upstream["app"] else 1]
        return fresh

    def give_back(self, slots: Iterable[int]) -> None:
        """Free slots that no committed snapshot has seen."""
        for slot in slots:
            self._free(slot)

    def settle(self, plan: Plan, now: int) -> None:
        """After a commit: slots of servers that are in the plan no longer leave, and are freed when nobody uses them."""
        wanted = {slot for upstream in plan["upstreams"].values() for server in upstream["servers"] for slot in server["slots"]}
        cells = self.board.cells
        foreign = {
            slot
            for upstream in plan["upstreams"].values()
            if not upstream["app"]
            for server in upstream["servers"]
            for slot in server["slots"]
        }
        for slot in foreign:
            offset = self.board.slot(slot)
            if cells[offset + b.STATE] != b.READY:  # it left in an earlier reload and comes back
                cells[offset + b.READY_AT] = cells[offset + b.SINCE] = now
                cells[offset + b.STATE] = b.READY
        for owned in self._owned.values():
            for slot in owned:
                if slot in wanted:
                    self._leaving.pop(slot, None)
                elif slot not in self._leaving:
                    offset = self.board.slot(slot)
                    cells[offset + b.SINCE] = now
                    cells[offset + b.STATE] = b.STOPPING
                    self._leaving[slot] = Quiet(self.board, [slot], self._columns)

    def sweep(self, busy: set[int]) -> None:
        """Free the leaving slots that nobody uses any more; called now and then. `busy`: slots of running instances."""
        for slot, quiet in list(self._leaving.items()):
            if slot not in busy and quiet():
                del self._leaving[slot]
                self._free(slot)

    def clear_column(self, column: int) -> None:
        """Forget what a dead worker wrote: on the slots that have an owner, whatever their state."""
        for owned in self._owned.values():
            for slot in owned:
                for cell in (b.CONNS, b.FAILS, b.FAILED_AT):
                    self.board.cells[self.board.column(self.board.slot(slot), cell, column)] = 0

    def _take(self, key: int, state: int, now: int) -> int:
        cells = self.board.cells
        for index in range(b.SLOTS):
            offset = self.board.slot(index)
            if not cells[offset + b.ID]:
                cells[offset + b.ID] = key
                cells[offset + b.READY_AT] = cells[offset + b.SINCE] = now
                cells[offset + b.STATE] = state
                return index
        raise CommandError(f"more than {b.SLOTS} servers", "Split the configuration over several machines or upstreams.")

    def _free(self, slot: int) -> None:
        key = self.board.cells[self.board.slot(slot) + b.ID]
        owned = self._owned.get(key, [])
        if slot in owned:
            owned.remove(slot)
        if not owned:
            self._owned.pop(key, None)
        self.board.clear_slot(slot)
        self.freed(slot)
