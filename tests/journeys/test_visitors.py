"""What a visitor sees when things go wrong, and what the operator is told."""

from __future__ import annotations

import threading
from collections.abc import Callable
from itertools import pairwise

from .harness.client import HOST, Answer, arrivals, visit
from .harness.foreign import Foreign
from .harness.proc import until
from .harness.site import MARK, Site, free_port, instances, plain, program, section, settled


def test_the_page_after_stop_of_all_copies(site: Site) -> None:
    site.configure(site.app(hold="100s"))
    site.up()
    site.gapura("stop", "shop")
    english, indonesian = visit(site.port), visit(site.port, language="id-ID,id;q=0.9,en;q=0.8", timeout=120)
    for answer in (english, indonesian):
        assert answer.status == 503
        assert int(answer.fields["retry-after"]) > 0
        assert answer.fields["content-type"].startswith("text/html")
        assert "no-store" in answer.fields["cache-control"]
        assert answer.took < 60, "nobody is held for what was stopped on purpose"
    assert '<html lang="en"' in english.body
    assert '<html lang="id"' in indonesian.body
    site.gapura("start", "shop")
    site.wait(settled)
    assert visit(site.port).status == 200
    site.down()


def test_an_unknown_host_gets_a_plain_explanation_and_no_other_site(site: Site) -> None:
    site.configure(site.app())
    site.up()
    answer = visit(site.port, host="unknown.test")
    assert answer.status == 421
    assert "The name unknown.test is not configured here." in answer.body
    answer = visit(site.port, host="unknown.test", language="id")
    assert "Nama unknown.test tidak dikonfigurasi di sini." in answer.body
    assert visit(site.port).status == 200
    site.down()


def test_a_name_that_does_not_resolve_degrades_only_its_own_route(site: Site) -> None:
    site.configure(
        site.app(),
        section("upstreams.far", servers=["no-such-host.invalid:80"]),
        section('sites."far.test"', proxy="far"),
    )
    site.up()
    assert visit(site.port).status == 200
    assert visit(site.port, host="far.test").status in (502, 503)
    assert visit(site.port).status == 200
    site.down()


def test_a_crash_loop_is_named_with_its_cause(site: Site, foreign: Callable[..., Foreign]) -> None:
    port = free_port()
    site.configure(site.app(instances=1, port=port, max_restarts=3, hold="100s"))
    site.up()
    site.gapura("stop", "shop")
    thief = Foreign(port, "thief")
    try:
        thief.start()
        assert thief.process is not None
        site.gapura("start", "shop", check=False)
        site.wait(lambda status: instances(status)[0]["state"] == "crashed", within=20)
        shown = plain(site.gapura("ps").stdout)
        assert "crashed" in shown
        explained = " ".join(plain(site.gapura("ps").stdout + site.gapura("ps", "--json").stdout).split())
        assert f"port {port} is held by pid {thief.process.pid}" in explained
        answer = visit(site.port)
        assert answer.status == 503
        assert answer.took < 60, "nobody is held for what does not return by itself"
    finally:
        thief.stop()
    site.gapura("restart", "shop")
    site.wait(settled)
    assert visit(site.port).status == 200
    site.down()


def test_server_sent_events_come_one_by_one(site: Site) -> None:
    site.configure(site.app())
    site.up()
    moments = arrivals(site.port, 10)
    assert len(moments) == 10
    assert all(later - earlier > 0.02 for earlier, later in pairwise(moments)), "sent 50 ms apart, they came together"
    site.down()


def test_requests_made_while_an_app_starts_for_the_first_time_are_held(site: Site) -> None:
    site.configure(site.app("--start-after", "1", hold="100s"))
    site.up(ready=False)
    answer = visit(site.port)
    assert answer.status == 200
    site.down()


def test_a_slow_request_survives_the_stop_of_its_copy(site: Site) -> None:
    site.configure(site.app())
    site.up()
    found: list[Answer] = []
    visitors = [threading.Thread(target=lambda: found.append(visit(site.port, "/slow?seconds=1.5"))) for _ in range(4)]
    for visitor in visitors:
        visitor.start()
    until(lambda: sum(server["active"] for one in site.status()["upstreams"] for server in one["servers"]) == 4)
    site.gapura("restart", "shop")
    for visitor in visitors:
        visitor.join()
    assert [answer.status for answer in found] == [200] * 4
    assert all(answer.fields["x-served-by"].startswith("shop:") for answer in found)
    site.down()


def test_the_homework(site: Site) -> None:
    """Two copies, a domain, a failover shown: one file of seven lines, three commands, a browser, nothing as root."""
    site.write(
        f"""[edge]
http = "127.0.0.1:{site.port}"
[apps.shop]
command = "env {MARK}={site.mark} {program()}"
instances = 2
[sites."{HOST}"]
proxy = "shop"
"""
    )
    site.gapura("up", "-d")
    site.wait(settled)
    assert {visit(site.port).fields["x-served-by"] for _ in range(8)} == {"shop:0", "shop:1"}
    site.gapura("stop", "shop:0")
    assert {visit(site.port).fields["x-served-by"] for _ in range(8)} == {"shop:1"}
    site.down()
