"""One of two copies is killed, stopped, restarted, with default settings: no visitor notices."""

from __future__ import annotations

import shlex
from typing import Any

import pytest

from .harness.load import Load
from .harness.site import Site, instances, program, replaced, settled

KINDS = {
    "plain": [],
    "sh-c wrapper": [],
    "ignores SIGTERM": ["--ignore-term"],
    "slow start": ["--start-after", "5"],
    "1000 lines a second": ["--chatty", "1000"],
}


def shop(site: Site, kind: str, *, brief: bool) -> str:
    """The app's section. `brief` makes the long waits of a kind shorter, not different."""
    options = KINDS[kind]
    words: dict[str, Any] = {}
    if brief and kind == "slow start":
        options = ["--start-after", "1"]
    if brief and kind == "ignores SIGTERM":
        words["stop_timeout"] = "500ms"
    command = shlex.join(["sh", "-c", program() + "; true"]) if kind == "sh-c wrapper" else program(*options)
    return site.app(command=command, **words)


@pytest.mark.parametrize("kind", KINDS)
def test_kill_stop_and_restart_of_one_copy(site: Site, kind: str) -> None:
    site.configure(shop(site, kind, brief=True))
    site.up()
    with Load(site.port, total=100_000) as load:
        load.reached(100)
        site.wait(replaced(0, site.kill(0)))
        site.wait(settled)
        site.gapura("stop", "shop:1")
        site.wait(lambda status: instances(status)[1]["state"] == "stopped")
        load.reached(len(load.report.sent) + 100)
        site.gapura("start", "shop:1")
        second = instances(site.wait(settled))[0]["pid"]
        site.gapura("restart", "shop:0")
        assert replaced(0, second)(site.wait(settled))
        load.reached(len(load.report.sent) + 100)
        load.enough()
    assert load.report.failures == {}
    assert {one.server for one in load.report.sent[-50:]} == {"shop:0", "shop:1"}
    site.down()


@pytest.mark.full
@pytest.mark.parametrize("fault", ["kill", "stop", "restart"])
@pytest.mark.parametrize("kind", KINDS)
def test_one_fault_in_1500_requests(site: Site, kind: str, fault: str) -> None:
    site.configure(shop(site, kind, brief=False))
    site.up()
    with Load(site.port, total=1500) as load:
        load.reached(300)
        if fault == "kill":
            site.kill(0)
        else:
            site.gapura(fault, "shop:0")
    assert load.report.failures == {}
    assert len(load.report.sent) == 1500
    site.down()
