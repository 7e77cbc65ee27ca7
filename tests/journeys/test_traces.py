"""Watching from outside: a request is followed through Gapura and the app, and counters survive what happens to processes."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import sys
from collections.abc import Iterator

import pytest
from tests.control.collector import Collector

from .harness.client import HOST, visit
from .harness.proc import until
from .harness.site import Site, section

APP = """
import http.server, os

class Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = f"{self.headers['traceparent']} {self.headers['tracestate']}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_): ...

http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Answer).serve_forever()
"""
TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.fixture
def collector() -> Iterator[Collector]:
    one = Collector()
    yield one
    one.close()


def serve(site: Site, more: str) -> None:
    """An app that says what it was told, behind a site."""
    (site.folder / "told.py").write_text(APP)
    app = section("apps.shop", command=f"{sys.executable} told.py", instances=1)
    edge = section("edge", http=f"127.0.0.1:{site.port}", workers=2, access_log={"format": "$request_uri $trace_id"})
    site.write(edge + app + section(f'sites."{HOST}"', proxy="shop") + more)
    site.up()


def asked(site: Site, path: str, **headers: str) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=60)
    connection.request("GET", path, headers={"Host": HOST, **headers})
    text = connection.getresponse().read().decode()
    connection.close()
    return text


def test_one_trace_from_the_browser_to_the_app(site: Site, collector: Collector) -> None:
    serve(site, section("tracing", endpoint=collector.url))
    told, state = asked(site, "/a?token=hush", traceparent=f"00-{TRACE}-{SPAN}-01", tracestate="browser=1").split(" ")
    until(lambda: len(collector.spans) >= 2)
    (request,) = (span for span in collector.spans if span.kind == 2 and span.trace == TRACE)
    (attempt,) = (span for span in collector.spans if span.kind == 3 and span.trace == TRACE)
    assert (request.parent, attempt.parent) == (SPAN, request.id)
    assert (told, state) == (f"00-{TRACE}-{attempt.id}-01", "browser=1")
    assert request.begun <= attempt.begun <= attempt.ended <= request.ended
    assert request.attributes["url.query"] == "token=***"
    assert attempt.attributes["gapura.server"] == "shop:0"
    until(lambda: f"/a?token=*** {TRACE}" in (site.logs / "access.log").read_text())
    collector.gate.clear()  # from now on the collector hangs, and nobody notices
    for number in range(20):
        assert asked(site, f"/{number}").startswith("00-")
    collector.gate.set()
    site.down()


def figures(site: Site) -> dict[str, float]:
    lines = [line for line in site.gapura("metrics").stdout.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def total(site: Site) -> float:
    return sum(value for name, value in figures(site).items() if name.startswith("gapura_http_requests_total{"))


def test_counters_survive_workers_apps_and_reloads(site: Site) -> None:
    serve(site, "")
    sent = 0

    def visits(count: int) -> None:
        nonlocal sent
        for _ in range(count):
            assert visit(site.port).status == 200
        sent += count
        until(lambda: total(site) == sent)

    begun = total(site)
    sent = int(begun)
    visits(20)
    before = figures(site)
    victim = site.worker_pids()[0]
    os.kill(victim, signal.SIGKILL)
    site.wait(lambda status: len(status["workers"]) == 2 and victim not in [one["pid"] for one in status["workers"]])
    visits(20)
    site.kill()
    site.wait(lambda status: status["apps"][0]["state"] == "ready" and status["apps"][0]["instances"][0]["restarts"] == 1)
    visits(5)
    site.write((site.folder / "gapura.toml").read_text() + section('sites."other.test"', respond="x"))
    site.gapura("reload")
    visits(5)
    after = figures(site)
    for name, value in before.items():
        if "_process_" not in name and name.partition("{")[0].endswith(("_total", "_bucket", "_sum", "_count")):
            assert after[name] >= value, name
    assert after['gapura_app_instance_restarts_total{app="shop",index="0"}'] == 1
    assert after["gapura_config_generation"] == before["gapura_config_generation"] + 1
    page = site.gapura("metrics", "--stub-status").stdout.split()
    assert int(page[page.index("requests") + 3]) == sent
    site.down()


def test_a_scraper_without_a_token_reads_figures_and_nothing_else(site: Site) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    serve(site, section("admin", listen=f"127.0.0.1:{port}", loopback="none", metrics_from="127.0.0.1"))

    def status(path: str) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
        connection.close()
        return answer.status

    found = {path: status(path) for path in ("/metrics", "/stub_status", "/v1/status", "/v1/config")}
    assert found == {"/metrics": 200, "/stub_status": 200, "/v1/status": 401, "/v1/config": 401}
    site.down()
