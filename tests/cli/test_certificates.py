"""`gapura certificates`."""

from __future__ import annotations

import json
import time
from typing import Any

from .conftest import FakeMaster

DAY = 86400.0


def row(host: str, **words: Any) -> dict[str, Any]:
    return {
        "host": host,
        "wanted": "acme",
        "source": "acme",
        "issuer": "Somebody R3",
        "not_after": time.time() + 60 * DAY,
        "next_try": time.time() + 30 * DAY + 60,
        "busy": False,
        "failures": 0,
        "problem": "",
    } | words


def say(master: FakeMaster, *rows: dict[str, Any]) -> None:
    master.says["status"] = [master.ok(certificates=list(rows))]


def test_a_table_and_what_is_wrong(master: FakeMaster, gapura: Any) -> None:
    fallback = {"source": "local", "issuer": "Gapura local CA", "failures": 3, "problem": "no DNS server knows alvin.xyz"}
    say(master, row("example.com"), row("alvin.xyz", **fallback, next_try=time.time() + 125))
    lines = gapura("certificates").out.splitlines()
    assert lines[0].split() == ["host", "source", "issuer", "until", "next", "try"]
    assert lines[1].startswith("example.com  public    Somebody R3")
    assert lines[1].endswith("in 30 d")
    assert lines[2].startswith("alvin.xyz    local CA")
    assert "in 2 min" in lines[2]
    assert lines[-1] == "alvin.xyz (3 times): no DNS server knows alvin.xyz"


def test_one_that_is_not_there_yet_and_one_that_is_over(master: FakeMaster, gapura: Any) -> None:
    none = {"source": None, "issuer": None, "not_after": None, "next_try": None}
    say(master, row("new.test", **none), row("old.test", not_after=time.time() - DAY, busy=True))
    out = gapura("certificates").out
    assert "new.test  none yet" in out
    assert "(over)" in out
    assert out.splitlines()[2].endswith("now")


def test_none_at_all(master: FakeMaster, gapura: Any) -> None:
    say(master)
    assert "Gapura gets no certificates here" in gapura("certificates").out
    assert json.loads(gapura("certificates", "--json").out) == []


def test_json(master: FakeMaster, gapura: Any) -> None:
    one = row("example.com")
    say(master, one)
    assert json.loads(gapura("certificates", "--json").out) == [one]


def test_renew(master: FakeMaster, gapura: Any) -> None:
    master.says["renew"] = [master.ok(hosts=["a.test", "b.test"])]
    assert gapura("certificates", "--renew", "all").out == "Getting new certificates for a.test, b.test.\n"
    assert master.commands("renew") == [{"host": "all"}]


def test_nobody_runs(folder: Any, gapura: Any) -> None:
    done = gapura("certificates")
    assert done.status == 1
    assert "not running here" in done.err
