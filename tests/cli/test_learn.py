"""`learn`: texts, the simulation, drawings."""

from __future__ import annotations

import json
import webbrowser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from gapura.learn.pages import TOPICS

from .conftest import FakeMaster


def test_without_a_topic_all_are_listed(gapura: Any) -> None:
    done = gapura("learn")
    assert done.status == 0
    for name in (*TOPICS, "balance", "draw"):
        assert f"gapura learn {name}" in done.out


@pytest.mark.parametrize("topic", TOPICS)
@pytest.mark.parametrize("language", ["en", "id"])
def test_a_topic_is_told_in_both_languages(gapura: Any, topic: str, language: str) -> None:
    done = gapura("learn", topic, "--lang", language)
    assert done.status == 0
    assert done.out.startswith("# ")
    assert "<!--" not in done.out
    assert "](drawings" not in done.out


def test_the_language_is_the_terminals(gapura: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANGUAGE", "")
    monkeypatch.setenv("LC_ALL", "id_ID.UTF-8")
    assert gapura("learn", "web-server").out.startswith("# Apa itu web server?")


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """What the browser was told to open."""
    found: list[str] = []

    def take(url: str) -> bool:
        found.append(url)
        return True

    monkeypatch.setattr(webbrowser, "open", take)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return found


def test_the_browser_gets_files_where_nothing_runs(gapura: Any, opened: list[str], tmp_path: Path) -> None:
    assert gapura("learn", "load-balancing", "--browser", "--lang", "id").status == 0
    folder = tmp_path / "cache" / "gapura" / "learn" / "id"
    assert opened == [(folder / "load-balancing.html").as_uri()]
    assert {path.stem for path in folder.iterdir()} == set(TOPICS)


def test_the_browser_gets_the_dashboards_page_where_there_is_one(gapura: Any, opened: list[str], master: FakeMaster) -> None:
    master.says["status"][-1]["dashboards"] = ["http://gapura.localhost:8099/"]
    assert gapura("learn", "homework", "--browser", "--lang", "en").status == 0
    assert opened == ["http://gapura.localhost:8099/learn/en/homework.html"]


def test_without_a_browser_the_address_is_said(gapura: Any, opened: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webbrowser, "open", lambda url: False)
    done = gapura("learn", "web-server", "--browser")
    assert done.out.startswith("file://")
    assert "open this address in yours" in done.err


def test_a_folder_that_cannot_be_written_is_named(gapura: Any, opened: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/nowhere")
    done = gapura("learn", "web-server", "--browser")
    assert done.status == 1
    assert "/proc/nowhere" in done.err


def test_balance(gapura: Any, tmp_path: Path) -> None:
    words = ("learn", "balance", "--weights", "3,1", "--requests", "400", "--policy", "round_robin,least_conn", "--lang", "en")
    done = gapura(*words, "--svg", str(tmp_path / "b.svg"))
    assert (done.status, done.err) == (0, "")
    assert "round_robin  75.0 %    25.0 %" in done.out
    assert ElementTree.parse(tmp_path / "b.svg").getroot().tag.endswith("svg")
    assert gapura(*words).out == done.out, "the same seed, the same chances"
    assert gapura(*words, "--seed", "2").out != done.out


def test_balance_in_json(gapura: Any) -> None:
    document = json.loads(gapura("learn", "balance", "--servers", "3", "--requests", "90", "--kill", "1@0.5s", "--json").out)
    assert len(document["policies"]) == 6
    assert {len(policy["servers"]) for policy in document["policies"]} == {3}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--servers", "0"], "0 is not in the range"),
        (["--servers", "27"], "27 is not in the range"),
        (["--weights", "3,x"], "no numbers from 1 to"),
        (["--weights", "1,1", "--servers", "3"], "3 servers, but 2 weights"),
        (["--cores", "1,2"], "4 servers, but 2 cores"),
        (["--slow", "9"], "no server 9"),
        (["--slow", "2y"], "no slow server"),
        (["--kill", "3"], "no failure"),
        (["--kill", "0@1s"], "no server 0"),
        (["--hang", "3@10-5"], "would be back at 5 s"),
        (["--policy", "best"], "no policy 'best'"),
        (["--policy", ""], "no policy ''"),
        (["--requests", "200001"], "200001 is not in the range"),
        (["--rate", "0"], "0.0 is not in the range"),
        (["--rate", "nan"], "rate cannot be nan"),
        (["--lang", "fr"], "'fr' is not one of"),
        (["much"], "unexpected extra argument"),
    ],
)
def test_balance_refuses(gapura: Any, words: list[str], said: str) -> None:
    done = gapura("learn", "balance", *words)
    assert done.status == 2
    assert said in done.err


def test_a_picture_that_cannot_be_written(gapura: Any) -> None:
    done = gapura("learn", "balance", "--requests", "10", "--svg", "/proc/nowhere/b.svg")
    assert done.status == 1
    assert "/proc/nowhere/b.svg cannot be written" in done.err


def test_draw_what_the_file_says(gapura: Any, folder: Path) -> None:
    done = gapura("learn", "draw", "-o", "mine.svg", "--title", "My site", "--lang", "en")
    assert done.out == "mine.svg: as the file says; Gapura does not run here\n"
    drawn = (folder / "mine.svg").read_text()
    for word in ("My site", "shop.localhost", "alvin.xyz", "round_robin", "shop:1", "127.0.0.1:3002", "backup"):
        assert word in drawn


def test_draw_what_runs(gapura: Any, master: FakeMaster) -> None:
    drawn = gapura("learn", "draw", "-o", "-", "--lang", "en").out
    assert "does not answer checks" in drawn
    assert ElementTree.fromstring(drawn).tag.endswith("svg")


def test_draw_without_a_file(gapura: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = gapura("learn", "draw")
    assert done.status == 78
    assert not list(tmp_path.iterdir())


def test_a_topic_that_does_not_exist(gapura: Any) -> None:
    done = gapura("learn", "cooking")
    assert done.status == 2
    assert "cooking" in done.err
