"""Every command that the documents show is carried out, page by page, or says why a test cannot do that."""

from __future__ import annotations

import os
import re
import time
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.conftest import peer
from tests.manual import PAGES, ROOT, Block, Desk, alike, answers, blocks, commands, missing, placed

REASONS = (
    "as root",
    "another machine",
    "a public name",
    "a clone",
    "asks a question",
    "goes on for ever",
    "tools/record",
    "tests/test_package.py",
    "another program",
)
"""Why a test cannot carry out a block; each mark names one of these."""
WRITTEN = {"docs/commands.md": "tools/record ran these commands, and tests/test_docs.py compares what they said"}
SHELL = [block for page in PAGES for block in blocks(page) if block.shell and block.name.split(":")[0] not in WRITTEN]
LEFT_OUT = [block for block in SHELL if block.mark == "not run"]
TRANSLATED = ROOT / "docs" / "id"


def steps(page: Path) -> list[tuple[str, list[str], list[str]]]:
    """All that is done on a page, as far as it is the same in every language: without comments and `--lang`."""
    done: list[tuple[str, list[str], list[str]]] = []
    for block in blocks(page):
        if block.mark == "file":
            done.append((block.about, block.text.splitlines(), []))
        elif block.shell or block.mark == "setup":
            lines = [line.partition("  #")[0].rstrip().replace(" --lang id", "") for line in commands(block)]
            done.append((block.mark, lines, [line.partition("  #")[0].rstrip() for line in answers(block)]))
    return done


def repeats(page: Path) -> bool:
    """Whether a page is a translation that does the very same as its original, which is carried out already."""
    original = ROOT / "README.md" if page.name == "README.id.md" else ROOT / "docs" / page.name
    return (page.name == "README.id.md" or page.parent == TRANSLATED) and steps(page) == steps(original)


CARRIED_OUT = [
    page for page in PAGES if any(block.page == page and block.mark != "not run" for block in SHELL) and not repeats(page)
]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    for program in ("bash", "curl", "awk"):
        peer(program)
    desk = Desk(tmp_path)
    yield desk
    desk.clear()


@pytest.mark.parametrize("page", CARRIED_OUT, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_does_what_it_shows(page: Path, desk: Desk) -> None:
    for block in blocks(page):
        if block.mark == "file":
            desk.write(block)
        elif block.mark == "setup":
            status, said = desk.type([block.text])
            assert status == 0, f"{block.name}: {said}"
        elif block.shell and block.mark != "not run":
            status, said = desk.type(commands(block))
            assert status == 0, f"{block.name} ended with {status}:\n{said}"
            if block.mark != "output differs":
                assert missing(answers(block), said) == [], f"{block.name} says instead:\n{said}"


def test_what_is_left_out_says_why() -> None:
    for block in LEFT_OUT:
        assert any(reason in block.about for reason in REASONS), f"{block.name}: {block.about!r} is none of {REASONS}"


@pytest.mark.parametrize("name", ["docs/homework.md", "docs/web-server.md", "README.md"])
def test_long_pages_do_the_same_in_both_languages(name: str) -> None:
    page = ROOT / name
    translated = TRANSLATED / page.name if page.parent.name == "docs" else page.with_suffix(".id.md")
    assert steps(translated) == steps(page)
    assert repeats(translated)
    assert not repeats(page)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_stand_in_fences(page: Path) -> None:
    """What is only indented is code to readers as well, but nobody would carry it out."""
    text = re.sub(r"^ *```.*?^ *```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    assert re.findall(r"(?m)^(?:    |\t)(?:\$ )?(?:gapura|curl|npm|sudo|pip|make|ssh|python3 -m|\[[a-z]+)\b[^→\n]*$", text) == []


def test_marks_are_known() -> None:
    known = {"", "file", "not run", "output differs", "setup"}
    assert {block.mark for page in PAGES for block in blocks(page)} <= known


def test_most_commands_are_carried_out() -> None:
    """The count, for who runs with `-rP`; what is left out stays the exception."""
    counted = Counter(str(block.page.relative_to(ROOT)) for block in LEFT_OUT)
    done = sum(len(commands(block)) for block in SHELL if block.mark != "not run")
    left = sum(len(commands(block)) for block in LEFT_OUT)
    print(f"{done} command lines of {len(CARRIED_OUT)} pages are carried out, {left} are not:")
    for block in LEFT_OUT:
        print(f"  {block.name}: {block.about}")
    assert done > 2 * left, counted


def block(text: str, language: str = "console") -> Block:
    return Block(ROOT / "README.md", 1, language, text, "", "")


def test_commands_and_answers_are_told_apart() -> None:
    shown = block("$ echo a\na\n$ true\n")
    assert commands(shown) == ["echo a", "true"]
    assert answers(shown) == ["a"]
    assert commands(block("echo a\n", "sh")) == ["echo a"]
    assert answers(block("echo a\n", "sh")) == []


def test_lines_are_alike_when_only_chance_differs() -> None:
    assert alike("a:0  ready  19544  127.0.0.1:35643  0  25.6 MB  4 s") == alike("a:0 ready 2022 127.0.0.1:4747  0 9 kB  12 ms")
    assert alike("X: 0") != alike("X: 1")
    assert missing(["b", "…", "c"], "a\nb\nc\n") == []
    assert missing(["c", "b"], "a\nb\nc\n") == ["b"]


def test_a_page_is_read_with_its_marks(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "<!-- setup: mkdir x -->\n\n<!-- file: x/y -->\n```toml\na = 1\n```\n\n"
        "<!-- setup: mkdir y -->\n```sh\nls\n```\n<!-- not run: as root -->\n```console\n$ id\n```\n"
    )
    assert [(one.language, one.mark, one.about) for one in blocks(page)] == [
        ("", "setup", "mkdir x"),
        ("toml", "file", "x/y"),
        ("", "setup", "mkdir y"),
        ("sh", "", ""),
        ("console", "not run", "as root"),
    ]


def test_a_configuration_gets_the_ports_of_pages_where_it_says_nothing() -> None:
    bare = tomllib.loads(placed('[sites."a"]\nrespond = "b"\n'))
    assert bare["edge"]["http"] == 8080
    assert bare["sites"] == {"a": {"respond": "b"}}
    own = tomllib.loads(placed('a = 1\n[edge]\nhttp = "127.0.0.1:8080"\n[apps.x]\nworkers = 9\n'))
    assert own["edge"]["http"] == "127.0.0.1:8080"
    assert own["edge"]["workers"] == 2
    assert own["apps"]["x"] == {"workers": 9}


def test_nothing_goes_on_after_a_page(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.write(Block(ROOT / "README.md", 1, "toml", '[sites."a.localhost"]\nrespond = "hello"\n', "file", "a/gapura.toml"))
    status, said = desk.type(["cd a", "gapura up -d", "sleep 1000 >/dev/null 2>&1 &"])
    assert status == 0, said
    (group,) = desk.groups
    assert (tmp_path / "home" / "a" / ".gapura" / "control.sock").exists()
    desk.clear()
    assert not (tmp_path / "home" / "a" / ".gapura" / "control.sock").exists()
    deadline = time.monotonic() + 10
    while group in sleepers():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def sleepers() -> Iterator[int]:
    """The process groups of those that sleep for the test above."""
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if (path / "cmdline").read_bytes() == b"sleep\x001000\x00":
                yield os.getpgid(int(path.name))
        except OSError:
            continue  # it has just ended
