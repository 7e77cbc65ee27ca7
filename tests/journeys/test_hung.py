"""Servers that do not die but do not answer either."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from .harness.client import Answer, visit
from .harness.foreign import Foreign
from .harness.load import Load
from .harness.proc import state, until
from .harness.site import Site, free_port, section, servers, settled


def out_after(site: Site, server: str) -> float:
    """Wait until a server is out of the balancer; seconds that took."""
    began = time.monotonic()
    site.wait(lambda status: servers(status)[server]["state"] != "up")
    return time.monotonic() - began


@pytest.mark.parametrize("timed", [False, pytest.param(True, marks=pytest.mark.full)], ids=["found out", "in time"])
def test_a_copy_stopped_by_a_signal(site: Site, timed: bool) -> None:
    site.configure(site.app())
    site.up()
    with Load(site.port, total=1800) as load:
        load.reached(300)
        pid = site.kill(0, signal.SIGSTOP)
        until(lambda: state(pid) == "T")
        took = out_after(site, "shop:0")
    assert took <= 2.5
    assert load.report.failures == {}
    if timed:
        assert took <= 2.5
        assert load.report.slowest <= 3.5
    os.kill(pid, signal.SIGCONT)
    site.wait(settled)
    site.wait(lambda status: servers(status)["shop:0"]["state"] == "up")
    site.down()


@pytest.mark.parametrize("timed", [False, pytest.param(True, marks=pytest.mark.full)], ids=["found out", "in time"])
def test_a_foreign_server_stopped_by_a_signal(site: Site, foreign: Callable[..., Foreign], timed: bool) -> None:
    hung, well = foreign("hung"), foreign("well")
    site.configure(section("upstreams.shop", servers=[hung.address, well.address]))
    site.up()
    with Load(site.port, total=1800) as load:
        load.reached(300)
        hung.freeze()
        took = out_after(site, hung.address)
    assert took <= 2.5
    assert load.report.failures == {}
    if timed:
        assert took <= 2.5
        assert load.report.slowest <= 3.5
    site.down()


HOLE = (
    "ip link set lo up",
    "ip link add name near type veth peer name far",
    "ip addr add 10.77.0.1/24 dev near",
    "ip link set near up",
    "ip link set far up",
    "ip neigh add 10.77.0.2 lladdr 02:00:00:00:00:02 dev near nud permanent",
    "echo ready",
    "exec sleep 600",
)
"""A wire whose other end is nobody's: packets to 10.77.0.2 leave for a card that is not there, and no error comes back."""


@pytest.fixture
def network() -> Iterator[int]:
    """A network namespace whose 10.77.0.2 swallows every packet; the process id that holds it."""
    if os.geteuid():
        pytest.skip("network namespaces need root")
    holder = subprocess.Popen(["unshare", "--net", "sh", "-c", " && ".join(HOLE)], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None
        if holder.stdout.readline() != "ready\n":
            pytest.skip("no network namespace with a wire here")
        yield holder.pid
    finally:
        holder.kill()
        holder.communicate()


@pytest.mark.parametrize("checked", [True, False], ids=["with health checks", "without"])
def test_a_server_that_swallows_every_syn(site: Site, network: int, checked: bool) -> None:
    site.prefix = ["nsenter", f"--net=/proc/{network}/ns/net"]
    # Foreign servers live in this test's network; in the other one an app under a fixed port plays their part.
    port = free_port()
    words: dict[str, Any] = {} if checked else {"health": False}
    site.configure(
        site.app(name="well", instances=1, port=port),
        section("upstreams.shop", servers=["10.77.0.2:80", f"127.0.0.1:{port}"], **words),
    )
    site.up()
    with Load(site.port, total=1200, network=f"/proc/{network}/ns/net") as load:
        pass
    assert load.report.failures == {}
    assert load.report.slowest <= 10, "nobody waits for what TCP would wait for, which is two minutes"
    if not checked:
        assert load.report.slowest >= 1.9, "somebody found out, after the 2 s of connect_timeout"
    assert servers(site.status())["10.77.0.2:80"]["state"] != "up"
    site.down()


def test_a_single_threaded_app_at_work_for_five_seconds_is_never_ejected_while_it_is_the_last(site: Site) -> None:
    site.configure(site.app("--single", instances=1))
    site.up()
    answers: list[Answer] = []
    busy = threading.Thread(target=lambda: answers.append(visit(site.port, "/slow?seconds=5")))
    busy.start()
    seen: set[str] = set()
    with Load(site.port, total=12, rate=3, clients=6) as load:
        while not answers and busy.is_alive():
            seen.add(servers(site.status())["shop:0"]["state"])
    busy.join()
    assert [answer.status for answer in answers] == [200]
    assert answers[0].took >= 5
    assert seen == {"up"}
    assert load.report.failures == {}
    site.down()
