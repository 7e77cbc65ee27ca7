"""Servers and the text of the configuration changed while visitors come: no request fails, shares are exact, and it stays so."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from .harness.client import visit
from .harness.foreign import Foreign
from .harness.load import Load
from .harness.proc import alive, until
from .harness.site import Site, route, section, servers, settled


def measured(site: Site, load: Load, requests: int) -> Counter[str]:
    """Who answers the requests that begin from now on, once every worker has the newest generation."""
    site.wait(settled)
    begun = time.monotonic()
    load.reached(len(load.report.sent) + requests)
    return Counter(one.server for one in load.report.since(begun))


def in_shares(counts: Counter[str], shares: dict[str, int]) -> bool:
    """Whether the counts are these shares but for one round of each worker, and what was under way."""
    rounds = sum(counts.values()) / sum(shares.values())
    slack = 3 * sum(shares.values())
    return set(counts) == set(shares) and all(abs(counts[name] - rounds * share) <= slack for name, share in shares.items())


def test_servers_come_and_go_under_load(site: Site, foreign: Callable[..., Foreign]) -> None:
    """Through reloads, a kill -9 of the master and an upgrade, too."""
    a, b, c = (foreign(name).address for name in "abc")
    site.configure(section("upstreams.shop", servers=[a, b]))
    site.up()
    with Load(site.port, total=1_000_000, rate=500) as load:
        load.reached(100)
        said = site.gapura("server", "add", "shop", c, "--weight", "2").stdout
        assert f"upstream shop: server {c} added" in said
        site.gapura("server", "weight", "shop", a, "3")
        shares = {a: 3, b: 1, c: 2}
        assert in_shares(measured(site, load, 900), shares)
        site.gapura("server", "remove", "shop", b)
        del shares[b]
        assert in_shares(measured(site, load, 600), shares)
        assert f"stays: upstream shop: server {b} removed by a command" in site.gapura("reload").stdout
        assert in_shares(measured(site, load, 300), shares)
        master = site.status()["master"]["pid"]
        os.kill(master, signal.SIGKILL)
        until(lambda: not alive(master))
        site.up()
        assert in_shares(measured(site, load, 300), shares)
        site.up()
        assert in_shares(measured(site, load, 300), shares)
        site.gapura("server", "reset", "shop")
        assert in_shares(measured(site, load, 300), {a: 1, b: 1})
        load.enough()
    assert load.report.failures == {}
    site.down()
    site.gapura("up", "-d")
    assert set(servers(site.status())) == {a, b}
    site.down()


def test_what_was_said_outlives_the_end_of_everything(site: Site, foreign: Callable[..., Foreign]) -> None:
    a, b = foreign("a").address, foreign("b").address
    site.configure(section("upstreams.shop", servers=[a]))
    site.up()
    site.gapura("server", "add", "shop", b, "--weight", "4", "--max-fails", "0")
    site.down()
    site.up()
    status = servers(site.status())
    assert [(one["weight"], one["added"]) for one in (status[a], status[b])] == [(1, False), (4, True)]
    assert "added" in site.gapura("status").stdout
    site.configure(section("upstreams.shop", servers=[a, b]))
    assert f"the file has {b} itself now" in site.gapura("reload").stdout
    assert servers(site.status())[b]["weight"] == 1
    site.down()


def test_what_is_under_way_on_a_server_that_is_removed_ends_in_peace(site: Site, foreign: Callable[..., Foreign]) -> None:
    a, b = foreign("a").address, foreign("b").address
    site.configure(section("upstreams.shop", servers=[a]))
    site.up()
    answers: list[Any] = []
    slow = threading.Thread(target=lambda: answers.append(visit(site.port, "/slow?seconds=2", timeout=30)))
    slow.start()
    site.wait(lambda status: servers(status)[a]["active"] == 1)
    site.gapura("server", "add", "shop", b)
    site.gapura("server", "remove", "shop", a)
    slow.join()
    assert [answer.status for answer in answers] == [200]
    assert set(servers(site.status())) == {b}
    site.down()


def put(site: Site, text: str, generation: int) -> dict[str, Any]:
    return site.ask("config_put", text=text, generation=generation)


@pytest.mark.parametrize("puts", [4, pytest.param(50, marks=[pytest.mark.full, pytest.mark.timeout(300)])])
def test_texts_change_under_load(site: Site, foreign: Callable[..., Foreign], puts: int) -> None:
    shop = [foreign("a").address, foreign("b").address]

    def text(number: int) -> str:
        site.configure(section("upstreams.shop", servers=shop[: 1 + number % 2]), route("/", proxy="shop"), proxy="")
        made = site.file.read_text() + route("/version", respond=f"version {number}")
        site.write(before)
        return made

    site.configure(section("upstreams.shop", servers=shop), route("/", proxy="shop"), proxy="")
    before = site.file.read_text()
    site.up()
    with Load(site.port, total=1_000_000, rate=200) as load:
        load.reached(50)
        for number in range(puts):
            made = text(number)
            answer = put(site, made, site.ask("config_text")["generation"])
            assert answer["ok"], answer
            assert visit(site.port, "/version").body.strip() == f"version {number}"
            assert site.file.read_text() == made
            before = made
        load.enough()
    assert load.report.failures == {}
    assert "Nothing would change" in site.gapura("diff").stdout
    site.down()


def test_of_two_texts_at_the_same_time_one_wins(site: Site) -> None:
    site.configure(route("/", respond="old"), proxy="")
    site.up()
    before = site.file.read_text()
    generation = site.ask("config_text")["generation"]
    answers: list[dict[str, Any]] = []
    texts = [before.replace("old", word) for word in ("one", "two")]
    threads = [threading.Thread(target=lambda text=text: answers.append(put(site, text, generation))) for text in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answer["ok"] for answer in answers) == [False, True]
    [refused] = [answer for answer in answers if not answer["ok"]]
    assert refused["code"] == "conflict"
    assert site.file.read_text() in texts
    assert visit(site.port).body.strip() in site.file.read_text()
    assert (site.folder / "gapura.toml.before").read_text() == before
    site.write(before)
    refused = put(site, texts[0], site.status()["generation"])
    assert (refused["ok"], refused["code"]) == (False, "conflict")
    assert "+" in json.dumps(refused["problems"])
    site.down()
