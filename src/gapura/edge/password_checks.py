"""Costly checks of passwords, made in threads beside the loop: few at a time, in turn by client, and a bounded number of them.

A client that tries passwords fills its own queue only; everybody else's check comes after at most one of his for each thread. The
threads are nicer than the loop, so that other requests are answered meanwhile.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Final

THREADS: Final = 2
"""Checks at the same time in one worker."""
NICE: Final = 5
"""By how much the threads yield to the loop (nice(2), per thread on Linux). More would leave logins to a busy machine's whim."""
PER_CLIENT: Final = 8
"""Checks of one client that may be waiting."""
LIMIT: Final = 256
"""Checks of all clients that may be waiting in one worker."""

Job = Callable[[], bool]
Then = Callable[[bool], None]


class Checks:
    """The checks of one worker. Everything but the jobs themselves happens in the loop's thread."""

    __slots__ = ("loop", "waiting", "count", "busy", "threads", "_jobs")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.waiting: OrderedDict[bytes, deque[tuple[Job, Then]]] = OrderedDict()
        self.count = 0
        self.busy = 0
        self.threads: list[threading.Thread] = []
        self._jobs = threading.Semaphore(0), deque[tuple[Job, Then]]()

    def add(self, client: bytes, job: Job, then: Then) -> bool:
        """Have `job` done in a thread and `then` called with its result in the loop. False when too many wait already."""
        mine = self.waiting.get(client)
        if self.count >= LIMIT or (mine is not None and len(mine) >= PER_CLIENT):
            return False
        if mine is None:
            mine = self.waiting[client] = deque()
        mine.append((job, then))
        self.count += 1
        self._start()
        return True

    def _start(self) -> None:
        """Give idle threads something to do: of the client whose turn it is."""
        while self.busy < THREADS and self.waiting:
            client, mine = self.waiting.popitem(last=False)
            task = mine.popleft()
            if mine:
                self.waiting[client] = mine  # behind all others
            self.count -= 1
            self.busy += 1
            if len(self.threads) < self.busy:
                thread = threading.Thread(target=self._work, daemon=True, name="checks")
                self.threads.append(thread)
                thread.start()
            ready, jobs = self._jobs
            jobs.append(task)
            ready.release()

    def _work(self) -> None:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
        ready, jobs = self._jobs
        while True:
            ready.acquire()
            job, then = jobs.popleft()
            try:
                result = job()
            except Exception:  # whatever it is, nobody comes in through it
                result = False
            try:
                self.loop.call_soon_threadsafe(self._done, then, result)
            except RuntimeError:  # the loop is closed
                return

    def _done(self, then: Then, result: bool) -> None:
        self.busy -= 1
        self._start()
        then(result)


_of_loop: dict[int, Checks] = {}


def checks_of(loop: asyncio.AbstractEventLoop) -> Checks:
    """The checks of the worker whose loop this is; made when the first is needed."""
    found = _of_loop.get(id(loop))
    if found is None or found.loop is not loop:
        found = _of_loop[id(loop)] = Checks(loop)
    return found
