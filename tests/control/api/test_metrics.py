"""/metrics and /stub_status as a scraper gets them."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest
from prometheus_client import Metric
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_plain

from gapura import metrics as m
from gapura.board import ADMIN as ADMINISTERED
from gapura.board import DRAINING, ERRORS, HEALTH, P_CONNECTIONS, P_PID, UNHEALTHY, WORKER_ROW, Board
from gapura.control.api.context import MasterAway
from gapura.control.expiry import Dates

from .world import TOML, World, events, numbered

ACCEPT = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
UNITS = ("seconds", "bytes")
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def families(text: bytes, as_openmetrics: bool = False) -> list[Metric]:
    return list((openmetrics.text_string_to_metric_families if as_openmetrics else parse_plain)(text.decode()))


def samples(world: World, **labels: str) -> Samples:
    """One scrape, whose form is checked by the way."""
    text = world.ask("GET", "/metrics").body
    lint(text)
    return {(sample.name, frozenset(sample.labels.items())): sample.value for family in families(text) for sample in family.samples}


def of(found: Samples, name: str, /, **labels: str) -> float | None:
    return found.get((name, frozenset(labels.items())))


def lint(text: bytes) -> None:
    """What `promtool check metrics` looks for: help, types, units, no series twice, no family in two places."""
    seen: set[Any] = set()
    names: set[str] = set()
    for family in families(text):
        assert family.name not in names
        names.add(family.name)
        assert family.documentation.endswith("."), family.name
        assert family.type in ("counter", "gauge", "histogram"), family.name
        assert re.fullmatch(r"gapura_[a-z][a-z0-9_]*[a-z0-9]", family.name)
        assert not re.search(r"_(ms|milliseconds|minutes|hours|days|kb|kilobytes|mb|megabytes|percent)\b", family.name)
        if family.type != "counter":
            assert not family.name.endswith("_total")
        if "duration" in family.name or "time" in family.name.split("_"):
            assert family.name.endswith(UNITS), family.name
        for sample in family.samples:
            key = (sample.name, frozenset(sample.labels.items()))
            assert key not in seen, key
            seen.add(key)
            assert not sample.labels.keys() & {"instance_", "job"}
            assert sample.value >= 0


def count(world: World, row: int, column: int, *requests: tuple[int, float]) -> None:
    """Requests of a route that a worker has counted: status and duration in seconds."""
    cells = world.metrics.cells
    cells[world.metrics.worker_at(column) + m.USED] = 1
    at = world.metrics.row_at(column, row)
    for status, seconds in requests:
        cells[at + m.status_cell(status)] += 1
        cells[at + m.DURATION + m.bucket(int(seconds * 1e9))] += 1
        cells[at + m.DURATION_SUM] += int(seconds * 1e9)
        cells[at + m.SENT] += 100
        cells[at + m.RECEIVED] += 10


def row(world: World, site: str, path: str) -> int:
    return next(
        route["row"] for one in world.plan["sites"] if one["hosts"] == [site] for route in one["routes"] if route["path"] == path
    )


def test_both_formats(world: World) -> None:
    plain, opened = world.ask("GET", "/metrics"), world.ask("GET", "/metrics", accept=ACCEPT)
    assert plain.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert opened.headers["content-type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    one = {sample.name for family in families(plain.body) for sample in family.samples}
    other = {sample.name for family in families(opened.body, True) for sample in family.samples}
    assert one == other
    lint(plain.body)


def test_requests_of_a_route(world: World) -> None:
    number = row(world, "api.test", "/v2/")
    count(world, number, 0, (200, 0.004), (502, 0.3), (207, 0.02), (520, 40.0))
    count(world, number, 3, (200, 0.004))
    found = samples(world)
    said = {"site": "api.test", "route": "/v2/"}
    codes = {code: of(found, "gapura_http_requests_total", **said, code=code) for code in ("200", "502", "2xx", "5xx", "404")}
    assert codes == {"200": 2, "502": 1, "2xx": 1, "5xx": 1, "404": None}
    assert of(found, "gapura_http_request_duration_seconds_count", **said) == 5
    assert of(found, "gapura_http_request_duration_seconds_sum", **said) == pytest.approx(40.328)
    assert of(found, "gapura_http_request_duration_seconds_bucket", **said, le="0.005") == 2
    assert of(found, "gapura_http_request_duration_seconds_bucket", **said, le="30.0") == 4
    assert of(found, "gapura_http_request_duration_seconds_bucket", **said, le="+Inf") == 5
    assert of(found, "gapura_http_response_body_bytes_total", **said) == 500
    assert of(found, "gapura_http_request_body_bytes_total", **said) == 50
    assert of(found, "gapura_http_requests_total", site="shop.test", route="/", code="200") == 0


def test_what_no_route_took_has_a_place_too(world: World) -> None:
    count(world, 0, 0, (421, 0.001))
    count(world, world.plan["sites"][1]["row"], 0, (404, 0.001))
    found = samples(world)
    assert of(found, "gapura_http_requests_total", site="", route="", code="421") == 1
    assert of(found, "gapura_http_requests_total", site="api.test", route="", code="404") == 1


def test_counters_never_go_back_when_a_worker_dies(world: World) -> None:
    number = row(world, "shop.test", "/")
    count(world, number, 0, *[(200, 0.01)] * 10)
    count(world, number, 1, *[(500, 0.01)] * 5)
    before = samples(world)
    world.metrics.clear_column(1)
    world.board.clear_column(1)
    count(world, number, 1, (200, 0.01))  # its successor
    after = samples(world)
    for (name, labels), value in before.items():
        if name.endswith(("_total", "_count", "_sum", "_bucket")) and "process" not in name:
            assert after[name, labels] >= value, (name, labels)
    assert of(after, "gapura_http_request_duration_seconds_count", site="shop.test", route="/") == 16


def test_routes_that_are_called_the_same_are_one(world: World) -> None:
    more = '[[sites."api.test".routes]]\npath = "/v2/"\nmatch = { header = { X-Beta = "1" } }\nproxy = "api"\n'
    (world.folder / "gapura.toml").write_text(TOML + more)
    from gapura.config.load import load

    world.plan = numbered(load(str(world.folder / "gapura.toml")))
    world.settle(world.plan, 8)
    numbers = [route["row"] for route in world.plan["sites"][1]["routes"] if route["path"] == "/v2/"]
    assert len(numbers) == 2
    for number in numbers:
        count(world, number, 0, (200, 0.01))
    found = samples(world)
    total = sum(
        value for (name, said), value in found.items() if name == "gapura_http_requests_total" and ("site", "api.test") in said
    )
    assert total == 2
    assert of(found, "gapura_config_generation") == 8


def test_servers(world: World) -> None:
    first, second = (server["slots"][0] for server in world.plan["upstreams"]["api"]["servers"])
    cells = world.board.cells
    cells[world.board.slot(first) + HEALTH] = UNHEALTHY
    cells[world.board.slot(second) + ADMINISTERED] = DRAINING
    cells[Board.column(world.board.slot(second), ERRORS, 0)] = 4
    at = world.metrics.slot_at(0, second)
    world.metrics.cells[world.metrics.worker_at(0) + m.USED] = 1
    world.metrics.cells[at + m.CLASS + 4] = 3
    world.metrics.cells[at + m.ANSWER + m.bucket(20_000_000)] = 3
    world.metrics.cells[at + m.ANSWER_SUM] = 60_000_000
    found = samples(world)
    states = {
        server: [of(found, f"gapura_server_{name}", upstream="api", server=server) for name in ("up", "healthy", "draining")]
        for server in ("10.0.0.1:3000", "10.0.0.2:3000")
    }
    assert states == {"10.0.0.1:3000": [0, 0, 0], "10.0.0.2:3000": [0, 1, 1]}
    said = {"upstream": "api", "server": "10.0.0.2:3000"}
    assert of(found, "gapura_server_weight", **said) == 2
    assert of(found, "gapura_server_failures_total", **said) == 4
    assert of(found, "gapura_upstream_requests_total", **said, code="5xx") == 3
    assert of(found, "gapura_upstream_response_seconds_sum", **said) == pytest.approx(0.06)
    assert of(found, "gapura_upstream_response_seconds_bucket", **said, le="0.025") == 3
    assert of(found, "gapura_server_up", upstream="shop", server="shop:0") == 1


def test_apps_processes_and_certificates(world: World) -> None:
    world.board.cells[world.board.process(WORKER_ROW) + P_PID] = world.status()["apps"][0]["instances"][0]["pid"]
    world.board.cells[world.board.process(WORKER_ROW) + P_CONNECTIONS] = 5
    world.context.dates = lambda: [Dates("shop.test", 1.0, 2000.5), Dates('/etc/"x".pem', 1.0, 3000.0)]
    found = samples(world)
    assert of(found, "gapura_app_instance_state", app="shop", index="1", state="ready") == 1
    assert of(found, "gapura_app_instance_state", app="shop", index="1", state="crashed") == 0
    assert of(found, "gapura_app_instance_memory_bytes", app="shop", index="0") == 1
    assert of(found, "gapura_app_instance_restarts_total", app="shop", index="0") == 0
    assert (of(found, "gapura_process_resident_memory_bytes", process="worker", worker="0") or 0) > 1 << 20
    assert of(found, "gapura_worker_connections", worker="0") == 5
    assert of(found, "gapura_certificate_expiry_timestamp_seconds", name="shop.test") == 2000
    assert of(found, "gapura_certificate_expiry_timestamp_seconds", name='/etc/"x".pem') == 3000
    assert of(found, "gapura_master_up") == 1


def test_processor_time_of_instances_only_grows(world: World) -> None:
    first = of(samples(world), "gapura_app_instance_cpu_seconds_total", app="shop", index="0")
    sum(range(3_000_000))
    second = of(samples(world), "gapura_app_instance_cpu_seconds_total", app="shop", index="0")
    assert first is not None
    assert second is not None
    assert second >= first


def test_without_a_master_the_rest_is_there(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(*_: object, **__: object) -> dict[str, Any]:
        raise MasterAway("there is no master at the moment")

    monkeypatch.setattr(world.context, "ask", away)
    found = samples(world)
    assert of(found, "gapura_master_up") == 0
    assert of(found, "gapura_server_up", upstream="shop", server="shop:0") == 1
    assert not [name for name, _ in found if name.startswith("gapura_app_")]


def test_before_the_first_configuration_there_are_no_figures(world: World) -> None:
    world.context.plan = None
    assert world.ask("GET", "/metrics").status == 503


def test_how_the_last_reload_went(world: World) -> None:
    asyncio.run(reloads(world))


async def reloads(world: World) -> None:
    world.context.events = told = events(world)

    async def reload() -> tuple[float | None, float | None]:
        text = (await world.request("GET", "/metrics")).body
        found = {sample.name: sample.value for family in families(text) for sample in family.samples}
        return (
            found["gapura_config_last_reload_successful"],
            found["gapura_config_last_reload_success_timestamp_seconds"],
        )

    begun = world.context.settled_at
    assert await reload() == (1, pytest.approx(begun, abs=0.01))
    told.tell("config.refused", "gapura.toml", "no")
    assert await reload() == (0, pytest.approx(begun, abs=0.01))
    told.tell("config.changed", "gapura.toml", "yes")
    good, at = await reload()
    assert good == 1
    assert at is not None
    assert at >= begun - 1
    told.stop()


def test_the_page_of_nginx(world: World) -> None:
    for column, figures in ((0, (7, 6, 20, 1, 2, 3)), (5, (10, 10, 30, 0, 1, 1))):
        at = world.metrics.worker_at(column)
        world.metrics.cells[at + m.USED] = 1
        for cell, value in zip((m.ACCEPTED, m.HANDLED, m.REQUESTS, m.READING, m.WRITING, m.WAITING), figures, strict=True):
            world.metrics.cells[at + cell] = value
    answer = world.ask("GET", "/stub_status")
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.body.decode() == (
        "Active connections: 8 \nserver accepts handled requests\n 17 16 50 \nReading: 1 Writing: 3 Waiting: 4 \n"
    )
