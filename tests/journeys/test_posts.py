"""POSTs in flight when a copy is killed: none is executed twice, only those sent to the dead copy fail, with 502."""

from __future__ import annotations

import random
import time
from collections import Counter
from pathlib import Path

import pytest

from .harness.load import Load, Sent
from .harness.proc import gone, until
from .harness.site import Site, replaced, settled

CLIENTS = 16


@pytest.mark.parametrize("kills", [15, pytest.param(200, marks=[pytest.mark.full, pytest.mark.timeout(900)])])
def test_posts_in_flight_at_kills(site: Site, tmp_path: Path, kills: int) -> None:
    ids = tmp_path / "ids"
    site.configure(site.app("--ids", str(ids), "--work", "0.03"))
    site.up()
    moments: list[tuple[float, float]] = []
    chance = random.Random(11)
    with Load(site.port, "/post", total=1_000_000, clients=CLIENTS, rate=200, post=True) as load:
        load.reached(50)
        for _ in range(kills):
            load.reached(len(load.report.sent) + chance.randrange(5, 40))
            index = chance.randrange(2)
            began = time.monotonic()
            pid = site.kill(index)
            until(lambda pid=pid: gone(pid))  # type: ignore[misc]
            moments.append((began, time.monotonic()))
            site.wait(replaced(index, pid))
            # A start by hand ends the back-off, which so many deaths in a row would make long.
            site.gapura("start", f"shop:{index}")
            site.wait(settled)
        load.enough()
    site.wait(settled, within=30)
    executed = Counter(line.split()[0] for line in ids.read_text().splitlines())
    assert {key: count for key, count in executed.items() if count > 1} == {}, "executed twice"
    assert not {one.key for one in load.report.sent if not one.failed} - set(executed), "answered, never executed"
    assert set(load.report.failures) <= {"502"}
    strangers = [one for one in load.report.failed if not in_flight(one, moments)]
    assert strangers == [], "failed although no copy was killed while it was under way"
    assert len(load.report.failed) <= kills * CLIENTS, "more than the clients had in flight"
    site.down()


def in_flight(one: Sent, moments: list[tuple[float, float]]) -> bool:
    """Whether a copy died while this request was under way.

    `kill` returns before the kernel has closed the process' sockets: until its last thread has ended they still accept.
    """
    return any(one.began <= dead and one.ended >= killed for killed, dead in moments)
