"""What happened between two looks at the counters."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from typing import Any

import pytest

from gapura import metrics as m
from gapura.board import ERRORS, H_USED, Board
from gapura.config.plan_admin import UPSTREAM
from gapura.control.history import Figures
from gapura.control.meter import Meter, _times
from gapura.control.names import Names
from gapura.metrics import Metrics


def plan() -> Any:
    return {
        "sites": [
            {"hosts": ["a.test"], "row": 1, "routes": [route(2, "u"), route(3, "u")]},
            {"hosts": ["b.test"], "row": 4, "routes": [route(5, "u")]},
            {"hosts": ["gapura.localhost"], "row": 6, "routes": [route(7, UPSTREAM)]},
        ],
        "upstreams": {"u": {"name": "u", "app": True, "servers": [{"id": "u:0", "slots": [0, 1]}, {"id": "u:1", "slots": [2, 3]}]}},
    }


def route(row: int, upstream: str) -> dict[str, Any]:
    return {"row": row, "upstream": upstream, "name": "/", "kind": "prefix"}


class Counters:
    """Memories as two workers write them."""

    def __init__(self) -> None:
        self.metrics, self.board = Metrics.create(), Board.create(1)
        self.board.cells[H_USED] = 2
        self.metrics.cells[m.H_ROWS], self.metrics.cells[m.H_SLOTS] = 10, 4
        for column in (0, 1):
            self.metrics.cells[Metrics.worker_at(column) + m.USED] = 1
        self.now = 100.0
        self.names = Names(plan())

    def meter(self) -> Meter:
        return Meter(self.metrics, self.board, lambda: self.now)

    def answer(self, column: int, row: int, status: int = 200, seconds: float = 0.01, sent: int = 100) -> None:
        at, cells = Metrics.row_at(column, row), self.metrics.cells
        cells[at + m.DURATION_SUM] += int(seconds * 1e9)
        cells[at + m.SENT] += sent
        cells[at + m.status_cell(status)] += 1
        cells[at + m.DURATION + m.bucket(int(seconds * 1e9))] += 1

    def serve(self, column: int, slot: int, status_class: int = 200, seconds: float = 0.01) -> None:
        at, cells = Metrics.slot_at(column, slot), self.metrics.cells
        cells[at + m.ANSWER_SUM] += int(seconds * 1e9)
        cells[at + m.CLASS + m.CLASSES.index(status_class)] += 1
        cells[at + m.ANSWER + m.bucket(int(seconds * 1e9))] += 1

    def close(self) -> None:
        for memory in (self.metrics, self.board):
            memory.close()
            os.close(memory.fd)


@pytest.fixture
def counters() -> Iterator[Counters]:
    one = Counters()
    yield one
    one.close()


def test_what_was_before_the_first_look_does_not_count(counters: Counters) -> None:
    counters.answer(0, 2)
    counters.serve(0, 0)
    moment = counters.meter().take(counters.names)
    assert moment.total == Figures(0, 0, 0, 0.0, 0.0, 0.0)
    assert not moment.sites
    assert not moment.routes
    assert not moment.servers


def test_workers_are_added_up_by_route_site_and_all(counters: Counters) -> None:
    meter = counters.meter()
    for column, row, status in ((0, 2, 200), (1, 2, 503), (1, 3, 404), (0, 5, 200), (0, 1, 404), (0, 0, 421)):
        counters.answer(column, row, status)
    counters.now += 2
    moment = meter.take(counters.names)
    assert moment.seconds == 2
    assert (moment.total.requests, moment.total.errors, moment.total.sent) == (6, 1, 600)
    assert {site: found.requests for site, found in moment.sites.items()} == {"a.test": 4, "b.test": 1}
    assert {row: found.requests for row, found in moment.routes.items()} == {2: 2, 3: 1, 5: 1, 0: 1}
    assert moment.routes[2].errors == 1
    assert meter.take(counters.names).total.requests == 0


def test_who_looks_at_the_dashboard_is_no_traffic(counters: Counters) -> None:
    meter = counters.meter()
    counters.answer(0, 7)
    moment = meter.take(counters.names)
    assert moment.total.requests == 0
    assert not moment.sites


def test_a_server_has_both_of_its_slots(counters: Counters) -> None:
    meter = counters.meter()
    counters.serve(0, 0)
    counters.serve(1, 1, 500)
    at = Board.column(Board.slot(3), ERRORS, 1)
    counters.board.cells[at] += 4
    moment = meter.take(counters.names)
    assert (moment.servers["u/u:0"].requests, moment.servers["u/u:0"].errors) == (2, 1)
    assert moment.servers["u/u:1"] == Figures(0, 4, 0, 0.0, 0.0, 0.0)


def test_a_row_that_was_given_to_another_route_begins_from_nothing(counters: Counters) -> None:
    for _ in range(5):
        counters.answer(0, 2, seconds=1.0)
    meter = counters.meter()
    counters.metrics.clear_row(2)
    counters.answer(0, 2, seconds=0.001)
    assert meter.take(counters.names).routes[2].requests == 1


def test_rows_and_columns_that_come_later_are_seen(counters: Counters) -> None:
    counters.metrics.cells[m.H_ROWS] = 3
    counters.metrics.cells[Metrics.worker_at(1) + m.USED] = 0
    meter = counters.meter()
    counters.metrics.cells[m.H_ROWS] = 6
    counters.metrics.cells[Metrics.worker_at(1) + m.USED] = 1
    counters.answer(1, 5)
    assert meter.take(counters.names).routes[5].requests == 1


def test_percentiles_are_those_of_the_metrics() -> None:
    chance = random.Random(7)
    for _ in range(200):
        counts = [chance.choice((0, 0, 0, 1, 5, 100)) for _ in range(m.BUCKETS)]
        if any(counts):
            assert _times(counts) == pytest.approx([m.quantile(counts, share) for share in (0.5, 0.9, 0.99)])
    assert _times([0] * m.BUCKETS) == (0.0, 0.0, 0.0)
