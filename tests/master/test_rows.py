"""Rows of the metrics: stable over reloads, never another route's while a worker may still write them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from gapura import metrics as m
from gapura.config.change import diff
from gapura.config.plan import Plan
from gapura.master.rows import OTHERS, Rows
from gapura.metrics import Metrics

from .conftest import make_plan, upstream_plan


@pytest.fixture
def metrics() -> Iterator[Metrics]:
    made = Metrics.create()
    yield made
    made.close()
    os.close(made.fd)


def plan_of(folder: Path, **sites: list[str]) -> Plan:
    """A plan with these sites and their routes."""
    plan: Any = make_plan(folder)
    plan["sites"] = [
        {"hosts": [host], "routes": [{"name": name, "kind": "prefix", "path": name} for name in routes]}
        for host, routes in sites.items()
    ]
    return cast(Plan, plan)


def rows_of(plan: Plan) -> dict[str, int]:
    """Rows by host, and by host with the route's name."""
    found = {site["hosts"][0]: site["row"] for site in plan["sites"]}
    return {**found, **{site["hosts"][0] + route["name"]: route["row"] for site in plan["sites"] for route in site["routes"]}}


def test_sites_and_routes_have_rows_of_their_own(metrics: Metrics, tmp_path: Path) -> None:
    plan = plan_of(tmp_path, a=["/", "/api/"], b=["/"])
    Rows(metrics, list).give(plan)
    rows = rows_of(plan)
    assert sorted(rows.values()) == [1, 2, 3, 4, 5]
    assert metrics.cells[m.H_ROWS] == 6


def test_a_route_keeps_its_row_over_reloads_also_when_it_was_gone(metrics: Metrics, tmp_path: Path) -> None:
    rows = Rows(metrics, list)
    first = plan_of(tmp_path, a=["/", "/api/"])
    other = plan_of(tmp_path, b=["/"], a=["/x", "/"])
    again = plan_of(tmp_path, a=["/api/"], b=["/"])
    for generation, plan in enumerate((first, other, again), 1):
        rows.give(plan)
        rows.settle(plan, generation)
    assert rows_of(again)["a/api/"] == rows_of(first)["a/api/"]
    assert rows_of(again)["b/"] == rows_of(other)["b/"]
    assert len({*rows_of(first).values(), *rows_of(other).values()}) == 6


def test_routes_of_the_same_name_are_told_apart(metrics: Metrics, tmp_path: Path) -> None:
    plan = plan_of(tmp_path, a=["/", "/"])
    Rows(metrics, list).give(plan)
    assert len({route["row"] for route in plan["sites"][0]["routes"]}) == 2


def test_which_slots_there_are_is_noted(metrics: Metrics, tmp_path: Path) -> None:
    plan = make_plan(tmp_path, api=upstream_plan("api", ["10.0.0.1:80"]))
    plan["upstreams"]["api"]["servers"][0]["slots"] = [7]
    rows = Rows(metrics, list)
    rows.give(plan)
    assert metrics.cells[m.H_SLOTS] == 8
    rows.give(make_plan(tmp_path))
    assert metrics.cells[m.H_SLOTS] == 8


def test_beyond_a_thousand_routes_the_rest_is_counted_together(
    metrics: Metrics, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    plan = plan_of(tmp_path, a=[f"/{number}" for number in range(m.ROWS + 10)])
    rows = Rows(metrics, list)
    rows.give(plan)
    given = [route["row"] for route in plan["sites"][0]["routes"]]
    assert given == [*range(2, m.ROWS), *[OTHERS] * 12]
    assert metrics.cells[m.H_ROWS] == m.ROWS
    again = plan_of(tmp_path, a=[f"/{number}" for number in range(m.ROWS + 10)])
    rows.give(again)
    assert rows_of(again) == rows_of(plan)
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_a_row_is_given_again_only_when_no_worker_can_write_it(metrics: Metrics, tmp_path: Path) -> None:
    columns = [0, 3]
    rows = Rows(metrics, lambda: columns)
    for column in columns:
        metrics.cells[metrics.worker_at(column) + m.USED] = 1
        metrics.cells[metrics.worker_at(column) + m.OLDEST] = 1
    first = plan_of(tmp_path, a=[f"/{number}" for number in range(m.ROWS - 2)])
    rows.give(first)
    rows.settle(first, 1)
    metrics.cells[metrics.row_at(3, 2) + m.DURATION] = 5
    second = plan_of(tmp_path, a=["/new", "/newer"])
    rows.give(second)
    assert rows_of(second)["a/new"] == rows_of(second)["a/newer"] == OTHERS
    rows.settle(second, 2)
    metrics.cells[metrics.worker_at(0) + m.OLDEST] = 2
    rows.give(second)
    assert rows_of(second)["a/new"] == OTHERS, "the worker of column 3 may still write row 2"
    metrics.cells[metrics.worker_at(3) + m.OLDEST] = 2
    rows.give(second)
    assert (rows_of(second)["a/new"], rows_of(second)["a/newer"]) == (2, 3)
    assert metrics.row(2).requests == 0
    back = plan_of(tmp_path, a=["/0", "/5"])
    rows.give(back)
    assert rows_of(back)["a/5"] == rows_of(first)["a/5"]
    assert rows_of(back)["a/0"] == 4, "its own went to another, and the next that is free is that of /2"


def test_a_dead_worker_does_not_keep_rows(metrics: Metrics, tmp_path: Path) -> None:
    rows = Rows(metrics, list)
    for generation, name in enumerate("abc", 1):
        plan = plan_of(tmp_path, **{name: [f"/{number}" for number in range(m.ROWS // 2)]})
        rows.give(plan)
        rows.settle(plan, generation)
    assert OTHERS not in rows_of(plan).values()


def test_rows_are_no_change(metrics: Metrics, tmp_path: Path) -> None:
    full = json.loads((Path(__file__).parents[1] / "config" / "plans" / "routes.json").read_text())
    same = json.loads(json.dumps(full))
    Rows(metrics, list).give(full)
    assert all("row" in site for site in full["sites"])
    assert not diff(full, same)
