"""Requests that wait because no server can answer now but one may soon (`hold`).

First in, first out, bounded; a timer looks every 20 ms while anything waits. When a server appears the queue is let go at a
growing pace: one, two, four … a tick, back to one when a server refuses, so that a fresh copy is not run over by the crowd. Where
requests wait because all servers are full (`queue`), each connection that is given back lets the next one go at once.
"""

from __future__ import annotations

import asyncio
from collections import deque
from time import monotonic_ns
from typing import TYPE_CHECKING, Final, Protocol

from gapura.balance.server import Server
from gapura.balance.upstream import Upstream

if TYPE_CHECKING:
    from gapura.edge.worker import Worker

TICK: Final = 0.02
LIMIT: Final = 1000
"""Requests that may wait in one worker."""
FASTEST: Final = 64
"""Requests let go in one tick at most."""
REFUSED_PAUSE: Final = 50_000_000
"""ns that a queue rests after a server refused a request that had waited."""


class Held(Protocol):
    """Who can be held."""

    upstream: Upstream
    key: bytes
    held_until: int

    def on_server(self, server: Server) -> None: ...
    def on_hold_over(self) -> None: ...


class _Queue:
    __slots__ = ("waiting", "pace", "rests_until", "woken")

    def __init__(self) -> None:
        self.waiting: deque[Held] = deque()
        self.pace = 1
        self.rests_until = 0
        self.woken = False


class Hold:
    """The waiting requests of one worker, a queue for each upstream."""

    __slots__ = ("worker", "count", "_queues", "_timer")

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.count = 0
        self._queues: dict[str, _Queue] = {}
        self._timer: asyncio.TimerHandle | None = None

    def add(self, waiting: Held, again: bool = False) -> bool:
        """Let a request wait until its `held_until`. `again`: it had a server and failed there, so it keeps its place at the head.

        False when too many wait already.
        """
        if self.count >= LIMIT:
            return False
        queue = self._queues.setdefault(waiting.upstream.name, _Queue())
        if again:  # also beyond the length of the upstream's queue: it has been in it
            queue.waiting.appendleft(waiting)
            queue.pace = 1
            queue.rests_until = monotonic_ns() + REFUSED_PAUSE
        else:
            queue.waiting.append(waiting)
        self.count += 1
        if self._timer is None:
            self._timer = self.worker.loop.call_later(TICK, self._tick)
        return True

    def length(self, name: str) -> int:
        """How many wait for an upstream."""
        queue = self._queues.get(name)
        return len(queue.waiting) if queue is not None else 0

    def freed(self, name: str) -> None:
        """A connection to a server of this upstream was given back: look at its queue, once who gave it back is done."""
        queue = self._queues.get(name)
        if queue is not None and not queue.woken:
            queue.woken = True
            self.worker.loop.call_soon(self._wake, name)

    def _wake(self, name: str) -> None:
        queue = self._queues.get(name)
        if queue is not None:
            queue.woken = False
            self._let_go(queue, monotonic_ns(), FASTEST)
            if not queue.waiting:
                self._queues.pop(name, None)

    def remove(self, waiting: Held) -> None:
        """The client is gone."""
        queue = self._queues.get(waiting.upstream.name)
        if queue is not None:
            try:
                queue.waiting.remove(waiting)
            except ValueError:
                return
            self.count -= 1

    def _tick(self) -> None:
        self._timer = None
        now = monotonic_ns()
        for name, queue in list(self._queues.items()):
            self._let_go(queue, now)
            if not queue.waiting:
                del self._queues[name]
        if self.count and self._timer is None:  # who was let go may have begun to wait again, and started it
            self._timer = self.worker.loop.call_later(TICK, self._tick)

    def _let_go(self, queue: _Queue, now: int, most: int = 0) -> None:
        """Give servers to those who wait, `most` of them, or as many as the pace allows."""
        waiting = queue.waiting
        hopeless = bool(waiting) and not waiting[0].upstream.may_return(now)  # stopped or crashed while they waited
        for held in [held for held in waiting if hopeless or held.held_until <= now]:
            waiting.remove(held)
            self.count -= 1
            held.on_hold_over()
        if now < queue.rests_until:
            return
        for _ in range(most or queue.pace):
            if not waiting:
                return
            server = waiting[0].upstream.claim(now, waiting[0].key, ())
            if server is None:
                queue.pace = 1
                return
            self.count -= 1
            waiting.popleft().on_server(server)
        if not most:
            queue.pace = min(FASTEST, queue.pace * 2)
