"""Drawings: well-formed, spoken, and with every site, policy and server in them."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import pytest

from gapura.learn import chart, drawing
from gapura.learn.canvas import DARK, LIGHT, Canvas
from gapura.learn.scenario import Fault, Scenario
from gapura.learn.simulation import play

SVG = "{http://www.w3.org/2000/svg}"


def server(name: str, **words: Any) -> dict[str, Any]:
    return {"id": name, "address": name, "weight": 1, "backup": False, "state": "up", "condition": "up"} | words


def route(name: str, action: str = "proxy", *upstreams: str) -> dict[str, Any]:
    return {"row": 0, "name": name, "kind": "prefix", "path": name, "action": action, "upstreams": list(upstreams)}


PICTURE: dict[str, Any] = {
    "generation": 1,
    "sites": [
        {"id": "a.test", "hosts": ["a.test", "b.test"], "tls": True, "closed": False, "internal": False,
         "routes": [route("/", "proxy", "web"), route("/api/", "proxy", "api"), route("/old", "redirect")]},
        {"id": "<&>.test", "hosts": ["<&>.test"], "tls": False, "closed": True, "internal": False, "routes": [route("/", "files")]},
    ],
    "upstreams": [
        {"name": "web", "policy": "round_robin", "app": True,
         "servers": [server("web:0", weight=2), server("web:1", state="down"), server("web:2", backup=True)]},
        {"name": "api", "policy": "least_conn", "app": False, "servers": []},
    ],
}  # fmt: skip


def words(svg: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(svg).iter(f"{SVG}text")]


@pytest.mark.parametrize("language", ["en", "id"])
def test_everything_is_in_the_drawing(language: str) -> None:
    found = words(drawing.draw(PICTURE, language))
    for text in ("a.test +1", "<&>.test", "web", "round_robin", "web:0", "web:1", "web:2", "api"):
        assert text in found
    assert ("pengunjung" if language == "id" else "visitors") in found


def test_the_drawing_can_be_heard() -> None:
    root = ElementTree.fromstring(drawing.draw(PICTURE, "en", "My site"))
    assert root.get("role") == "img"
    assert root.get("aria-labelledby") == "t d"
    assert root.findtext(f"{SVG}title") == "My site"
    told = root.findtext(f"{SVG}desc") or ""
    assert "a.test /api/ → api" in told
    assert "web:1 (down)" in told
    assert "web:0 (weight 2 (100 %), up)" in told


def test_nothing_lies_outside() -> None:
    for svg in (drawing.draw(PICTURE), drawing.draw({"generation": 0, "sites": [], "upstreams": []})):
        root = ElementTree.fromstring(svg)
        width, height = float(root.get("width", 0)), float(root.get("height", 0))
        for box in root.iter(f"{SVG}rect"):
            x, y, w, h = (float(box.get(name, 0)) for name in ("x", "y", "width", "height"))
            assert 0 <= x <= x + w <= width
            assert 0 <= y <= y + h <= height


def test_boxes_of_a_column_do_not_overlap() -> None:
    root = ElementTree.fromstring(drawing.draw(PICTURE))
    columns: dict[float, list[tuple[float, float]]] = {}
    for box in list(root.iter(f"{SVG}rect"))[1:]:
        columns.setdefault(float(box.get("x", 0)), []).append((float(box.get("y", 0)), float(box.get("height", 0))))
    for boxes in columns.values():
        for (top, height), (after, _) in zip(sorted(boxes), sorted(boxes)[1:], strict=False):
            assert top + height <= after


def test_nothing_is_loaded_from_elsewhere() -> None:
    for svg in (drawing.draw(PICTURE), chart.draw(Scenario(requests=50), play(Scenario(requests=50), ("random",)))):
        assert "http" not in svg.replace("http://www.w3.org/2000/svg", "")
        assert "prefers-color-scheme: dark" in svg


def test_the_chart_shows_each_policy_and_server() -> None:
    scenario = Scenario(requests=200, faults=(Fault(1, 1.0),), slow={2: 2.0})
    found = words(chart.draw(scenario, play(scenario, ("round_robin", "hash")), "id"))
    assert {"round_robin", "hash", "server 4", "mati pada detik 1", "2x lebih lambat"} <= set(found)


def luminance(colour: str) -> float:
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize("ink", ["ink", "faint", "accent", "good", "warn", "bad"])
@pytest.mark.parametrize("ground", ["paper", "box"])
def test_text_is_readable(colours: dict[str, str], ink: str, ground: str) -> None:
    """WCAG AA asks for a contrast of 4.5."""
    dark, light = sorted((luminance(colours[ink]), luminance(colours[ground])))
    assert (light + 0.05) / (dark + 0.05) >= 4.5


def test_text_is_cut_and_escaped() -> None:
    canvas = Canvas(100, 100, "<title>", "a & b")
    end = canvas.lines(0, 10, "one two three", 7)
    assert end > 30
    assert ElementTree.fromstring(canvas.svg()).findtext(f"{SVG}title") == "<title>"
    assert drawing.shortened("abcdef", 4) == "abc…"
