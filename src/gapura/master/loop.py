"""The master's event loop: descriptors, timers, signals that only enqueue, and tasks.

A *task* is a generator that yields what it waits for. So a sequence of steps over time (drain, signal, wait, kill) reads from
top to bottom, can be dropped at any point by `Task.cancel()`, and needs neither asyncio nor threads.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import os
import selectors
import signal
import time
from collections.abc import Callable, Generator, Iterator
from typing import Any, NamedTuple, TypeVar

log = logging.getLogger(__name__)
T = TypeVar("T")

READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE
POLL = 0.02
"""How often (s) a condition is looked at that no event announces, such as counters on the board."""

SLICE = 0.05
"""Seconds after which tasks that have much to do, such as to start a hundred programs, let descriptors and timers have a turn."""


class Wait(NamedTuple):
    """What a task waits for: a condition, at most until `deadline` (time.monotonic)."""

    condition: Callable[[], bool]
    deadline: float
    poll: bool


Steps = Generator[Wait, bool, T]


def until(condition: Callable[[], bool], seconds: float, poll: bool = False) -> Steps[bool]:
    """Wait for a condition; False when `seconds` went by without it. `poll`: look every 20 ms, not only after events."""
    return (yield Wait(condition, time.monotonic() + seconds, poll))


def pause(seconds: float) -> Steps[None]:
    """Wait without a condition."""
    yield Wait(lambda: False, time.monotonic() + seconds, False)


class Task:
    """A generator under way. `result` or `error` is set when it is `done`."""

    __slots__ = ("cancelled", "done", "error", "name", "result", "_begun", "_steps", "_then", "_wait")

    def __init__(self, name: str, steps: Steps[Any], then: Callable[[Task], None] | None) -> None:
        self.name = name
        self.done = False
        self.cancelled = False
        self.result: Any = None
        self.error: Exception | None = None
        self._steps = steps
        self._then = then
        self._wait = Wait(lambda: True, 0.0, False)
        self._begun = False

    @property
    def deadline(self) -> float:
        return self._wait.deadline

    @property
    def polls(self) -> bool:
        return self._wait.poll

    def advance(self, now: float) -> bool:
        """Go on as far as the conditions allow; True when it got anywhere. An exception ends this task only."""
        moved = False
        try:
            while not self.done:
                held = self._wait.condition()
                if not held and now < self._wait.deadline:
                    return moved
                moved = True
                if self._begun:
                    self._wait = self._steps.send(held)
                else:
                    self._begun = True
                    self._wait = next(self._steps)
        except StopIteration as stop:
            self.result = stop.value
            self._finish()
        except Exception as error:
            self.error = error
            if self._then is None:
                log.exception("%s failed", self.name)
            self._finish()
        return moved

    def cancel(self) -> None:
        """Drop the task where it stands (its `finally` blocks run). Never from within itself."""
        if not self.done:
            self.done = self.cancelled = True
            self._steps.close()

    def _finish(self) -> None:
        self.done = True
        if self._then is not None:
            try:
                self._then(self)
            except Exception:
                log.exception("what follows %s failed", self.name)


class Timer:
    """One call at a time; `cancel()` takes it back."""

    __slots__ = ("at", "call")

    def __init__(self, at: float, call: Callable[[], None]) -> None:
        self.at = at
        self.call: Callable[[], None] | None = call

    def cancel(self) -> None:
        self.call = None


class Loop:
    """Waits for descriptors, timers, signals and tasks. A failing callback is logged and does not end the loop."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._timers: list[tuple[float, int, Timer]] = []
        self._order: Iterator[int] = itertools.count()
        self._tasks: list[Task] = []
        self._signals: dict[int, Callable[[], None]] = {}
        self._running = False
        self._behind = False
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self.watch(self._wake_read, READ, self._drain_signals)

    def watch(self, fd: int, events: int, callback: Callable[[], None]) -> None:
        """Call `callback` when the descriptor is ready; a second call replaces the first."""
        if fd in self._selector.get_map():
            self._selector.modify(fd, events, callback)
        else:
            self._selector.register(fd, events, callback)

    def forget(self, fd: int) -> None:
        """Watch a descriptor no longer (before it is closed)."""
        if fd in self._selector.get_map():
            self._selector.unregister(fd)

    def after(self, seconds: float, call: Callable[[], None]) -> Timer:
        """Call once, `seconds` from now."""
        timer = Timer(time.monotonic() + seconds, call)
        heapq.heappush(self._timers, (timer.at, next(self._order), timer))
        return timer

    def every(self, seconds: float, call: Callable[[], None]) -> None:
        """Call again and again, for the life of the loop."""

        def again() -> None:
            self.after(seconds, again)
            call()

        self.after(seconds, again)

    def start(self, name: str, steps: Steps[Any], then: Callable[[Task], None] | None = None) -> Task:
        """Begin a task; `then` is called with it when it is done (not when it was cancelled)."""
        task = Task(name, steps, then)
        self._tasks.append(task)
        return task

    def on_signal(self, number: signal.Signals, callback: Callable[[], None]) -> None:
        """Call from the loop, never from the handler; also for a signal that comes before the loop runs."""
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        self._signals[number] = callback
        signal.signal(number, lambda *_: None)

    def run(self) -> None:
        """Run until `stop`."""
        self._running = True
        while self._running:
            self.turn(self._timeout())

    def turn(self, timeout: float) -> None:
        """One round: descriptors, timers, tasks."""
        for key, _ in self._selector.select(timeout):
            # An earlier callback of this round may have forgotten the descriptor.
            if self._selector.get_map().get(key.fd) is key:
                self._call(key.data)
        now = time.monotonic()
        while self._timers and self._timers[0][0] <= now:
            timer = heapq.heappop(self._timers)[2]
            if timer.call is not None:
                self._call(timer.call)
        self._advance_tasks()

    def _advance_tasks(self) -> None:
        """Go on with all tasks until none gets anywhere: one may be what another waits for. After `SLICE` the rest has to wait."""
        end = time.monotonic() + SLICE
        moved, self._behind = True, False
        while moved and not self._behind:
            moved = False
            for place, task in enumerate(self._tasks[:], 1):
                now = time.monotonic()
                if now > end:
                    self._behind = True
                    self._tasks = self._tasks[place - 1 :] + self._tasks[: place - 1]
                    break
                moved |= not task.done and task.advance(now)
            self._tasks = [task for task in self._tasks if not task.done]

    def stop(self) -> None:
        self._running = False

    def close(self) -> None:
        if self._signals:
            signal.set_wakeup_fd(-1)
        for fd in (self._wake_read, self._wake_write):
            self.forget(fd)
            os.close(fd)
        self._selector.close()

    def _timeout(self) -> float:
        if self._behind:
            return 0.0
        soonest = [task.deadline for task in self._tasks]
        while self._timers and self._timers[0][2].call is None:
            heapq.heappop(self._timers)
        if self._timers:
            soonest.append(self._timers[0][0])
        wait = max(0.0, min(soonest) - time.monotonic()) if soonest else 1.0
        return min(wait, POLL) if any(task.polls for task in self._tasks) else min(wait, 1.0)

    def _drain_signals(self) -> None:
        try:
            numbers = os.read(self._wake_read, 512)
        except BlockingIOError:
            return
        for number in dict.fromkeys(numbers):
            if number in self._signals:
                self._call(self._signals[number])

    def _call(self, callback: Callable[[], None]) -> None:
        try:
            callback()
        except Exception:
            log.exception("a handler failed; the master goes on")
