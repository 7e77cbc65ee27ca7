"""A real collector's protocol: what arrives there, and what becomes of requests when it is slow, away or refuses."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from gapura import __version__
from gapura import records as r
from gapura.board import id_hash
from gapura.config.load import load
from gapura.control import tracer as t
from gapura.control.names import Names
from gapura.control.tracer import Tracer
from gapura.records import TRACED, Record, Records, Trial
from gapura.wire.trace_context import span_of

from .collector import Collector, Span

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
MS = 1_000_000
ONE, TWO = "10.0.0.1:3000", "10.0.0.2:3000"
TOML = f"""
[upstreams.api]
servers = ["{ONE}", "{TWO}"]
[[sites."shop.test".routes]]
path = "/v2/"
proxy = "api"
"""


def server(name: str) -> int:
    return id_hash("api", name) & 0xFFFFFFFF


class Told:
    """A tracer over records of its own, and the plan with its names."""

    def __init__(self, configure: Callable[..., str]) -> None:
        self.plan = load(configure(TOML))
        self.plan["sites"][0]["routes"][0]["row"] = 5
        self.records = Records.create()
        self.worker = Records(self.records.fd, 0)
        names = Names(self.plan)
        self.tracer = Tracer(self.records, lambda: names)

    def begin(self, url: str, **more: Any) -> None:
        tracing = {"endpoint": url + "/v1/traces", "ratio": 1.0, "parent": True, "headers": {}, "service": "gapura", "most": 500}
        self.plan["edge"]["tracing"] = {**tracing, **more}  # type: ignore[typeddict-item]
        self.tracer.apply(self.plan)

    def write(self, **fields: Any) -> Record:
        record = Record("id", time.monotonic_ns(), 30 * MS, row=5, status=200, method="GET", path="/v2/x?a=b", host="shop.test")
        record = record._replace(trace=TRACE, parent=PARENT, span=1000, client="1.2.3.4", sent=7, received=3)._replace(**fields)
        self.worker.write(TRACED, record)
        return record

    def until(self, true: Callable[[], object]) -> None:
        end = time.monotonic() + 60
        while not true():
            assert time.monotonic() < end, "it did not come true"
            time.sleep(0.005)

    def close(self) -> None:
        self.tracer.close()
        for memory in (self.records, self.worker):
            memory.close()
        os.close(self.records.fd)


@pytest.fixture
def collector() -> Iterator[Collector]:
    one = Collector()
    yield one
    one.close()


@pytest.fixture
def told(configure: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Told]:
    monkeypatch.setattr(t, "EVERY", 0.02)
    one = Told(configure)
    yield one
    one.close()
    for thread in threading.enumerate():
        if thread.name == "traces":
            thread.join(60)  # one that still tries would use `random` and sockets in the middle of other tests


@pytest.fixture
def configure(tmp_path: Any) -> Callable[..., str]:
    def write(text: str) -> str:
        (tmp_path / "gapura.toml").write_text(text)
        return str(tmp_path / "gapura.toml")

    return write


def spans(collector: Collector) -> tuple[Span, list[Span]]:
    """The span of the request, and those of its tries."""
    (first,) = (span for span in collector.spans if span.kind == 2)
    return first, sorted((span for span in collector.spans if span.kind == 3), key=lambda span: span.begun)


def test_a_request_and_its_try(collector: Collector, told: Told) -> None:
    told.begin(collector.url, headers={"x-api-key": "secret"}, service="tepi")
    before = time.time_ns()
    told.write(tries=1, server=server(ONE), first_claimed=None, claimed=2 * MS, answered=20 * MS)
    told.until(lambda: told.tracer.sent == 1)
    request, (attempt,) = spans(collector)
    assert collector.path == "/v1/traces"
    assert collector.headers["x-api-key"] == "secret"
    assert {"service.name": "tepi", "service.version": __version__, "host.name": socket.gethostname()} == request.resource
    assert (request.trace, request.parent, request.name) == (TRACE, PARENT, "GET /v2/")
    assert (attempt.trace, attempt.parent, attempt.name) == (TRACE, request.id, "GET")
    assert (request.id, attempt.id) == (span_of(1000, 0).decode(), span_of(1000, 1).decode())
    assert abs(request.begun - before) < 10**9
    assert request.ended - request.begun == 30 * MS
    assert (attempt.begun - request.begun, attempt.ended - request.begun) == (2 * MS, 30 * MS)
    assert request.attributes == {
        "http.request.method": "GET",
        "url.scheme": "http",
        "url.path": "/v2/x",
        "url.query": "a=b",
        "server.address": "shop.test",
        "client.address": "1.2.3.4",
        "http.route": "/v2/",
        "http.response.status_code": 200,
        "http.request.body.size": 3,
        "http.response.body.size": 7,
        "gapura.request_id": "id",
        "gapura.site": "shop.test",
    }
    assert attempt.attributes == {
        "http.request.method": "GET",
        "server.address": "10.0.0.1",
        "server.port": 3000,
        "url.full": f"http://{ONE}/v2/x?a=b",
        "http.response.status_code": 200,
        "gapura.upstream": "api",
        "gapura.server": ONE,
    }
    assert not request.failed
    assert not attempt.failed


def test_each_try_that_failed(collector: Collector, told: Told) -> None:
    told.begin(collector.url)
    stale = Trial(server(ONE), 0, r.STALE, 1 * MS)
    refused = Trial(server(ONE), 0, r.REFUSED, 5 * MS)
    told.write(tries=2, server=server(TWO), first_claimed=MS, claimed=6 * MS, answered=9 * MS, trials=(stale, refused), parent="")
    told.until(lambda: told.tracer.sent == 1)
    request, (first, second) = spans(collector)
    assert request.parent == ""
    assert (first.id, second.id) == (span_of(1000, 1).decode(), span_of(1000, 2).decode())
    assert (first.failed, first.attributes["error.type"], first.attributes["gapura.server"]) == (True, "refused", ONE)
    assert "http.response.status_code" not in first.attributes
    assert (first.begun - request.begun, first.ended - request.begun) == (MS, 5 * MS)
    assert (second.failed, second.attributes["http.request.resend_count"], second.attributes["gapura.server"]) == (False, 1, TWO)


def test_of_many_tries_the_numbers_are_right(collector: Collector, told: Told) -> None:
    told.begin(collector.url)
    trials = tuple(Trial(server(ONE), 0, r.REFUSED, number * MS) for number in (1, 5, 6, 7))  # of seven, four are kept
    told.write(status=502, tries=7, server=server(ONE), claimed=6 * MS, first_claimed=0, trials=trials, cause=r.REFUSED)
    told.until(lambda: told.tracer.sent == 1)
    request, attempts = spans(collector)
    assert request.failed
    assert [int(span.id, 16) - 1000 for span in attempts if span.attributes.get("error.type") == "refused"] in (
        [1, 5, 6, 7],
        [1, 4, 5, 6],
    )


@pytest.mark.parametrize(
    ("fields", "failed", "reason"),
    [
        ({"status": 404}, False, None),
        ({"status": 503, "cause": r.NO_SERVER}, True, "no_server"),
        ({"status": 500, "cause": r.NO_CAUSE}, True, "500"),
        ({"status": 200, "flags": r.BROKEN_OFF, "cause": r.CLOSED}, True, "closed"),
        ({"status": 499, "cause": r.CLIENT_GONE}, False, None),
    ],
)
def test_what_counts_as_an_error(
    collector: Collector, told: Told, fields: dict[str, Any], failed: bool, reason: str | None
) -> None:
    told.begin(collector.url)
    told.write(**fields)
    told.until(lambda: told.tracer.sent == 1)
    request, attempts = spans(collector)
    assert (request.failed, request.attributes.get("error.type"), attempts) == (failed, reason, [])


def test_a_method_of_somebodys_own_and_a_request_without_a_route(collector: Collector, told: Told) -> None:
    told.begin(collector.url)
    told.write(method="BREW", row=0, host="", path="*", flags=r.TLS)
    told.until(lambda: told.tracer.sent == 1)
    request, _ = spans(collector)
    assert request.name == "HTTP"
    assert request.attributes["http.request.method"] == "_OTHER"
    assert request.attributes["http.request.method_original"] == "BREW"
    assert request.attributes["url.scheme"] == "https"
    assert not {"http.route", "server.address", "url.query"} & request.attributes.keys()


def test_a_server_that_left_the_configuration(collector: Collector, told: Told) -> None:
    told.begin(collector.url)
    told.write(tries=1, server=77, claimed=MS, answered=2 * MS)
    told.until(lambda: told.tracer.sent == 1)
    _, (attempt,) = spans(collector)
    assert "gapura.server" not in attempt.attributes


def test_a_client_that_left(collector: Collector, told: Told) -> None:
    told.begin(collector.url)
    told.write(status=499, cause=r.CLIENT_GONE, tries=1, server=server(ONE), claimed=MS)
    told.until(lambda: told.tracer.sent == 1)
    _, (attempt,) = spans(collector)
    assert (attempt.failed, attempt.attributes["error.type"]) == (True, "client_gone")


def test_what_was_there_before_is_not_sent(collector: Collector, told: Told) -> None:
    told.write()
    told.begin(collector.url)
    told.write(id="new")
    told.until(lambda: told.tracer.sent)
    assert [span.attributes["gapura.request_id"] for span in collector.spans] == ["new"]


def test_a_collector_that_refuses_costs_requests_and_nothing_else(
    collector: Collector, told: Told, caplog: pytest.LogCaptureFixture
) -> None:
    collector.status = 400
    with caplog.at_level(logging.WARNING):
        told.begin(collector.url, headers={"x-api-key": "secret"})
        told.write()
        told.until(lambda: told.tracer.lost[t.REFUSED] == 1)
        collector.status = 200
        told.write()
        told.until(lambda: told.tracer.sent == 1)
        collector.status = 400
        told.write()
        told.until(lambda: told.tracer.lost[t.REFUSED] == 2)
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 1
    assert collector.url in said[0]
    assert "secret" not in said[0]


def test_a_collector_that_hangs_holds_up_nobody(collector: Collector, told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(t, "BATCH", 1)
    collector.gate.clear()
    told.begin(collector.url, most=100_000)
    told.write()
    told.until(lambda: collector.requests == 1)
    for _ in range(r.PLACES[TRACED] + 10):
        told.write()
    collector.gate.set()
    told.until(lambda: told.tracer.lost[t.OVERWRITTEN])
    assert told.tracer.lost[t.OVERWRITTEN] == 10


def test_a_collector_that_is_not_there(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(t, "PATIENCE", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}"
    told.begin(url)
    told.write()
    told.until(lambda: told.tracer.lost[t.REFUSED] == 1)


def test_no_more_than_so_many(collector: Collector, told: Told) -> None:
    told.begin(collector.url, most=10)
    for _ in range(100):
        told.write()
    told.until(lambda: told.tracer.sent + told.tracer.lost[t.TOO_MANY] == 100)
    assert 10 <= told.tracer.sent < 100


def test_a_change_of_the_configuration(collector: Collector, told: Told) -> None:
    other = Collector()
    try:
        told.begin(collector.url)
        told.write(id="one")
        told.until(lambda: told.tracer.sent == 1)
        before = told.tracer._running
        assert before is not None
        told.begin(other.url)
        told.until(lambda: not before._thread.is_alive())
        told.write(id="two")
        told.until(lambda: told.tracer.sent == 2)
        assert [span.attributes["gapura.request_id"] for span in other.spans] == ["two"]
        told.plan["edge"]["tracing"] = None
        told.tracer.apply(told.plan)
        assert told.tracer._running is None
    finally:
        other.close()


def test_at_the_end_what_is_there_is_sent(collector: Collector, told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(t, "EVERY", 3600.0)
    monkeypatch.setattr(t, "LAST", 60.0)
    told.begin(collector.url)
    told.write()
    told.tracer.close(60.0)
    assert told.tracer.sent == 1
    assert len(collector.spans) == 1
