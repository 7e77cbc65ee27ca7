"""Changing single servers without the file: each change is a generation of its own, through the one door."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from gapura import board
from gapura.config import overrides
from gapura.config.overrides import AddedServer, Overrides
from gapura.config.plan import Plan, ServerPlan
from gapura.errors import CommandError
from gapura.master.loader import ask
from gapura.master.loop import Steps, until
from gapura.master.reload import Door
from gapura.master.slots import Quiet

WORDS: Final = ("address", "weight", "backup", "max_fails", "fail_timeout", "max_conns")
"""What may be said of a server that is added."""
Change = Callable[[Plan, Overrides], Overrides]


class Servers:
    """Adds, removes and weighs servers of the door's upstreams. `argv` (tests) stands for the config process."""

    def __init__(self, door: Door, argv: list[str] | None = None) -> None:
        self._door = door
        self._argv = argv
        self._leaving: set[tuple[str, str]] = set()

    def add(self, name: str, words: dict[str, Any], generation: int | None) -> Steps[list[str]]:
        """One more server, checked by the rules of the file. Raises `ConfigError`, `CommandError`."""
        written = self._written()
        overrides.upstream_of(written, name)
        job = {"plan": written, "upstream": name, "server": words}
        answer = yield from ask(self._door.loop, "server", written["file"], self._argv, job)
        server: AddedServer = answer["server"]
        said = yield from self._change(lambda plan, held: overrides.add(plan, held, name, server), generation)
        return [*said, *(f"{item['message']}: {item['hint']}" for item in answer.get("warnings", ()))]

    def weigh(self, name: str, label: str, weight: int, generation: int | None) -> Steps[list[str]]:
        """Another share for a server."""
        return (yield from self._change(lambda plan, held: overrides.weigh(plan, held, name, label, weight), generation))

    def reset(self, name: str, label: str, force: bool, generation: int | None) -> Steps[list[str]]:
        """Forget what was said of a server, or with "" of all of an upstream."""
        return (yield from self._change(lambda plan, held: overrides.reset(plan, held, name, label, force), generation))

    def remove(self, name: str, label: str, force: bool, generation: int | None) -> Steps[list[str]]:
        """One server less: it is drained before (`drain`), and its slots are nobody's then."""
        slots = [slot for server in self._running(name, label) for slot in server["slots"]]
        said = yield from self._change(lambda plan, held: overrides.remove(plan, held, name, label, force), generation)
        self._administer(slots, board.ENABLED)  # it has left; whoever adds it again does not want it drained
        return said

    @contextmanager
    def leaving(self, name: str, label: str) -> Iterator[None]:
        """While a server is being removed. Raises `CommandError` when somebody else is about it."""
        if (name, label) in self._leaving:
            raise CommandError(f"{label} of {name} is being removed already", "`gapura status` shows when it has left.")
        self._leaving.add((name, label))
        try:
            yield
        finally:
            self._leaving.discard((name, label))

    def drain(self, name: str, label: str, force: bool, generation: int | None, seconds: float | None) -> Steps[dict[int, int]]:
        """Send a server that is to leave nothing new, and wait until it has ended what it has, at most so long (s; None: as
        `timeouts.drain` says); what is under way then goes on all the same. What stood in its slots before, for `restore`.

        Raises `CommandError` when it may not leave, before anything is changed.
        """
        door = self._door
        door.expect(generation)
        overrides.remove(self._written(), door.overrides.said, name, label, force)
        slots = [slot for server in self._running(name, label) for slot in server["slots"]]
        before = {slot: door.board.cells[door.board.slot(slot) + board.ADMIN] for slot in slots}
        self._administer(slots, board.DRAINING)
        quiet = Quiet(door.board, slots, door.children.columns)
        limit = door.running["edge"]["timeouts"]["drain"] if seconds is None else seconds
        yield from until(quiet, min(limit, 3600.0) if math.isfinite(limit) else 3600.0)
        return before

    def restore(self, name: str, label: str, before: dict[int, int]) -> None:
        """A removal came to nothing: the server is used as it was, if it is still there."""
        kept = {slot for server in self._running(name, label) for slot in server["slots"]}
        for slot in kept & before.keys():
            self._administer([slot], before[slot])

    def _change(self, change: Change, generation: int | None) -> Steps[list[str]]:
        """Apply what was said of single servers; the door keeps it once it serves."""
        door, written = self._door, self._written()
        door.expect(generation)
        return (yield from door.take(written, change(written, door.overrides.said)))

    def _written(self) -> Plan:
        self._door.running  # noqa: B018 - raises while Gapura is still starting
        assert self._door.written is not None
        return self._door.written

    def _running(self, name: str, label: str) -> list[ServerPlan]:
        """The servers of the running plan that a label stands for: several of a DNS name."""
        upstream = self._door.running["upstreams"].get(name)
        return [server for server in upstream["servers"] if overrides.label_of(server) == label] if upstream else []

    def _administer(self, slots: list[int], value: int) -> None:
        for slot in slots:
            self._door.board.cells[self._door.board.slot(slot) + board.ADMIN] = value
