"""POSTs in flight when a copy is killed: none is executed twice, only those sent to the dead copy fail, with 502."""

from __future__ import annotations

import random
import time
from collections import Counter
from pathlib import Path

import pytest

from .harness.load import Load, Sent
from .harness.site import Site, instances, settled


@pytest.mark.parametrize("kills", [15, pytest.param(200, marks=[pytest.mark.full, pytest.mark.timeout(900)])])
def test_posts_in_flight_at_kills(site: Site, tmp_path: Path, kills: int) -> None:
    ids = tmp_path / "ids"
    # Restarts in quick succession are the point here: neither may the app count as crashed nor its back-off grow long.
    site.configure(site.app("--ids", str(ids), "--work", "0.03", max_restarts=0, instances=3))
    site.up()
    moments: list[float] = []
    chance = random.Random(11)
    with Load(site.port, "/post", total=1_000_000, clients=16, rate=200, post=True) as load:
        load.reached(50)
        for _ in range(kills):
            ready = site.wait(lambda status: sum(one["state"] == "ready" for one in instances(status)) >= 2, within=30)
            load.reached(len(load.report.sent) + chance.randrange(5, 40))
            index = chance.choice([one["index"] for one in instances(ready) if one["state"] == "ready"])
            moments.append(time.monotonic())
            site.kill(index)
        load.enough()
    site.wait(settled, within=30)
    executed = Counter(line.split()[0] for line in ids.read_text().splitlines())
    assert {key: count for key, count in executed.items() if count > 1} == {}, "executed twice"
    assert not {one.key for one in load.report.sent if not one.failed} - set(executed), "answered, never executed"
    assert set(load.report.failures) <= {"502"}
    strangers = [one for one in load.report.failed if not in_flight(one, moments)]
    assert strangers == [], "failed although no copy was killed while it was under way"
    for moment in moments:
        assert sum(in_flight(one, [moment]) for one in load.report.failed) <= 16, "more than the clients had in flight"
    site.down()


def in_flight(one: Sent, moments: list[float]) -> bool:
    """Whether a copy was killed while this request was under way.

    `kill` returns before the kernel has closed the dead process' sockets: for some milliseconds they still accept.
    """
    return any(one.began <= moment + 0.05 and one.ended >= moment for moment in moments)
