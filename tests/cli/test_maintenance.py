"""`maintenance`."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from .conftest import FakeMaster


def close(master: FakeMaster, until: float = 0, message: str = "") -> None:
    """From now on the first site is in maintenance."""
    document = master.says["status"][-1]
    document["sites"][0]["closed"] = {"since": time.time() - 65, "until": until, "message": message}


def test_on(master: FakeMaster, gapura: Any) -> None:
    master.says["close_sites"] = [master.ok(generation=2, changes=[])]
    close(master, time.time() + 1800, "back soon")
    done = gapura("maintenance", "on", "Shop.localhost", "--for", "30m", "--message", "back soon")
    assert (done.status, done.err) == (0, "")
    assert master.commands("close_sites") == [{"sites": ["shop.localhost"], "seconds": 1800.0, "message": "back soon"}]
    assert done.out == "shop.localhost: in maintenance, begun 1 min 5 s ago, opens in 30 min: back soon\n"


def test_what_has_just_begun_is_not_for_no_time(master: FakeMaster, gapura: Any) -> None:
    close(master)
    master.says["status"][-1]["sites"][0]["closed"]["since"] = time.time() + 1
    assert gapura("maintenance", "status", "shop.localhost").out == "shop.localhost: in maintenance\n"


def test_off(master: FakeMaster, gapura: Any) -> None:
    master.says["open_sites"] = [master.ok(generation=2, changes=[])]
    assert gapura("maintenance", "off", "shop.localhost").out == "shop.localhost: open\n"
    assert master.commands("open_sites") == [{"sites": ["shop.localhost"]}]


def test_what_would_not_outlive_a_restart_is_told(master: FakeMaster, gapura: Any) -> None:
    master.says["open_sites"] = [master.ok(generation=2, changes=[], problem="it cannot be written")]
    done = gapura("maintenance", "off", "shop.localhost")
    assert (done.status, done.out, done.err) == (0, "shop.localhost: open\n", "warning: it cannot be written\n")


def test_all(master: FakeMaster, gapura: Any) -> None:
    master.says["close_sites"] = [master.ok()]
    hosts = [site["hosts"][0] for site in master.says["status"][-1]["sites"]]
    assert gapura("maintenance", "on", "--all").status == 0
    assert master.commands("close_sites") == [{"sites": hosts, "seconds": None, "message": ""}]


@pytest.mark.parametrize("words", [[], ["status"]])
def test_status(master: FakeMaster, gapura: Any, words: list[str]) -> None:
    close(master)
    lines = gapura("maintenance", *words).out.splitlines()
    assert lines[0] == "shop.localhost: in maintenance, begun 1 min 5 s ago"
    assert all(line.endswith(": open") for line in lines[1:])
    assert "in maintenance, begun 1 min" in gapura("status").out


def test_json(master: FakeMaster, gapura: Any) -> None:
    close(master, message="x")
    rows = json.loads(gapura("maintenance", "status", "shop.localhost", "--json").out)
    assert [(row["site"], row["maintenance"]["message"]) for row in rows] == [("shop.localhost", "x")]


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["on"], 2, "which site?"),
        (["off"], 2, "which site?"),
        (["on", "shp.localhost"], 1, "did you mean `shop.localhost`?"),
        (["off", "xyzzy"], 1, "the sites are: shop.localhost"),
        (["on", "shop.localhost", "--all"], 2, "--all means every site already"),
        (["off", "shop.localhost", "--for", "5m"], 2, "--for and --message belong to on"),
        (["status", "--message", "x"], 2, "--for and --message belong to on"),
        (["on", "shop.localhost", "--for", "soon"], 2, "a time such as 90s, 30m, 2h or 1d"),
        (["on", "shop.localhost", "--for", "0s"], 2, "a time such as 90s, 30m, 2h or 1d"),
        (["on", "shop.localhost", "--for", "500d"], 2, "at most a year"),
        (["away"], 2, "'away' is not one of"),
    ],
)
def test_a_wrong_word_is_not_sent(master: FakeMaster, gapura: Any, words: list[str], status: int, said: str) -> None:
    done = gapura("maintenance", *words)
    assert done.status == status
    assert said in done.err
    assert {one["name"] for one in master.heard} <= {"status"}
