"""All copies are restarted, or gone for a while: requests wait for the first one back."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .harness.client import visit
from .harness.foreign import Foreign
from .harness.load import Load
from .harness.proc import until
from .harness.site import Site, free_ports, instances, section, settled


@pytest.mark.parametrize(
    ("copies", "fixed"),
    [(2, False), (2, True), (1, True)],
    ids=["chosen ports", "fixed ports", "a single copy with a fixed port"],
)
def test_restart_of_all_copies(site: Site, copies: int, fixed: bool) -> None:
    words: dict[str, Any] = {"port": free_ports(copies)} if fixed else {}
    site.configure(site.app(instances=copies, **words))
    site.up()
    before = {one["pid"] for one in site.instances()}
    with Load(site.port, total=100_000) as load:
        load.reached(300)
        site.gapura("restart", "shop")
        after = {one["pid"] for one in instances(site.wait(settled))}
        load.reached(len(load.report.sent) + 300)
        load.enough()
    assert load.report.failures == {}
    assert not before & after
    site.down()


def test_both_copies_of_an_app_gone_for_three_seconds(site: Site, tmp_path: Path) -> None:
    moments = tmp_path / "moments"
    site.configure(site.app("--start-after", "2.7", "--listening", str(moments)))
    site.up()
    moments.unlink()
    for index in range(2):
        site.kill(index)
    beyond_hold(time.monotonic())
    with Load(site.port, total=1200) as load:
        pass
    assert load.report.failures == {}
    assert first_answer(load) - first_moment(moments) <= 0.3
    assert load.report.slowest >= 2.0, "requests were held"
    site.down()


def gone(site: Site, foreign: Callable[..., Foreign], moments: Path, seconds: float) -> float:
    """Two foreign servers die now and are back after so many seconds; the moment of their death."""
    copies = [foreign("a"), foreign("b")]
    site.configure(section("upstreams.shop", servers=[copy.address for copy in copies]))
    site.up()
    assert visit(site.port).status == 200
    for copy in copies:
        copy.stop()
    died = time.monotonic()
    for copy in copies:
        copy.options = ("--start-after", str(seconds), "--listening", str(moments))
        copy.launch()
    return died


def test_both_foreign_servers_gone_for_three_seconds(site: Site, foreign: Callable[..., Foreign], tmp_path: Path) -> None:
    moments = tmp_path / "moments"
    died = gone(site, foreign, moments, 2.9)
    beyond_hold(died)
    with Load(site.port, total=1200) as load:
        pass
    assert load.report.failures == {}
    assert first_answer(load) - first_moment(moments) <= 0.3
    assert load.report.slowest >= 2.0, "requests were held"
    site.down()


def test_gone_for_longer_than_hold(site: Site, foreign: Callable[..., Foreign], tmp_path: Path) -> None:
    moments = tmp_path / "moments"
    gone(site, foreign, moments, 4.5)
    with Load(site.port, total=100_000, rate=50, clients=8) as load:
        until(moments.exists)
        load.reached(len(load.report.sent) + 100)
        load.enough()
    back = first_moment(moments)
    assert set(load.report.failures) == {"503"}
    assert all(one.took == pytest.approx(3.0, abs=0.3) for one in load.report.failed), "held for `hold`, then the page"
    assert min(one.ended for one in load.report.sent if not one.failed and one.ended > back) - back <= 0.3
    assert not [one for one in load.report.since(back) if one.failed]
    site.down()


def beyond_hold(died: float) -> None:
    """A visitor of the first moments would wait longer than `hold` (3 s): that is another test."""
    until(lambda: time.monotonic() > died + 0.5)


def first_answer(load: Load) -> float:
    return min(one.ended for one in load.report.sent if not one.failed)


def first_moment(moments: Path) -> float:
    return min(float(line) for line in moments.read_text().split())
