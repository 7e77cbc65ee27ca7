"""The dashboard's sources and what is built from them, without a browser: dictionaries, sizes, nothing from elsewhere."""

from __future__ import annotations

import gzip
import json
import os
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "dashboard"
BUILD = ROOT / "src" / "gapura" / "control" / "dashboard"
WORDS = {name: json.loads((SOURCE / "src" / "words" / f"{name}.json").read_text()) for name in ("en", "id")}
CODE = {path: path.read_text() for path in sorted((SOURCE / "src").rglob("*")) if path.suffix in (".svelte", ".js")}
LONGEST_LOAD = 80_000
"""Bytes, gzipped, of everything that the first view needs."""


def gaps(text: str) -> set[str]:
    return set(re.findall(r"\{(\w+)\}", text))


def test_both_languages_say_the_same() -> None:
    assert WORDS["en"].keys() == WORDS["id"].keys()
    for key, text in WORDS["en"].items():
        assert gaps(text) == gaps(WORDS["id"][key]) or ("|" in text and "n" in gaps(text)), key
        assert text.strip(), key
        assert WORDS["id"][key].strip(), key


def test_indonesian_is_not_english() -> None:
    same = [key for key, text in WORDS["en"].items() if text == WORDS["id"][key] and " " in text]
    assert same == []


@pytest.mark.parametrize("path", CODE, ids=lambda path: path.name)
def test_every_text_that_is_asked_for_is_there(path: Path) -> None:
    text = CODE[path]
    for key in re.findall(r'\bt\("([^"]+)"', text):
        assert key in WORDS["en"], key
    for group in re.findall(r'\bterm\("([^"]+)"', text) + re.findall(r"\bt\(`([a-z.]+)\.\$\{", text):
        assert any(key.startswith(f"{group}.") for key in WORDS["en"]), group


def test_no_text_is_left_over() -> None:
    code = "\n".join(CODE.values())
    exact = set(re.findall(r'"([a-zA-Z0-9_.]+)"', code))
    groups = set(re.findall(r'\bterm\("([^"]+)"', code)) | set(re.findall(r"\bt\(`([a-z.]+)\.\$\{", code))
    loose = [key for key in WORDS["en"] if key not in exact and not any(key.startswith(f"{group}.") for group in groups)]
    assert [key for key in loose if not key.endswith(".done")] == [], "nobody shows these"


def test_the_lock_file_names_no_registry() -> None:
    lock = json.loads((SOURCE / "package-lock.json").read_text())
    assert not [name for name, entry in lock["packages"].items() if "resolved" in entry]
    assert all("integrity" in entry for name, entry in lock["packages"].items() if name)


def test_only_tools_are_needed_and_nothing_runs_at_installation() -> None:
    package = json.loads((SOURCE / "package.json").read_text())
    assert "dependencies" not in package
    assert not {"preinstall", "install", "postinstall", "prepare"} & package["scripts"].keys()


@pytest.fixture(scope="module")
def build() -> dict[str, bytes]:
    """The files of the build in this checkout, by name."""
    if not (BUILD / "index.html").is_file():
        if os.environ.get("GAPURA_PEERS") == "required":
            pytest.fail("the dashboard is not built: run tools/dashboard")
        pytest.skip("the dashboard is not built (make dashboard)")
    return {path.relative_to(BUILD).as_posix(): path.read_bytes() for path in BUILD.rglob("*") if path.is_file()}


def test_the_first_load_is_small(build: dict[str, bytes]) -> None:
    """Charts and the second language come later; the journeys count what a browser really asks for."""
    sizes = {name: len(gzip.compress(body, 9)) for name, body in build.items()}
    later = [name for name in sizes if re.match(r"assets/(uPlot|id-)", name)]
    assert len(later) == 2, list(sizes)
    assert sum(sizes.values()) - sum(sizes[name] for name in later) <= LONGEST_LOAD, sizes
    assert sum(sizes.values()) <= 1.25 * LONGEST_LOAD, sizes


def test_nothing_in_the_page_would_break_the_policy(build: dict[str, bytes]) -> None:
    page = build["index.html"].decode()
    assert not re.search(r"<script(?![^>]*\bsrc=)", page)
    assert not re.search(r"\bstyle=|<style|\bon\w+=", page)
    assert "eval(" not in page


def test_nothing_comes_from_elsewhere(build: dict[str, bytes]) -> None:
    known = ("http://www.w3.org/", "https://svelte.dev/e/")  # names of XML, and where Svelte explains its warnings
    for name, body in build.items():
        for address in re.findall(rb"https?://[a-z0-9.-]+[^\s\"'`<>)]*", body):
            assert address.decode().startswith(known), f"{name}: {address.decode()}"
