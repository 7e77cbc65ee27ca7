"""All copies are restarted, or gone for a while: requests wait for the first one back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .harness.client import visit
from .harness.foreign import Foreign
from .harness.load import Load
from .harness.proc import gone, until
from .harness.site import Site, free_ports, instances, section, settled

LONG = "100s"
"""A `hold` and a `fail_timeout` that no start outlasts: whoever is answered sooner was let go because a server came back."""


@pytest.mark.parametrize(
    ("copies", "fixed"),
    [(2, False), (2, True), (1, True)],
    ids=["chosen ports", "fixed ports", "a single copy with a fixed port"],
)
def test_restart_of_all_copies(site: Site, copies: int, fixed: bool) -> None:
    words: dict[str, Any] = {"port": free_ports(copies)} if fixed else {}
    words["hold"] = LONG
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


def held_through(site: Site, gate: Path, moments: Path, total: int) -> None:
    """Visitors come while nobody is there, then the gate is opened: all of them are answered, nobody before."""
    with Load(site.port, total=total, timeout=120) as load:
        until(lambda: load.waiting == load.clients, what="every client waits for an answer")
        assert load.report.sent == []
        gate.touch()
    assert load.report.failures == {}
    assert first_answer(load) >= first_moment(moments)
    assert load.report.slowest < 60, "they were let go when the first was back, not when `hold` or `fail_timeout` were over"


def test_both_copies_of_an_app_gone(site: Site, tmp_path: Path) -> None:
    gate, moments = tmp_path / "gate", tmp_path / "moments"
    gate.touch()
    site.configure(site.app("--gate", str(gate), "--listening", str(moments), hold=LONG))
    site.up()
    gate.unlink()
    moments.unlink()
    for index in range(2):
        pid = site.kill(index)
        until(lambda pid=pid: gone(pid))  # type: ignore[misc]
    held_through(site, gate, moments, 1200)
    site.down()


def away(site: Site, foreign: Callable[..., Foreign], moments: Path, *options: str, **words: Any) -> None:
    """Two foreign servers die now; those that follow them start with these options."""
    copies = [foreign("a"), foreign("b")]
    servers = [{"address": copy.address, "fail_timeout": LONG} for copy in copies]
    site.configure(section("upstreams.shop", servers=servers, **words))
    site.up()
    assert visit(site.port).status == 200
    for copy in copies:
        copy.stop()
        copy.options = (*options, "--listening", str(moments))
        copy.launch()


def test_both_foreign_servers_gone(site: Site, foreign: Callable[..., Foreign], tmp_path: Path) -> None:
    gate, moments = tmp_path / "gate", tmp_path / "moments"
    away(site, foreign, moments, "--gate", str(gate), hold=LONG)
    held_through(site, gate, moments, 1200)
    site.down()


def test_gone_for_longer_than_hold(site: Site, foreign: Callable[..., Foreign], tmp_path: Path) -> None:
    gate, moments = tmp_path / "gate", tmp_path / "moments"
    away(site, foreign, moments, "--gate", str(gate), hold="1s")
    with Load(site.port, total=100_000, rate=50, clients=8) as load:
        until(lambda: len(load.report.failed) > 30)
        assert set(load.report.failures) == {"503"}
        assert all(one.took >= 0.99 for one in load.report.failed if one.began < load.report.sent[0].ended), "held for `hold`"
        gate.touch()
        until(lambda: load.report.servers, what="a server that is back is noticed")
        load.enough()
    assert set(load.report.failures) == {"503"}
    assert first_answer(load) >= first_moment(moments)
    with Load(site.port, total=200) as after:
        pass
    assert after.report.failures == {}
    site.down()


@pytest.mark.full
def test_how_soon_the_first_answer_comes(site: Site, foreign: Callable[..., Foreign], tmp_path: Path) -> None:
    """The only one that asserts a time: 0.3 s after a server is back the first visitor has an answer."""
    gate, moments = tmp_path / "gate", tmp_path / "moments"
    away(site, foreign, moments, "--gate", str(gate), hold=LONG)
    with Load(site.port, total=1200, timeout=120) as load:
        until(lambda: load.waiting == load.clients)
        gate.touch()
    assert first_answer(load) - first_moment(moments) <= 0.3
    site.down()


def first_answer(load: Load) -> float:
    return min(one.ended for one in load.report.sent if not one.failed)


def first_moment(moments: Path) -> float:
    return min(float(line) for line in moments.read_text().split())
