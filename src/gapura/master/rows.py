"""Rows of the metrics: which route or site owns which, over reloads.

A route is known by its site and its name, so it keeps its row while the configuration around it changes. A route that leaves keeps
its row, too: new ones take rows that nobody ever had, so that what was counted and recorded stays under the right name. Only when
there are none left does one that is gone lose its row, the one that left first, and only once no worker has a request under way
that began when it was there. When even then there is none, routes share row 0 (`OTHERS`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

from gapura import metrics as m
from gapura.config.plan import Plan, RoutePlan, SitePlan
from gapura.metrics import Metrics

log = logging.getLogger(__name__)

OTHERS = 0
Owner = tuple[str, str, str, int]
"""Host of the site, kind and name of the route ("": the site itself), how many before it have the same."""


class Rows:
    """Gives rows to the routes and sites of plans. `columns`: those of living workers."""

    def __init__(self, metrics: Metrics, columns: Callable[[], Iterable[int]]) -> None:
        self._metrics = metrics
        self._columns = columns
        self._owned: dict[Owner, int] = {}
        self._left: dict[Owner, int] = {}  # those that are gone, with the generation that they were missing in first
        self._next = OTHERS + 1
        self._told = False

    def give(self, plan: Plan) -> None:
        """Write rows into the plan's sites and routes, and note which slots its servers have."""
        wanted = list(owners(plan))
        for owner, _ in wanted:
            self._left.pop(owner, None)
        for owner, what in wanted:
            what["row"] = self._row(owner)
        cells = self._metrics.cells
        cells[m.H_ROWS] = self._next
        slots = [slot for upstream in plan["upstreams"].values() for server in upstream["servers"] for slot in server["slots"]]
        cells[m.H_SLOTS] = max(cells[m.H_SLOTS], max(slots, default=-1) + 1)

    def settle(self, plan: Plan, generation: int) -> None:
        """This plan stays: who is not in it is gone."""
        there = {owner for owner, _ in owners(plan)}
        for owner in self._owned:
            if owner not in there:
                self._left.setdefault(owner, generation)

    def _row(self, owner: Owner) -> int:
        row = self._owned.get(owner)
        if row is None:
            row = self._take()
            if row != OTHERS:
                self._owned[owner] = row
        return row

    def _take(self) -> int:
        if self._next < m.ROWS:
            self._next += 1
            return self._next - 1
        for owner, generation in self._left.items():  # in the order in which they left
            if self._unused_since(generation):
                del self._left[owner]
                row = self._owned.pop(owner)
                self._metrics.clear_row(row)
                return row
        if not self._told:
            self._told = True
            log.warning("there are more than %d routes and sites: further ones are counted together", m.ROWS - 1)
        return OTHERS

    def _unused_since(self, generation: int) -> bool:
        """Whether no living worker has a request under way that began before this generation."""
        cells = self._metrics.cells
        return all(cells[self._metrics.worker_at(column) + m.OLDEST] >= generation for column in self._columns())


def owners(plan: Plan) -> Iterable[tuple[Owner, SitePlan | RoutePlan]]:
    """Everything in a plan that has a row, with who it is."""
    for site in plan["sites"]:
        host = site["hosts"][0]
        yield (host, "", "", 0), site
        seen: dict[tuple[str, str], int] = {}
        for route in site["routes"]:
            key = route["kind"], route["name"]
            count = seen[key] = seen.get(key, -1) + 1
            yield (host, *key, count), route
