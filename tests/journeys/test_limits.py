"""Limits, stickiness and shares with two real workers: what one of them counts, the other one knows."""

from __future__ import annotations

import http.client
import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from typing import ClassVar

import pytest

from .harness.client import HOST, Answer, visit
from .harness.foreign import Foreign
from .harness.proc import until
from .harness.site import Site, section, toml


class Visitor:
    """A connection that stays, so that all of its requests go to the same worker."""

    open: ClassVar[list[http.client.HTTPConnection]] = []

    def __init__(self, port: int) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self.open.append(self.connection)

    def ask(self, path: str = "/", **fields: str) -> Answer:
        self.send(path, **fields)
        return self.answer()

    def send(self, path: str = "/", **fields: str) -> None:
        self.connection.request("GET", path, headers={"Host": HOST, **fields})

    def answer(self) -> Answer:
        response = self.connection.getresponse()
        body = response.read().decode("utf-8", "replace")
        return Answer(response.status, body, 0.0, {name.lower(): value for name, value in response.getheaders()})


@pytest.fixture(autouse=True)
def _leave() -> Iterator[None]:
    """All visitors leave at the end."""
    yield
    while Visitor.open:
        Visitor.open.pop().close()


def one_at_each_worker(port: int) -> list[Visitor]:
    """Visitors of two different workers: a request id begins with what is the worker's own."""
    found: dict[str, Visitor] = {}
    for _ in range(200):
        visitor = Visitor(port)
        worker = visitor.ask("/hello").fields["x-request-id"][:16]
        found.setdefault(worker, visitor)
        if len(found) == 2:
            return list(found.values())
    raise AssertionError("all connections went to one worker")


def shop(site: Site, *upstreams: str, **words: object) -> None:
    """A site with these words, and a route that is not limited."""
    lines = "".join(f"{word} = {toml(value)}\n" for word, value in words.items())
    free = f'[[sites."{HOST}".routes]]\npath = "/hello"\nrespond = "hello"\nlimit = []\nlimit_connections = []\n'
    site.configure(*upstreams, f'[sites."{HOST}"]\n{lines}\n{free}', proxy="")


def test_a_rate_is_one_rate_for_all_workers(site: Site) -> None:
    shop(site, respond="hi", limit={"rate": "6/h", "burst": 9})
    site.up()
    visitors = one_at_each_worker(site.port)
    statuses = [visitors[number % 2].ask().status for number in range(20)]
    assert statuses == [200] * 10 + [429] * 10
    assert int(visitors[0].ask().fields["retry-after"]) > 500
    site.gapura("reload")
    assert visitors[1].ask().status == 429, "a reload sets nobody free"
    site.down()


def test_a_worker_that_is_killed_sets_nobody_free(site: Site) -> None:
    shop(site, respond="hi", limit={"rate": "6/h", "burst": 3})
    site.up()
    assert [visit(site.port).status for _ in range(5)] == [200] * 4 + [429]
    before = site.worker_pids()
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    site.wait(lambda status: len(site.worker_pids()) == 2 and not set(before) & set(site.worker_pids()))
    assert visit(site.port).status == 429
    site.down()


def test_requests_under_way_are_counted_over_all_workers_and_forgotten_with_theirs(
    site: Site, foreign: Callable[..., Foreign]
) -> None:
    server = foreign("a")
    shop(site, section("upstreams.shop", servers=[server.address]), proxy="shop", limit_connections=4)
    site.up()
    one, two = one_at_each_worker(site.port)
    more = [Visitor(site.port) for _ in range(2)]
    for visitor in (one, two, *more):
        visitor.send("/slow?seconds=60")
    # (A visit before all four are there would be the fourth, and leave again.)
    site.wait(lambda status: [group["servers"][0]["active"] for group in status["upstreams"] if group["name"] == "shop"] == [4])
    assert visit(site.port).status == 429
    assert visit(site.port, "/hello").status == 200
    before = site.worker_pids()
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    site.wait(lambda status: len(site.worker_pids()) == 2 and not set(before) & set(site.worker_pids()))
    assert [visit(site.port).status for _ in range(5)] == [200] * 5
    site.down()


def test_a_visitor_stays_over_workers_reloads_and_a_restart(site: Site, foreign: Callable[..., Foreign]) -> None:
    servers = [foreign(name) for name in "abc"]
    upstream = section("upstreams.shop", servers=[server.address for server in servers], sticky=True)
    shop(site, upstream, proxy="shop")
    site.up()
    visitors = one_at_each_worker(site.port)
    first = visitors[0].ask()
    cookie = first.fields["set-cookie"].partition(";")[0]
    served = first.fields["x-served-by"]
    assert not any(server.address in cookie for server in servers)
    for _ in range(4):
        for visitor in visitors:
            again = visitor.ask(Cookie=cookie)
            assert (again.fields["x-served-by"], again.fields.get("set-cookie")) == (served, None)
    shop(site, section("upstreams.shop", servers=[server.address for server in reversed(servers)], sticky=True), proxy="shop")
    site.gapura("reload")
    assert {visitor.ask(Cookie=cookie).fields["x-served-by"] for visitor in visitors} == {served}
    site.down()
    site.up()
    assert Visitor(site.port).ask(Cookie=cookie).fields["x-served-by"] == served
    next(server for server in servers if server.address == served).stop()
    moved = Visitor(site.port).ask(Cookie=cookie)
    assert moved.status == 200
    assert moved.fields["x-served-by"] != served
    assert moved.fields["set-cookie"].partition(";")[0] != cookie
    site.down()


def test_shares_and_copies(site: Site, foreign: Callable[..., Foreign]) -> None:
    old, new, shadow = foreign("old"), foreign("new"), foreign("shadow")
    choices = [{"proxy": old.address, "share": 75}, {"proxy": new.address, "share": 25}]
    shop(site, split=choices, mirror=shadow.address)
    site.up()
    visitors = one_at_each_worker(site.port)
    found = Counter(visitor.ask().body.partition(" ")[0] for _ in range(20) for visitor in visitors)
    assert found == {"old": 30, "new": 10}
    cookie = next(line for line in (visitors[0].ask().fields.get("set-cookie", "") for _ in range(9)) if line).partition(";")[0]
    assert len({visitor.ask(Cookie=cookie).body for _ in range(5) for visitor in visitors}) == 1
    shadow.stop()
    assert [visitor.ask().status for _ in range(20) for visitor in visitors] == [200] * 40
    shadow.start()
    shadow.freeze()
    assert [visitor.ask().status for _ in range(20) for visitor in visitors] == [200] * 40
    site.down()


def test_the_queue_of_a_full_server(site: Site, foreign: Callable[..., Foreign]) -> None:
    server = foreign("a")
    words = {"servers": [server.address], "max_conns": 1, "queue": 2, "queue_timeout": "20s", "health": False}
    shop(site, section("upstreams.shop", **words), proxy="shop")
    site.configure(section("upstreams.shop", **words), section(f'sites."{HOST}"', proxy="shop"), proxy="", workers=1)
    site.up()
    visitors = [Visitor(site.port) for _ in range(3)]
    visitors[0].send("/slow?seconds=2")
    site.wait(lambda status: status["upstreams"][0]["servers"][0]["active"] == 1)
    for visitor in visitors[1:]:
        visitor.send("/")
    until(lambda: visit(site.port).status == 503, what="the queue is full")
    refused = visit(site.port)
    assert (refused.status, refused.fields["retry-after"]) == (503, "2")
    assert [visitor.answer().status for visitor in visitors] == [200] * 3
    assert visit(site.port).status == 200
    site.down()
