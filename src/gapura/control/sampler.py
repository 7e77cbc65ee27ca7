"""The one thing that is computed while nobody looks: the figures of each second and each minute, for the history."""

from __future__ import annotations

import asyncio
import logging
import math

from gapura.board import Board
from gapura.control.history import History, Moment
from gapura.control.meter import Meter
from gapura.control.names import Names
from gapura.metrics import Metrics

MINUTE = 60
_AFTER = 0.02
"""Seconds behind the full one: workers have written down by then what they counted in it, most of the time."""

log = logging.getLogger(__name__)


class Sampler:
    """Looks once a second from `start` to `stop`. `last` is the moment that was measured last; `names` are set at each commit."""

    def __init__(self, loop: asyncio.AbstractEventLoop, metrics: Metrics, board: Board, history: History) -> None:
        self.names: Names | None = None
        self.last: Moment | None = None
        self._loop = loop
        self._history = history
        self._second = Meter(metrics, board)
        self._minute = Meter(metrics, board)
        self._timer: asyncio.TimerHandle | None = None
        self._origin = loop.time()
        self._ticks = 0

    def start(self) -> None:
        """Look once a second from now on."""
        if self._timer is None:
            self._wait()

    def stop(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wait(self) -> None:
        """Until the next full second after the start; those that were missed are passed over."""
        self._ticks = max(self._ticks + 1, math.ceil(self._loop.time() - self._origin))
        self._timer = self._loop.call_at(self._origin + self._ticks + _AFTER, self._look)

    def _look(self) -> None:
        try:
            if self.names is not None:
                self.last = self._second.take(self.names)
                self._history.add(self.last)
                if self._ticks % MINUTE == 0:
                    self._history.add_minute(self._minute.take(self.names))
        except Exception:
            log.exception("the figures of a second could not be taken")
        finally:
            self._wait()
