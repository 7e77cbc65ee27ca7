"""For each route a table of what it refuses, and how it says so."""

from __future__ import annotations

from typing import Any

import pytest

from gapura.board import STATE, STOPPED

from .world import World

ID = "/v1/upstreams/api/servers/10.0.0.1:3000"
LONG = "x" * 400
CASES: list[tuple[str, str, Any, int, str]] = [
    ("GET", "/v1/nothing", None, 404, ""),
    ("GET", "/v1/live?interval=3", None, 422, "interval"),
    ("GET", "/v1/live?interval=x", None, 422, "interval"),
    ("POST", "/v1/live", None, 405, ""),
    ("GET", "/v1/history?seconds=0", None, 422, "seconds"),
    ("GET", "/v1/history?seconds=86401", None, 422, "seconds"),
    ("GET", "/v1/history?seconds=1e3", None, 422, "seconds"),
    ("GET", "/v1/history?site=shop.tets", None, 404, "shop.test"),
    ("GET", "/v1/history?site=%20", None, 422, "site"),
    ("GET", "/v1/history?route=19", None, 404, "route"),
    ("GET", "/v1/history?route=-1", None, 422, "route"),
    ("GET", "/v1/history?server=api/10.0.0.9:1", None, 404, "server"),
    ("GET", "/v1/requests?limit=0", None, 422, "limit"),
    ("GET", "/v1/requests?limit=1001", None, 422, "limit"),
    ("GET", "/v1/requests?status=600", None, 422, "status"),
    ("GET", "/v1/requests?status=5xx,", None, 422, "status"),
    ("GET", "/v1/requests?failed=perhaps", None, 422, "failed"),
    ("GET", "/v1/requests?min_ms=-1", None, 422, "min_ms"),
    ("GET", "/v1/requests?min_ms=nan", None, 422, "min_ms"),
    ("GET", "/v1/requests?site=nowhere", None, 404, "nowhere"),
    ("GET", "/v1/requests?server=x", None, 404, "server"),
    ("GET", "/v1/requests/unknown", None, 404, "unknown"),
    ("GET", f"/v1/requests/{LONG}", None, 422, "request"),
    ("GET", "/v1/requests/a%0Ab", None, 404, ""),
    ("GET", "/v1/failures?limit=0", None, 422, "limit"),
    ("GET", "/v1/apps/shp", None, 404, "shop"),
    ("GET", "/v1/apps/..%2f..%2fetc", None, 404, ""),
    ("GET", f"/v1/apps/{LONG}", None, 422, "app"),
    ("POST", "/v1/apps/shop/explode", {}, 404, ""),
    ("POST", "/v1/apps/nope/start", {}, 404, "nope"),
    ("POST", "/v1/apps/shop/start", {"index": 2}, 404, "instance 2"),
    ("POST", "/v1/apps/shop/start", {"index": -1}, 422, "index"),
    ("POST", "/v1/apps/shop/start", {"index": "0"}, 422, "index"),
    ("POST", "/v1/apps/shop/start", {"index": True}, 422, "index"),
    ("POST", "/v1/apps/shop/start", {"index": 0.5}, 422, "index"),
    ("POST", "/v1/apps/shop/stop", {"indx": 0}, 422, "indx"),
    ("POST", "/v1/apps/shop/restart", [], 422, ""),
    ("POST", "/v1/apps/shop/restart", b"{", 422, ""),
    ("PUT", "/v1/apps/shop/instances", {}, 422, "instances"),
    ("PUT", "/v1/apps/shop/instances", {"instances": 257}, 422, "instances"),
    ("PUT", "/v1/apps/shop/instances", {"instances": -1}, 422, "instances"),
    ("PUT", "/v1/apps/nope/instances", {"instances": 1}, 404, "nope"),
    ("GET", "/v1/apps/shop/instances/2/log", None, 404, "instance 2"),
    ("GET", "/v1/apps/shop/instances/-1/log", None, 422, "index"),
    ("GET", "/v1/apps/shop/instances/0/log?lines=5001", None, 422, "lines"),
    ("POST", "/v1/upstreams/nope/servers", {"address": "1.2.3.4:5"}, 404, "nope"),
    ("POST", "/v1/upstreams/api/servers", {}, 422, "address"),
    ("POST", "/v1/upstreams/api/servers", {"address": ""}, 422, "address"),
    ("POST", "/v1/upstreams/api/servers", {"address": LONG}, 422, "address"),
    ("POST", "/v1/upstreams/api/servers", {"address": "a:1", "weight": 0}, 422, "weight"),
    ("POST", "/v1/upstreams/api/servers", {"address": "a:1", "fail_timeout": 0}, 422, "fail_timeout"),
    ("POST", "/v1/upstreams/api/servers", {"address": "a:1", "wieght": 1}, 422, "wieght"),
    ("PATCH", "/v1/upstreams/api/servers/10.9.9.9:1", {"weight": 1}, 404, "10.9.9.9:1"),
    ("PATCH", ID, {}, 422, "nothing"),
    ("PATCH", ID, {"state": "disabled"}, 422, "state"),
    ("PATCH", ID, {"weight": 10_001}, 422, "weight"),
    ("DELETE", "/v1/upstreams/api/servers/10.9.9.9:1", None, 404, "10.9.9.9:1"),
    ("DELETE", "/v1/upstreams/nope/servers/10.0.0.1:3000", None, 404, "nope"),
    ("POST", "/v1/config/check", {"text": 1}, 422, "text"),
    ("POST", "/v1/config/check", {"text": "x" * ((1 << 20) + 1)}, 422, "text"),
    ("PUT", "/v1/config", {"text": ""}, 428, "If-Match"),
    ("PUT", "/v1/sites/nope.test/maintenance", {}, 404, "nope.test"),
    ("PUT", "/v1/sites/shop.test/maintenance", {"seconds": 0}, 422, "seconds"),
    ("PUT", "/v1/sites/shop.test/maintenance", {"message": LONG + LONG}, 422, "message"),
    ("DELETE", "/v1/sites/nope.test/maintenance", None, 404, "nope.test"),
    ("POST", "/v1/certificates/renew", {"host": ""}, 422, "host"),
    ("GET", "/v1/explain", None, 422, "url"),
    ("GET", "/v1/explain?url=http://a/&method=G%20T", None, 422, "method"),
    ("GET", "/v1/explain?url=http://a/&client=me", None, 422, "client"),
    ("GET", "/v1/explain?url=ht%20tp", None, 422, "URL"),
    ("GET", f"/v1/explain?url={LONG * 11}", None, 422, "url"),
    ("POST", "/v1/try", {"site": "nope.test"}, 404, "nope.test"),
    ("POST", "/v1/try", {"site": "shop.test", "requests": 201}, 422, "requests"),
    ("POST", "/v1/try", {"site": "shop.test", "per_second": 0.5}, 422, "per_second"),
    ("GET", "/v1/logs/access?slow=-1", None, 422, "slow"),
    ("GET", "/v1/logs/access?site=nope.test", None, 404, "nope.test"),
    ("GET", "/v1/events?since=-1", None, 422, "since"),
    ("GET", "/v1/events?only=app.exploded", None, 422, "app.exploded"),
    ("GET", "/v1/events?limit=1001", None, 422, "limit"),
    ("GET", "/v1/audit?limit=0", None, 422, "limit"),
    ("DELETE", "/v1/status", None, 405, ""),
]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Any:
    one = World(tmp_path_factory.mktemp("bad"))
    yield one
    one.close()


@pytest.mark.parametrize(("method", "path", "body", "status", "word"), CASES)
def test_it_is_refused_with_a_word_about_it(shared: World, method: str, path: str, body: Any, status: int, word: str) -> None:
    before = len(shared.asked)
    answer = shared.ask(method, path, body)
    assert answer.status == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert set(answer.json) == {"title", "status", "detail", "hint", "problems"}
    assert answer.json["status"] == status
    assert word in str(answer.json)
    assert all(message["name"] == "status" for message in shared.asked[before:]), "the master was asked for a change"


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/v1/config", "GET, PUT"),
        (ID, "PATCH, DELETE"),
        ("/v1/sites/shop.test/maintenance", "PUT, DELETE"),
        ("/v1/apps/shop", "GET"),
    ],
)
def test_a_method_that_is_not_allowed_names_those_that_are(shared: World, path: str, allowed: str) -> None:
    assert shared.ask("OPTIONS", path).headers["allow"] == allowed


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/v1/upstreams/api/servers", {"address": "10.0.0.9:1"}),
        ("PATCH", ID, {"weight": 2}),
        ("DELETE", ID, None),
        ("PUT", "/v1/config", {"text": ""}),
    ],
)
@pytest.mark.parametrize("tag", ['"6"', 'W/"7"', "7", '"7', "null", '"7x"'])
def test_a_change_that_goes_by_another_generation_is_refused(shared: World, method: str, path: str, body: Any, tag: str) -> None:
    assert shared.ask(method, path, body, If_Match=tag).status == 412


def test_a_configuration_that_was_not_committed_yet_is_no_mistake_of_ours(world: World) -> None:
    world.context.plan = None
    for path in ("/v1/picture", "/v1/history?site=a", "/v1/apps/shop", "/v1/requests", "/v1/config"):
        assert world.ask("GET", path).status == 503
    world.context.plan = world.plan
    world.board.cells[world.board.slot(0) + STATE] = STOPPED
    assert world.ask("GET", "/v1/picture").json["upstreams"]
