"""`start`, `stop`, `restart` and `scale`."""

from __future__ import annotations

import json
from typing import Any

import pytest

from .conftest import FakeMaster, instance


@pytest.mark.parametrize("verb", ["start", "stop", "restart"])
@pytest.mark.parametrize(("target", "index"), [("shop", None), ("shop:1", 1)])
def test_an_app_or_one_of_its_instances(master: FakeMaster, gapura: Any, verb: str, target: str, index: int | None) -> None:
    master.says[verb] = [{"type": "progress", "text": "shop:1 is being replaced"}, master.ok(app="shop", instances=[instance(1)])]
    done = gapura(verb, target)
    assert done.status == 0
    assert master.commands(verb) == [{"app": "shop", "index": index}]
    assert done.out == "shop:1 is being replaced\nshop:1  ready  127.0.0.1:5001\n"


def test_json_is_only_the_result(master: FakeMaster, gapura: Any) -> None:
    master.says["restart"] = [{"type": "progress", "text": "working"}, master.ok(app="shop", instances=[])]
    assert json.loads(gapura("restart", "shop", "--json").out) == {"app": "shop", "instances": []}


def test_scale(master: FakeMaster, gapura: Any) -> None:
    master.says["scale"] = [
        master.ok(app="shop", instances=[instance(0), instance(1), instance(2, state="starting", address=None)])
    ]
    assert gapura("scale", "shop", "3").out.splitlines()[2] == "shop:2  starting"
    assert master.commands("scale") == [{"app": "shop", "instances": 3}]


@pytest.mark.parametrize(
    ("words", "said", "hint"),
    [
        (["restart", "shp"], "there is no app 'shp'", "did you mean `shop`?"),
        (["stop", "xyzzy:0"], "there is no app 'xyzzy'", "the apps are: shop"),
        (["scale", "hsop", "2"], "there is no app 'hsop'", "did you mean `shop`?"),
        (["start", "shop:2"], "shop has no instance 2", "its instances are: shop:0, shop:1"),
    ],
)
def test_a_wrong_name_is_not_sent(master: FakeMaster, gapura: Any, words: list[str], said: str, hint: str) -> None:
    done = gapura(*words)
    assert done.status == 1
    assert done.err == f"gapura: {said}\n  {hint}\n"
    assert {one["name"] for one in master.heard} == {"status"}


def test_an_app_that_does_not_come_up_is_an_error(master: FakeMaster, gapura: Any) -> None:
    master.says["restart"] = [{"type": "reply", "ok": False, "error": "shop:0 does not start", "hint": "see `gapura logs`"}]
    done = gapura("restart", "shop")
    assert (done.status, done.err) == (1, "gapura: shop:0 does not start\n  see `gapura logs`\n")
