"""What each route asks of the master, and what becomes of its answer."""

from __future__ import annotations

from typing import Any

import pytest

from gapura.errors import Problem

from .world import TOML, World

SERVERS = "/v1/upstreams/api/servers"
ONE = f"{SERVERS}/10.0.0.1:3000"
NEW = {"upstream": "api", "address": "10.0.0.9:1", "weight": 1, "backup": False}


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "asked"),
    [
        ("POST", "/v1/apps/shop/start", None, 200, {"name": "start", "app": "shop", "index": None}),
        ("POST", "/v1/apps/shop/start", {}, 200, {"name": "start", "app": "shop", "index": None}),
        ("POST", "/v1/apps/shop/stop", {"index": 1}, 200, {"name": "stop", "app": "shop", "index": 1}),
        ("POST", "/v1/apps/shop/restart", {"index": 1.0}, 200, {"name": "restart", "app": "shop", "index": 1}),
        ("PUT", "/v1/apps/shop/instances", {"instances": 3}, 200, {"name": "scale", "app": "shop", "instances": 3}),
        ("POST", SERVERS, {"address": "10.0.0.9:1"}, 201, {"name": "server_add", **NEW}),
        ("POST", SERVERS, {"address": "10.0.0.9:1", "fail_timeout": 5}, 201, {"name": "server_add", **NEW, "fail_timeout": 5.0}),
        ("PATCH", ONE, {"weight": 5}, 200, {"name": "server_weight", "upstream": "api", "server": "10.0.0.1:3000", "weight": 5}),
        ("PATCH", ONE, {"state": "draining"}, 200, {"name": "drain", "upstream": "api", "address": "10.0.0.1:3000"}),
        ("PATCH", ONE, {"state": "enabled"}, 200, {"name": "enable", "upstream": "api", "address": "10.0.0.1:3000"}),
        ("DELETE", ONE, None, 200, {"name": "server_remove", "upstream": "api", "server": "10.0.0.1:3000"}),
        ("POST", "/v1/reload", None, 200, {"name": "reload"}),
        ("POST", "/v1/reload", {}, 200, {"name": "reload"}),
        ("POST", "/v1/config/check", {"text": "x"}, 200, {"name": "config_check", "text": "x"}),
        ("POST", "/v1/certificates/renew", {"host": "all"}, 202, {"name": "renew", "host": "all"}),
        (
            *("PUT", "/v1/sites/SHOP.test/maintenance", {"seconds": 60, "message": "soon"}, 200),
            {"name": "close_sites", "sites": ["shop.test"], "seconds": 60.0, "message": "soon"},
        ),
        ("DELETE", "/v1/sites/shop.test/maintenance", None, 200, {"name": "open_sites", "sites": ["shop.test"]}),
    ],
)
def test_a_change_is_asked_of_the_master(
    world: World, method: str, path: str, body: Any, status: int, asked: dict[str, Any]
) -> None:
    answer = world.ask(method, path, body)
    assert answer.status == status, answer.body
    assert world.last() == asked
    assert world.asked[-1]["by"]


def test_an_instance_is_named_by_its_address_too(world: World) -> None:
    address = world.ask("GET", "/v1/upstreams").json["upstreams"][1]["servers"][1]["address"]
    assert world.ask("PATCH", f"/v1/upstreams/shop/servers/{address}", {"state": "draining"}).status == 200
    assert world.last()["address"] == "shop:1"


def test_a_change_may_say_which_generation_it_goes_by(world: World) -> None:
    assert world.ask("GET", "/v1/config").headers["etag"] == '"7"'
    for tag, generation in (('"7"', 7), ('"5", "7"', 7), ("*", None)):
        assert world.ask("DELETE", ONE, If_Match=tag).status == 200
        assert world.last().get("generation") == generation
    answer = world.ask("PUT", "/v1/config", {"text": "x"}, If_Match='"7"')
    assert (answer.status, answer.headers["etag"]) == (200, '"8"')
    assert world.last() == {"name": "config_put", "text": "x", "generation": 7}


@pytest.mark.parametrize(
    ("reply", "status", "word"),
    [
        ({"ok": False, "error": "web has no instance", "hint": "look"}, 409, "look"),
        ({"ok": False, "error": "it was changed", "code": "conflict"}, 412, "changed"),
        ({"ok": False, "error": "only files say that", "code": "forbidden"}, 403, "files"),
        ({"ok": False, "error": "there is none", "code": "missing"}, 404, "none"),
        ({"ok": False, "error": "", "problems": [Problem("no such key", "g.toml", 3, 1).as_dict()]}, 422, "no such key"),
    ],
)
def test_what_the_master_refuses_is_told_with_its_words(world: World, reply: dict[str, Any], status: int, word: str) -> None:
    world.replies["config_put"] = lambda _: reply
    answer = world.ask("PUT", "/v1/config", {"text": "x"}, If_Match="*")
    assert answer.status == status
    assert word in str(answer.json)


def test_a_master_that_is_away_is_503(world: World) -> None:
    world.context._tell = lambda _: False
    answer = world.ask("POST", "/v1/reload")
    assert answer.status == 503
    assert answer.headers["retry-after"]


def test_the_text_of_the_configuration_is_for_who_may_change_it(world: World) -> None:
    document = world.ask("GET", "/v1/config").json
    assert document["text"] == TOML
    assert document["plan"]["apps"]["shop"]["env"] == {"SECRET": "…"}
    assert "hush" not in str(document["plan"])


def test_what_is_there_is_told(world: World) -> None:
    assert world.ask("GET", "/v1/status").json["file"] == world.plan["file"]
    assert [app["name"] for app in world.ask("GET", "/v1/apps").json["apps"]] == ["shop"]
    assert len(world.ask("GET", "/v1/apps/shop").json["instances"]) == 2
    assert world.ask("GET", "/v1/certificates").json == {"certificates": []}
    picture = world.ask("GET", "/v1/picture").json
    assert [site["id"] for site in picture["sites"]] == ["shop.test", "api.test"]
    assert picture["sites"][1]["routes"][0]["upstreams"] == ["api"]
    assert {server["id"]: server["weight"] for server in picture["upstreams"][0]["servers"]} == {
        "10.0.0.1:3000": 1,
        "10.0.0.2:3000": 2,
    }


def test_changes_are_in_the_audit_log_and_questions_are_not(world: World) -> None:
    world.ask("GET", "/v1/status")
    world.ask("POST", "/v1/reload")
    world.ask("POST", "/v1/apps/shop/stop", {"index": 0})
    changes = world.ask("GET", "/v1/audit?limit=5").json["changes"]
    assert [change["action"] for change in changes] == ["stop", "reload"]
    assert changes[0]["what"] == {"app": "shop", "index": 0}


def test_explain_goes_by_the_plan_that_is_served(world: World) -> None:
    found = world.ask("GET", "/v1/explain?url=http://api.test/v2/x").json
    assert found["route"]["path"] == "/v2/"
    assert found["upstream"]["name"] == "api"
    assert [server["id"] for server in found["servers"]] == ["10.0.0.1:3000", "10.0.0.2:3000"]
    assert found["url"] == "http://api.test/v2/x"
    assert world.ask("GET", "/v1/explain?url=nowhere.test").json["site"] is None
