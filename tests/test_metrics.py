"""The metrics: rows, sums over columns, histograms."""

from __future__ import annotations

import itertools
import math
import os
import subprocess
import sys
from bisect import bisect_left
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapura import metrics as m
from gapura.metrics import BOUNDS, BOUNDS_NS, BUCKETS, Metrics, bucket, quantile, status_cell


@pytest.fixture
def metrics() -> Iterator[Metrics]:
    """Metrics in which the workers of columns 0 and 5 have been."""
    made = Metrics.create()
    made.cells[m.H_ROWS], made.cells[m.H_SLOTS] = 4, 3
    for column in (0, 5):
        made.cells[made.worker_at(column) + m.USED] = 1
    yield made
    made.close()
    os.close(made.fd)


def test_nothing_is_counted_at_first() -> None:
    made = Metrics.create()
    assert made.columns() == []
    assert made.row(0) == m.Row(0, 0, 0, 0, [0] * len(m.COUNTED), [0] * BUCKETS)
    assert made.row(0).requests == made.row(0).errors == 0
    assert made.server(0, 1) == m.Server(0, 0, [0] * 5, [0] * BUCKETS)
    assert made.workers() == m.Worker(0, 0, 0, 0, 0, 0)
    assert os.fstat(made.fd).st_blocks * 512 <= 2 * 4096 + 8 * m.COLUMNS * m.WORKER
    made.close()
    os.close(made.fd)


def test_columns_are_added_up(metrics: Metrics) -> None:
    for column, times in ((0, 1), (5, 10)):
        at = metrics.row_at(column, 3)
        metrics.cells[at + status_cell(200)] = 4 * times
        metrics.cells[at + status_cell(503)] = times
        metrics.cells[at + m.BROKEN] = times
        metrics.cells[at + m.SENT] = 1000 * times
        metrics.cells[at + m.DURATION + bucket(1_000_000)] = 5 * times
        at = metrics.slot_at(column, 2)
        metrics.cells[at + m.ANSWER + 7] = times
        metrics.cells[at + m.CLASS + 1] = times
        metrics.cells[metrics.worker_at(column) + m.REQUESTS] = 5 * times
    row = metrics.row(3)
    assert {status: count for status, count in zip(m.COUNTED, row.statuses, strict=True) if count} == {200: 44, 503: 11}
    assert (row.requests, row.errors, row.sent, row.received) == (55, 22, 11_000, 0)
    assert metrics.row(2).requests == 0
    assert metrics.server(2).requests == metrics.server(0, 2).requests == 11
    assert metrics.server(2).classes == [0, 11, 0, 0, 0]
    assert metrics.server(0, 1).requests == 0
    assert metrics.workers().requests == 55


def test_rows_and_slots_nobody_has_are_zero_and_stay_unreal(metrics: Metrics) -> None:
    before = os.fstat(metrics.fd).st_blocks
    assert metrics.row(4).requests == metrics.row(1023).requests == 0
    assert metrics.server(3, 1023).requests == 0
    assert os.fstat(metrics.fd).st_blocks == before


def test_rows_do_not_overlap() -> None:
    cells = [Metrics.row_at(column, row) for column in (0, 1, 63) for row in (0, 1, 1023)]
    cells += [Metrics.slot_at(column, slot) for column in (0, 1, 63) for slot in (0, 1, 1023)]
    spans = sorted((start, start + (m.ROW if index < 9 else m.SLOT)) for index, start in enumerate(cells))
    assert all(end <= start for (_, end), (start, _) in itertools.pairwise(spans))
    assert spans[-1][1] * 8 == m.SIZE
    assert Metrics.worker_at(63) + m.WORKER == m.ROWS_START <= spans[0][0]


def test_the_table_of_cells_covers_every_row() -> None:
    for group, whole in (("worker", m.WORKER), ("row", m.ROW), ("server", m.SLOT)):
        cells = [(getattr(m, name), count) for where, name, count, *_ in m.CELLS if where == group]
        places = [place for start, count in cells for place in range(start, start + count)]
        assert places == list(range(whole))


def test_clearing(metrics: Metrics) -> None:
    for at in (metrics.row_at(5, 3), metrics.slot_at(5, 2), metrics.worker_at(5)):
        for cell in range(8):
            metrics.cells[at + cell] = 1
    metrics.clear_column(5)
    assert metrics.workers() == m.Worker(1, 1, 1, 0, 0, 0)
    metrics.clear_row(3)
    metrics.clear_slot(2)
    metrics.clear_slot(900)
    assert metrics.row(3).duration_sum == metrics.server(2).answer_sum == 0
    assert metrics.workers().accepted == 1


@pytest.mark.parametrize(
    ("status", "counted"),
    [
        (200, 200),
        (404, 404),
        (499, 499),
        (299, 200),
        (599, 500),
        (103, 100),
        (600, 500),
        (999, 500),
        (0, 500),
        (99, 500),
        (101, 101),
    ],
)
def test_which_cell_counts_a_status(status: int, counted: int) -> None:
    assert m.COUNTED[status_cell(status) - m.STATUS] == counted


def test_a_bound_belongs_to_its_bucket() -> None:
    assert (bucket(0), bucket(100_000), bucket(100_001)) == (0, 0, 1)
    assert bucket(60_000_000_000) == BUCKETS - 2
    assert bucket(60_000_000_001) == BUCKETS - 1
    assert {0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10} <= set(BOUNDS)
    assert list(BOUNDS) == sorted(set(BOUNDS))


def counts_of(durations: list[int]) -> list[int]:
    counts = [0] * BUCKETS
    for duration in durations:
        counts[bucket(duration)] += 1
    return counts


def test_no_quantile_of_nothing() -> None:
    assert math.isnan(quantile([0] * BUCKETS, 0.5))


def test_quantiles_within_a_bucket_are_spread_evenly() -> None:
    counts = [0] * BUCKETS
    counts[BOUNDS.index(0.1)] = 100
    assert quantile(counts, 0.5) == pytest.approx(0.09)
    assert quantile(counts, 1.0) == pytest.approx(0.1)
    counts[-1] = 1000
    assert quantile(counts, 0.99) == 60.0


@given(st.lists(st.integers(0, 59_000_000_000), min_size=1), st.floats(0, 1))
def test_a_quantile_is_right_to_a_bucket(durations: list[int], q: float) -> None:
    durations.sort()
    exact = durations[max(0, math.ceil(q * len(durations)) - 1)]
    index = bisect_left(BOUNDS_NS, exact)
    low = BOUNDS[index - 1] if index else 0.0
    assert low - 1e-9 <= quantile(counts_of(durations), q) <= BOUNDS[index] + 1e-9


@given(st.lists(st.integers(0, 10**12), min_size=1))
def test_quantiles_grow(durations: list[int]) -> None:
    counts = counts_of(durations)
    found = [quantile(counts, q / 20) for q in range(21)]
    assert found == sorted(found)


WRITER = """
import sys
from gapura import metrics as m
metrics, column = m.Metrics(int(sys.argv[1])), int(sys.argv[2])
metrics.cells[metrics.worker_at(column) + m.USED] = 1
at = metrics.row_at(column, 1) + m.status_cell(200)
for _ in range(50_000):
    metrics.cells[at] += 1
    metrics.cells[metrics.row_at(column, 1) + m.DURATION] += 1
"""


def test_writers_in_two_processes_lose_nothing() -> None:
    metrics = Metrics.create()
    metrics.cells[m.H_ROWS] = 2
    command = [sys.executable, "-P", "-c", WRITER, str(metrics.fd)]
    writers = [subprocess.Popen([*command, column], pass_fds=[metrics.fd]) for column in ("0", "63")]
    last = 0
    while any(writer.poll() is None for writer in writers):
        now = metrics.row(1).requests
        assert now >= last
        last = now
    assert [writer.returncode for writer in writers] == [0, 0]
    assert metrics.row(1).statuses[m.COUNTED.index(200)] == sum(metrics.row(1).statuses) == 100_000
    assert metrics.row(1).requests == 100_000
    metrics.close()
    os.close(metrics.fd)


@pytest.mark.parametrize("size", [0, 4096, m.SIZE])
def test_what_are_no_metrics_is_refused(size: int) -> None:
    fd = os.memfd_create("other")
    os.ftruncate(fd, size)
    try:
        with pytest.raises(ValueError, match="metrics of this version"):
            Metrics(fd)
    finally:
        os.close(fd)
