"""`gapura metrics`, and that every name and label in the dashboard and the alerts is one that is told."""

from __future__ import annotations

import importlib.util
import json
import re
import socketserver
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from importlib.machinery import SourceFileLoader
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from gapura.board import P_PID, WORKER_ROW, Board
from gapura.cli.metrics import FILES
from gapura.config.load import load
from gapura.control.expiry import Dates
from gapura.control.names import Names
from gapura.control.scrape import Reload, Scene, Scraper
from gapura.metrics import USED, Metrics

from .conftest import CONFIG, Gapura

ROOT = Path(__file__).resolve().parents[2]
SCRAPED = {"job", "instance"}
"""What Prometheus adds to every series."""


# -- the command -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def api(folder: Path) -> Iterator[dict[str, tuple[int, str]]]:
    """An admin API that says what a test wants, by path."""
    said: dict[str, tuple[int, str]] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, text = said[self.path]
            self.send_response(status)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None: ...

        def address_string(self) -> str:
            return "unix"

    (folder / ".gapura").mkdir(exist_ok=True)
    with socketserver.UnixStreamServer(str(folder / ".gapura" / "admin.sock"), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield said
        server.shutdown()
        thread.join()


def test_it_prints_what_is_told(gapura: Gapura, api: dict[str, tuple[int, str]]) -> None:
    api["/metrics"] = (200, 'gapura_x{a="é"} 1\n')
    api["/stub_status"] = (200, "Active connections: 1 \n")
    assert gapura("metrics") == (0, 'gapura_x{a="é"} 1\n', "")
    assert gapura("metrics", "--stub-status") == (0, "Active connections: 1 \n", "")


def test_it_says_when_nothing_can_be_told(gapura: Gapura, api: dict[str, tuple[int, str]]) -> None:
    api["/metrics"] = (503, "{}")
    done = gapura("metrics")
    assert (done.status, done.out) == (1, "")
    assert "the admin API answered 503" in done.err


def test_nobody_runs(gapura: Gapura, folder: Path) -> None:
    done = gapura("metrics")
    assert done.status == 1
    assert "Gapura is not running here" in done.err
    assert "gapura up" in done.err


def test_one_at_a_time(gapura: Gapura, folder: Path) -> None:
    done = gapura("metrics", "--grafana", "--alerts")
    assert done.status == 2
    assert "one at a time" in done.err


def test_the_files_are_there_without_a_configuration(gapura: Gapura, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert json.loads(gapura("metrics", "--grafana").out)["title"] == "Gapura"
    assert yaml.safe_load(gapura("metrics", "--alerts").out)["groups"][0]["name"] == "gapura"


# -- the files -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, set[str]]]:
    """Labels by name, of all that a scrape tells."""
    file = tmp_path_factory.mktemp("told") / "gapura.toml"
    file.write_text(CONFIG)
    plan = load(str(file))
    slots = iter(range(100))
    for upstream in plan["upstreams"].values():
        for server in upstream["servers"]:
            server["slots"] = [next(slots)]
    for row, site in enumerate(plan["sites"], 1):
        site["routes"][0]["row"] = row
    board, metrics = Board.create(1), Metrics.create()
    metrics.cells[metrics.worker_at(0) + USED] = 1
    board.cells[board.process(WORKER_ROW) + P_PID] = 1
    one = {"index": 0, "pid": None, "state": "ready", "restarts": 0, "looping": False, "memory_bytes": 1, "uptime_seconds": 1.0}
    status: dict[str, Any] = {"apps": [{"name": "shop", "instances": [one]}], "logs": [{"path": "x", "lost": 1}]}
    dates = [Dates("x", 1.0, 2.0)]
    scene = Scene(Names(plan), board, metrics, 1, Reload(True, 1.0), status, dates, {"collector": 1}, 1)
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(Scraper().render(scene).decode()):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    yield found
    board.close()
    metrics.close()


def dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FILES / "grafana.json").read_text())
    return found


def rules() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.safe_load((FILES / "alerts.yml").read_text())["groups"][0]["rules"]
    return found


def queries() -> list[str]:
    panels = [target["expr"] for panel in dashboard()["panels"] for target in panel.get("targets", [])]
    return panels + [one["definition"] for one in dashboard()["templating"]["list"] if "definition" in one]


METRIC = re.compile(r"\b((?:gapura_|up\b)[a-z0-9_]*)(?:\{([^}]*)\})?")
MATCHER = re.compile(r'([a-z_]+)\s*(?:=~|!~|!=|=)\s*"')
GROUPING = re.compile(r"\b(?:by|without|on)\s*\(([^)]*)\)")


def check(query: str, told: dict[str, set[str]]) -> None:
    """Every name is told, every label is one that it has, and what is grouped by is a label of all that is grouped."""
    known = {**told, "up": set()}
    names = METRIC.findall(query)
    assert names, query
    for name, matchers in names:
        assert name in known, f"{name} is not told: {query}"
        assert set(MATCHER.findall(matchers)) <= known[name] | SCRAPED, query
    for group in GROUPING.findall(query):
        labels = {label.strip() for label in group.split(",")}
        assert all(labels <= known[name] | SCRAPED for name, _ in names), query
    for name, _ in names:
        wrapped = re.search(rf"(?:rate|increase)\({name}", query)
        if name.endswith(("_total", "_bucket")):
            assert wrapped or "label_values" in query, f"a counter is shown without its rate: {query}"
        else:
            assert not wrapped, f"a gauge has no rate: {query}"


@pytest.mark.parametrize("query", queries())
def test_the_dashboard_asks_for_what_is_told(query: str, told: dict[str, set[str]]) -> None:
    check(query, told)


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: str(rule["alert"]))
def test_alerts_ask_for_what_is_told(rule: dict[str, Any], told: dict[str, set[str]]) -> None:
    check(rule["expr"], told)
    assert rule["labels"]["severity"] in ("critical", "warning")
    text = " ".join(rule["annotations"].values())
    assert {"summary", "description"} == rule["annotations"].keys()
    aggregated = GROUPING.search(rule["expr"])
    labels = (
        {label.strip() for label in aggregated[1].split(",")} if aggregated else {*told.get(METRIC.findall(rule["expr"])[0][0], ())}
    )
    assert set(re.findall(r"\$labels\.([a-z_]+)", text)) <= labels | SCRAPED


@pytest.mark.parametrize(
    "query",
    [
        "gapura_nothing",
        'gapura_server_up{colour="x"}',
        "sum by (colour) (gapura_server_up)",
        "rate(gapura_server_up[5m])",
        "sum(gapura_http_requests_total)",
    ],
)
def test_a_wrong_query_is_found(query: str, told: dict[str, set[str]]) -> None:
    with pytest.raises(AssertionError):
        check(query, told)


def test_legends_name_labels_that_are_there(told: dict[str, set[str]]) -> None:
    for panel in dashboard()["panels"]:
        for target in panel.get("targets", []):
            grouped = GROUPING.findall(target["expr"])
            known = (
                {label.strip() for group in grouped for label in group.split(",")}
                if grouped
                else told[METRIC.findall(target["expr"])[0][0]]
            )
            assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) <= known | SCRAPED, target


def test_panels_lie_beside_each_other() -> None:
    taken: set[tuple[int, int]] = set()
    panels = dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels) > 30
    for panel in panels:
        place = panel["gridPos"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
        assert place["x"] + place["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells
    titles = {panel["title"] for panel in panels if panel["type"] == "row"}
    assert titles == {"Traffic", "Latency", "Errors", "Servers", "Apps", "Gapura", "Certificates"}


def test_the_file_is_what_the_tool_makes() -> None:
    loader = SourceFileLoader("grafana_tool", str(ROOT / "tools" / "grafana"))
    spec = importlib.util.spec_from_loader("grafana_tool", loader)
    assert spec is not None
    tool = importlib.util.module_from_spec(spec)
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        loader.exec_module(tool)
    finally:
        sys.dont_write_bytecode = before
    assert tool.dashboard() == dashboard(), "run tools/grafana"
