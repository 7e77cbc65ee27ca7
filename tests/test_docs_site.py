"""The documents as a site: it builds without a warning, every page is in it, and nothing comes from elsewhere."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
TOOL = runpy.run_path(str(ROOT / "tools" / "docs"), run_name="tool")


class Reader(HTMLParser):
    """Notes what a page loads, where it leads, and which places in it have names."""

    def __init__(self) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.leads: list[str] = []
        self.names: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.names.add(found.get("id", ""))
        if tag in ("script", "img", "link", "iframe", "source") and found.get("rel") != "canonical":
            self.loads += [found[name] for name in ("src", "href") if name in found]
        if tag == "a" and "href" in found:
            self.leads.append(found["href"])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("docs")
    done = subprocess.run([sys.executable, ROOT / "tools" / "docs", folder], capture_output=True, text=True, check=False)
    assert done.returncode == 0, re.sub(r"\x1b\[[0-9;]*m", "", done.stdout + done.stderr)
    assert "warning" not in (done.stdout + done.stderr).lower()
    return folder / "site"


@pytest.fixture(scope="module")
def read(site: Path) -> dict[Path, Reader]:
    readers = {}
    for path in site.rglob("*.html"):
        readers[path] = Reader()
        readers[path].feed(path.read_text(encoding="utf-8"))
    return readers


def test_nothing_is_loaded_from_elsewhere(read: dict[Path, Reader]) -> None:
    for path, reader in read.items():
        assert [load for load in reader.loads if re.match(r"(https?:)?//", load)] == [], path.name


def test_every_link_leads_somewhere(site: Path, read: dict[Path, Reader]) -> None:
    for path, reader in read.items():
        for lead in (*reader.leads, *reader.loads):
            target, _, part = lead.partition("#")
            if re.match(r"[a-z]+:|//", target) or target.startswith("/") or path.name == "404.html":
                continue
            there = (path.parent / target).resolve() if target else path
            there = there / "index.html" if there.is_dir() else there
            assert there.exists(), f"{path.relative_to(site)} leads to {lead}"
            if part and there in read:
                assert part in read[there].names, f"{path.relative_to(site)} leads to {lead}"


def test_it_can_be_searched(site: Path) -> None:
    text = (site / "search.json").read_text(encoding="utf-8")
    assert "penyeimbang" in text
    assert "fail_timeout" in text


def entries(nav: list[dict[str, Any]]) -> Iterator[str]:
    for entry in nav:
        for value in entry.values():
            if isinstance(value, str):
                yield value
            else:
                yield from entries(value)


def test_every_page_is_in_the_navigation() -> None:
    listed = list(entries(tomllib.loads((ROOT / "zensical.toml").read_text())["project"]["nav"]))
    assert len(listed) == len(set(listed))
    pages = {str(place) for place, _ in TOOL["pages"]()}
    below = {page for page in pages if page.startswith(("decisions/0", "project/"))}
    assert set(listed) - pages == set(), "these are no pages"
    assert pages - below - set(listed) == set(), "zensical.toml does not list these"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[a](homework.md#x)", "[a](homework.md#x)"),
        ("[a](README.md)", "[a](index.md)"),
        ("[a](decisions)", "[a](decisions/index.md)"),
        ("[a](../CONTRIBUTING.md)", "[a](project/CONTRIBUTING.md)"),
        ("[the code](../src)", "the code"),
        ("[`a`](../Makefile) and [b](https://a.test/)", "`a` and [b](https://a.test/)"),
        ("<!-- not run: x -->\n```sh\n[a](README.md)\n```", "```sh\n[a](README.md)\n```"),
        ("[a](drawings/journey.svg)", "[a](drawings/journey.svg)"),
        ("[a](drawings)", "a"),
        ("![a](drawings/journey.svg)", "![a](drawings/journey.svg)"),
    ],
)
def test_links_are_made_for_the_site(text: str, expected: str) -> None:
    assert TOOL["staged"](ROOT / "docs" / "logs.md", text)[0] == expected


def test_every_page_is_in_the_index() -> None:
    for folder in (ROOT / "docs", ROOT / "docs" / "id"):
        index = (folder / "README.md").read_text(encoding="utf-8")
        pages = {path.name for path in folder.glob("*.md")} - {"README.md"}
        assert {page for page in pages if f"]({page})" not in index} == set(), f"{folder.name}/README.md does not list these"
