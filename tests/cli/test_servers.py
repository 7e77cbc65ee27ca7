"""`drain` and `enable`."""

from __future__ import annotations

import json
from typing import Any

import pytest

from .conftest import FakeMaster


@pytest.mark.parametrize(
    ("verb", "told"),
    [("drain", "127.0.0.1:3000 of api gets no new requests.\n"), ("enable", "127.0.0.1:3000 of api gets requests again.\n")],
)
def test_a_server_by_its_address(master: FakeMaster, gapura: Any, verb: str, told: str) -> None:
    master.says[verb] = [master.ok(server={})]
    assert gapura(verb, "api", "127.0.0.1:3000").out == told
    assert master.commands(verb) == [{"upstream": "api", "address": "127.0.0.1:3000"}]


@pytest.mark.parametrize("name", ["shop:0", "127.0.0.1:5000"])
def test_an_instance_by_its_id_or_address(master: FakeMaster, gapura: Any, name: str) -> None:
    master.says["drain"] = [master.ok(server={"id": "shop:0"})]
    assert json.loads(gapura("drain", "shop", name, "--json").out) == {"server": {"id": "shop:0"}}
    assert master.commands("drain") == [{"upstream": "shop", "address": "shop:0"}]


@pytest.mark.parametrize(
    ("words", "said", "hint"),
    [
        (["drain", "apo", "x"], "there is no upstream 'apo'", "did you mean `api`?"),
        (["enable", "zzz", "x"], "there is no upstream 'zzz'", "the upstreams are: shop, api"),
        (["drain", "api", "127.0.0.1:300"], "api has no server 127.0.0.1:300", "did you mean `127.0.0.1:3002`?"),
        (["drain", "api", "z"], "api has no server z", "its servers are: 127.0.0.1:3000, 127.0.0.1:3001, 127.0.0.1:3002"),
    ],
)
def test_a_wrong_name_is_not_sent(master: FakeMaster, gapura: Any, words: list[str], said: str, hint: str) -> None:
    done = gapura(*words)
    assert done.status == 1
    assert done.err == f"gapura: {said}\n  {hint}\n"
    assert {one["name"] for one in master.heard} == {"status"}
