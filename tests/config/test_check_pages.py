from __future__ import annotations

from pathlib import Path

import pytest

from gapura.config.check_pages import check_pages
from gapura.config.findings import Findings
from gapura.config.load import load
from gapura.config.source import Sources

TEXT = """\
[edge]
error_pages = { 500 = "500.html" }
[sites."a"]
error_pages = { "4xx" = "4xx.html" }
maintenance = "soon.html"
[[sites."a".routes]]
respond = "x"
[[sites."a".routes]]
path = "/b/"
files = "public"
error_pages = { 404 = "/404.html", 403 = "there.html" }
"""


def told(folder: Path) -> list[str]:
    file = folder / "gapura.toml"
    file.write_text(TEXT)
    findings = Findings(Sources(str(file)))
    check_pages(findings, load(str(file)), "")
    return [f"{problem.line}: {problem.message}" for problem in findings.warnings]


def test_what_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "there.html").touch()
    assert told(tmp_path) == [
        "2: there is no file 500.html",
        "4: there is no file 4xx.html",
        "5: there is no file soon.html",
        "11: there is no file public/404.html",
    ]


def test_all_is_there(tmp_path: Path) -> None:
    (tmp_path / "public").mkdir()
    for name in ("500.html", "4xx.html", "soon.html", "there.html", "public/404.html"):
        (tmp_path / name).touch()
    assert told(tmp_path) == []


def test_a_folder_is_no_page(tmp_path: Path) -> None:
    (tmp_path / "500.html").mkdir()
    assert told(tmp_path)[0] == "2: there is no file 500.html"


def test_what_workers_cannot_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "500.html").touch()
    monkeypatch.setattr("gapura.config.check_pages.first_obstacle", lambda user, paths: f"{user} may not read it")
    file = tmp_path / "gapura.toml"
    file.write_text('[edge]\nerror_pages = { 500 = "500.html" }\n[sites."a"]\nrespond = "x"\n')
    findings = Findings(Sources(str(file)))
    check_pages(findings, load(str(file)), "nobody")
    assert [problem.message for problem in findings.warnings] == ["workers run as nobody, and nobody may not read it"]
