from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gapura.config.build_error_pages import page_file
from gapura.config.load import load
from gapura.config.plan import Plan


def plan(folder: Path, text: str) -> Plan:
    file = folder / "gapura.toml"
    file.write_text(text)
    return load(str(file))


def pages(found: Any, folder: Path) -> dict[str, str] | None:
    return None if found is None else {status: path.replace(str(folder), "") for status, path in found["pages"].items()}


def test_levels_add_up_and_the_inner_one_counts(tmp_path: Path) -> None:
    made = plan(
        tmp_path,
        """
[edge]
error_pages = { 404 = "edge.html", 5xx = "edge.html" }
intercept_errors = true
[sites."a"]
error_pages = { 503 = "site.html" }
routes = [
  { path = "/x/", respond = "x", error_pages = { 5xx = "route.html" }, intercept_errors = false },
  { path = "/", respond = "x" },
]
[sites."b"]
respond = "b"
error_pages = { 4xx = "b.html" }
""",
    )
    one, other = made["sites"]
    assert pages(made["edge"]["error_pages"], tmp_path) == {"404": "/edge.html", "5xx": "/edge.html"}
    assert pages(one["error_pages"], tmp_path) == {"404": "/edge.html", "5xx": "/edge.html", "503": "/site.html"}
    assert pages(one["routes"][0]["error_pages"], tmp_path) == {"404": "/edge.html", "5xx": "/route.html"}
    assert pages(one["routes"][1]["error_pages"], tmp_path) == pages(one["error_pages"], tmp_path)
    assert pages(other["routes"][0]["error_pages"], tmp_path) == {"4xx": "/b.html", "5xx": "/edge.html"}
    assert [bool(found and found["intercept"]) for found in (one["routes"][0]["error_pages"], one["error_pages"])] == [False, True]


def test_nothing_said(tmp_path: Path) -> None:
    made = plan(tmp_path, '[sites."a"]\nrespond = "x"\nintercept_errors = true\n')
    assert made["edge"]["error_pages"] is made["sites"][0]["error_pages"] is made["sites"][0]["routes"][0]["error_pages"] is None


@pytest.mark.parametrize(
    ("text", "files", "found"),
    [
        ("errors/404.html", None, "/f/errors/404.html"),
        ("../404.html", "public", "/404.html"),
        ("/404.html", None, "/404.html"),
        ("/404.html", "public", "/f/public/404.html"),
        ("/404.html", "/srv", "/srv/404.html"),
        ("/etc/hostname", "public", "/etc/hostname"),  # it is there, and not inside
    ],
)
def test_where_a_page_is(text: str, files: str | None, found: str) -> None:
    assert page_file("/f", text, files) == found
