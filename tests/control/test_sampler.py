"""One look a second, at full seconds, whatever goes wrong in one of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from gapura.board import Board
from gapura.control.history import History
from gapura.control.names import Names
from gapura.control.sampler import Sampler
from gapura.metrics import Metrics

PLAN: Any = {"sites": [], "upstreams": {}}


class Loop:
    """A loop whose time is set, with one timer."""

    def __init__(self) -> None:
        self.now = 500.0
        self.due = 0.0
        self.callback: Callable[[], None] | None = None
        self.cancelled = False

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, callback: Callable[[], None]) -> Any:
        self.due, self.callback = when, callback
        return self

    def cancel(self) -> None:
        self.cancelled = True

    def run(self, late: float = 0.0) -> None:
        self.now = self.due + late
        assert self.callback
        self.callback()


@pytest.fixture
def sampler() -> Iterator[tuple[Sampler, Loop, History]]:
    loop, metrics, board = Loop(), Metrics.create(), Board.create(1)
    history = History(loop.time, lambda: loop.now)
    one = Sampler(loop, metrics, board, history)  # type: ignore[arg-type]
    yield one, loop, history
    for memory in (metrics, board):
        memory.close()
        os.close(memory.fd)


def test_it_looks_at_full_seconds_and_passes_over_what_it_missed(sampler: tuple[Sampler, Loop, History]) -> None:
    one, loop, history = sampler
    one.names = Names(PLAN)
    one.start()
    one.start()
    assert loop.due == pytest.approx(501, abs=0.1)
    loop.run()
    assert loop.due == pytest.approx(502, abs=0.1)
    loop.run(late=3.5)
    assert loop.due == pytest.approx(506, abs=0.1)
    loop.run()
    assert len(history.read(900)["series"]["at"]) == 6
    one.stop()
    assert loop.cancelled


def test_each_minute_is_a_minute_too(sampler: tuple[Sampler, Loop, History]) -> None:
    one, loop, history = sampler
    one.names = Names(PLAN)
    one.start()
    for _ in range(120):
        loop.run()
    assert len(history.read(86400)["series"]["at"]) == 2


def test_a_look_that_fails_does_not_end_it(sampler: tuple[Sampler, Loop, History], monkeypatch: pytest.MonkeyPatch) -> None:
    one, loop, history = sampler
    one.start()
    loop.run()  # there is no plan yet
    one.names = Names(PLAN)
    monkeypatch.setattr(history, "add", lambda moment: 1 / 0)
    loop.run()
    assert loop.due == pytest.approx(503, abs=0.1)
