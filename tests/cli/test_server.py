"""`gapura server`: what is sent, and what people read."""

from __future__ import annotations

import json
from typing import Any

import pytest

from .conftest import FakeMaster, document

A = "127.0.0.1:3000"


def answer(master: FakeMaster, name: str, **result: Any) -> None:
    master.says[name] = [master.ok(**{"generation": 4, "changes": ["upstream api: it changed"], "problem": ""} | result)]


def test_add(master: FakeMaster, gapura: Any) -> None:
    answer(master, "server_add")
    words = ["--weight", "2", "--backup", "--max-fails", "3", "--fail-timeout", "5s", "--max-conns", "9"]
    done = gapura("server", "add", "api", "10.0.0.9:3000", *words)
    assert done.out == "upstream api: it changed\n10.0.0.9:3000 is one of api. Generation 4 is serving.\n"
    given = {"weight": 2, "backup": True, "max_fails": 3, "fail_timeout": "5s", "max_conns": 9}
    assert master.commands("server_add") == [{"upstream": "api", "address": "10.0.0.9:3000", **given}]


def test_what_is_left_out_is_the_upstream_s(master: FakeMaster, gapura: Any) -> None:
    answer(master, "server_add")
    gapura("server", "add", "api", "10.0.0.9:3000")
    assert master.commands("server_add") == [{"upstream": "api", "address": "10.0.0.9:3000"}]


def test_remove(master: FakeMaster, gapura: Any) -> None:
    answer(master, "server_remove")
    master.says["server_remove"] = [{"type": "progress", "text": "waiting"}, *(master.says["server_remove"] or [])]
    done = gapura("server", "remove", "api", A, "--force", "--wait", "1.5")
    assert (done.out.splitlines()[-1], done.err) == (f"{A} has left api. Generation 4 is serving.", "waiting\n")
    assert master.commands("server_remove") == [{"upstream": "api", "server": A, "force": True, "seconds": 1.5}]


def test_weight(master: FakeMaster, gapura: Any) -> None:
    answer(master, "server_weight", changes=[])
    done = gapura("server", "weight", "api", A, "3")
    assert done.out == f"nothing has changed\n{A} of api has weight 3. Generation 4 is serving.\n"
    assert master.commands("server_weight") == [{"upstream": "api", "server": A, "weight": 3}]


def test_reset(master: FakeMaster, gapura: Any) -> None:
    status = document()
    status["upstreams"][1]["removed"] = ["10.0.0.8:80"]
    master.says["status"] = [master.ok(**status)]
    answer(master, "server_reset")
    assert gapura("server", "reset", "api").out.endswith("api is as the file says. Generation 4 is serving.\n")
    assert gapura("server", "reset", "api", "10.0.0.8:80").out.endswith(
        "10.0.0.8:80 of api is as the file says. Generation 4 is serving.\n"
    )
    assert [one["server"] for one in master.commands("server_reset")] == ["", "10.0.0.8:80"]


def test_json_and_what_could_not_be_kept(master: FakeMaster, gapura: Any) -> None:
    answer(master, "server_weight", problem="the disk is full")
    done = gapura("server", "weight", "api", A, "3", "--json")
    assert json.loads(done.out)["generation"] == 4
    assert done.err == "warning: the disk is full\n"


@pytest.mark.parametrize(
    ("words", "said", "hint"),
    [
        (["ad", "api", A], "there is no command `gapura server ad`", "did you mean `add`?"),
        (["zzz"], "there is no command `gapura server zzz`", "see `gapura server --help`"),
        (["add", "apo", A], "there is no upstream 'apo'", "did you mean `api`?"),
        (["add", "zzz", A], "there is no upstream 'zzz'", "the upstreams are: shop, api"),
        (["weight", "api", "127.0.0.1:300", "2"], "api has no server 127.0.0.1:300", "did you mean `127.0.0.1:3002`?"),
        (["remove", "api", "z"], "api has no server z", "its servers are: 127.0.0.1:3000, 127.0.0.1:3001, 127.0.0.1:3002"),
        (["reset", "api", "z"], "api has no server z", "its servers are"),
    ],
)
def test_a_wrong_name_is_not_sent(master: FakeMaster, gapura: Any, words: list[str], said: str, hint: str) -> None:
    done = gapura("server", *words)
    assert done.status in (1, 2)
    assert f"gapura: {said}\n  {hint}" in done.err
    assert {one["name"] for one in master.heard} <= {"status"}


@pytest.mark.parametrize(
    "words", [[], ["add"], ["add", "api"], ["weight", "api", A], ["weight", "api", A, "much"], ["add", "api", A, "--weight", "x"]]
)
def test_wrong_words(master: FakeMaster, gapura: Any, words: list[str]) -> None:
    done = gapura("server", *words)
    assert done.status == (2 if words else 0)
    assert not master.heard


def test_a_refusal_is_shown(master: FakeMaster, gapura: Any) -> None:
    refused = {
        "type": "reply",
        "ok": False,
        "error": "a weight of 0 is none",
        "hint": "`gapura drain api x`",
        "status": 1,
        "problems": [],
    }
    master.says["server_weight"] = [refused]
    assert gapura("server", "weight", "api", A, "0").err == "gapura: a weight of 0 is none\n  `gapura drain api x`\n"
