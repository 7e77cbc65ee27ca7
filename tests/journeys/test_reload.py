"""Changes of the configuration under load: nothing breaks, and what is open stays open."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from .harness.client import Download, WebSocket, answers, visit
from .harness.foreign import Foreign
from .harness.load import Load
from .harness.proc import alive, until
from .harness.site import Site, free_port, route, section, settled


@pytest.mark.parametrize("reloads", [4, pytest.param(20, marks=[pytest.mark.full, pytest.mark.timeout(300)])])
def test_reloads_under_load(site: Site, foreign: Callable[..., Foreign], reloads: int) -> None:
    servers = [foreign("a"), foreign("b")]
    doors = [free_port(), free_port()]

    def configure(number: int) -> None:
        """Another route, weight, listener and app each time."""
        weighted = [{"address": server.address, "weight": 1 + (number + index) % 3} for index, server in enumerate(servers)]
        site.configure(
            site.app("--name", f"build {number}", name="changing"),
            section("upstreams.shop", servers=weighted),
            route("/", proxy="shop"),
            route("/version", respond=f"version {number}"),
            section('sites."app.test"', proxy="changing"),
            listen=[doors[number % 2]],
            proxy="",
        )

    configure(0)
    site.up()
    size = 100_000_000
    socket, download = WebSocket(site.port), Download(site.port, size)
    with Load(site.port, total=1_000_000) as load, Load(site.port, total=1_000_000, rate=50, clients=8, host="app.test") as other:
        for number in range(1, reloads + 1):
            load.reached(len(load.report.sent) + 50)
            configure(number)
            site.gapura("reload")
            status = site.status()
            assert [worker["generation"] for worker in status["workers"]] == [status["generation"]] * 2
            assert visit(site.port, "/version").body.strip() == f"version {number}"
            assert visit(doors[number % 2], "/version").body.strip() == f"version {number}"
            assert socket.ask(f"still here {number}") == f"still here {number}"
            download.read(100_000)
        site.wait(settled, within=20)
        until(lambda: visit(site.port, host="app.test").body.startswith(f"build {reloads} "))
        until(lambda: not answers(doors[1 - reloads % 2], "/version"), what="the old listener is closed")
        load.enough()
        other.enough()
    assert load.report.failures == {}
    assert other.report.failures == {}
    assert load.report.stale + other.report.stale == 0, "connections were reset"
    assert socket.ask("to the end") == "to the end"
    download.rest()
    assert download.whole
    socket.close()
    download.close()
    site.down()


def test_what_is_open_outlives_an_upgrade_and_fewer_workers(site: Site, foreign: Callable[..., Foreign]) -> None:
    """Also when it lasts longer than `timeouts.drain`, which is for the end of Gapura."""
    shop = section("upstreams.shop", servers=[{"address": foreign("a").address}])
    drain = section("edge.timeouts", drain="0.5s")
    site.configure(shop, drain, workers=2)
    site.up()
    before = site.worker_pids()
    sockets = [WebSocket(site.port) for _ in range(4)]  # both workers hold some
    download = Download(site.port, 100_000_000)
    site.up()
    site.configure(shop, drain, workers=1)
    site.gapura("reload")
    replaced = time.monotonic()
    while time.monotonic() < replaced + 2.0:
        download.read(100_000)
        for number, socket in enumerate(sockets):
            assert socket.ask(f"number {number}") == f"number {number}"
    download.rest()
    assert download.whole
    assert any(map(alive, before))
    for socket in sockets:
        socket.close()
    download.close()
    until(lambda: not any(map(alive, before)), what="the replaced workers end with their last connection")
    site.down()


def test_a_broken_file_at_reload_is_refused_with_its_place(site: Site) -> None:
    site.configure(site.app())
    site.up()
    before = site.status()["generation"]
    good = site.file.read_text()
    line = good.count("\n") + 1
    wrong = 'servers = [{ address = "127.0.0.1:1", max_fail = 2 }]'
    site.write(f"{good}[upstreams.other]\n{wrong}\n")
    refused = site.gapura("reload", check=False)
    assert refused.returncode == 78
    assert f"gapura.toml:{line + 1}:{wrong.index('max_fail') + 1}: " in refused.stdout + refused.stderr
    assert "max_fails" in refused.stdout + refused.stderr
    site.write(good + "[upstreams\n")
    refused = site.gapura("reload", check=False)
    assert refused.returncode == 78
    assert f"gapura.toml:{line}:" in refused.stdout + refused.stderr
    assert site.status()["generation"] == before
    assert visit(site.port).status == 200
    site.down()


def test_weights_two_to_one_across_a_reload(site: Site, foreign: Callable[..., Foreign]) -> None:
    heavy, light = foreign("heavy"), foreign("light")
    upstream = section("upstreams.shop", servers=[{"address": heavy.address, "weight": 2}, {"address": light.address}])
    site.configure(upstream)
    site.up()
    with Load(site.port, total=3000, rate=600) as load:
        load.reached(1300)
        site.configure(upstream, section('sites."new.test"', respond="new"))
        site.gapura("reload")
    assert load.report.failures == {}
    assert visit(site.port, host="new.test").status == 200
    counts = load.report.servers
    assert counts[heavy.address] + counts[light.address] == 3000
    assert counts[heavy.address] / counts[light.address] == pytest.approx(2, rel=0.01)
    site.down()
