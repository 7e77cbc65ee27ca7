"""`logs`: which files are meant, and how they are shown."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path
from typing import Any

import pytest

from gapura.cli import logs


@pytest.fixture
def written(folder: Path) -> Path:
    """Logs of two apps, one with a hyphen in its name, beside those of Gapura itself."""
    place = folder / ".gapura" / "logs"
    place.mkdir(parents=True)
    for name, seconds in (("shop-0", (1, 3)), ("shop-1", (2,)), ("shop-api-0", (4,))):
        lines = [f"2026-11-22T14:03:0{second}.000 {name} line {second}\n" for second in seconds]
        (place / f"{name}.log").write_text("".join(lines))
    for name in ("gapura", "access", "error"):
        (place / f"{name}.log").write_text(f"{name} 1\n{name} 2\n{name} 3\n")
    (place / "shop-0.log.1").write_text("")
    return place


@pytest.mark.parametrize(
    ("words", "lines"),
    [
        (["shop:0"], ["14:03:01.000 shop-0 line 1", "14:03:03.000 shop-0 line 3"]),
        (["shop:0", "-n", "1"], ["14:03:03.000 shop-0 line 3"]),
        (["shop-api"], ["14:03:04.000 shop-api-0 line 4"]),
        (["shop"], ["shop:0 14:03:01.000 shop-0 line 1", "shop:1 14:03:02.000 shop-1 line 2", "shop:0 14:03:03.000 shop-0 line 3"]),
        (
            [],
            [
                "shop:0 14:03:01.000 shop-0 line 1",
                "shop:1 14:03:02.000 shop-1 line 2",
                "shop:0 14:03:03.000 shop-0 line 3",
                "shop-api:0 14:03:04.000 shop-api-0 line 4",
            ],
        ),
        (["--access", "-n", "2"], ["access 2", "access 3"]),
        (["--access", "-n", "0"], []),
        (["--errors", "-n", "0"], []),
        (["--errors"], ["error 1", "error 2", "error 3"]),
    ],
)
def test_what_is_shown(written: Path, gapura: Any, words: list[str], lines: list[str]) -> None:
    done = gapura("logs", *words)
    assert done.err == ""
    assert done.out.splitlines() == lines


@pytest.mark.parametrize(
    ("target", "hint"),
    [("shp", "did you mean `shop`?"), ("shop:7", "did you mean `shop:"), ("xyz", "there are logs of: shop, shop-api")],
)
def test_a_log_that_is_not_there(written: Path, gapura: Any, target: str, hint: str) -> None:
    done = gapura("logs", target)
    assert done.status == 1
    assert f"there is no log of {target} in .gapura/logs" in done.err
    assert hint in done.err


def test_a_log_that_is_not_written(folder: Path, gapura: Any) -> None:
    assert "there is no .gapura/logs/access.log yet" in gapura("logs", "--access").err
    config = folder / "gapura.toml"
    config.write_text(config.read_text().replace("workers = 1", 'workers = 1\naccess_log = { path = "" }'))
    assert "is not written to a file" in gapura("logs", "--access").err


LINE = '10.0.0.{} - - [22/Nov/2020:14:03:0{} +0000] "{} {} HTTP/1.1" {} 5 "-" "x" id{} - 0 {} -'


@pytest.fixture
def visited(folder: Path) -> Path:
    """Access logs of the edge and of a site, the older half compressed."""
    place = folder / ".gapura" / "logs"
    place.mkdir(parents=True)
    lines = [
        LINE.format(1, 1, "GET", "/a", 200, 1, "0.003"),
        LINE.format(2, 2, "POST", "/api/x?y=1", 503, 2, "2.500"),
        LINE.format(3, 4, "GET", "/api/y", 404, 3, "0.100"),
    ]
    (place / "access.log-20261122T140303Z.gz").write_bytes(gzip.compress("".join(f"{line}\n" for line in lines[:2]).encode()))
    (place / "access.log").write_text(f"{lines[2]}\nnonsense\n")
    (folder / "shop.log").write_text(LINE.format(4, 3, "GET", "/shop", 200, 4, "0.100") + "\n")
    config = folder / "gapura.toml"
    config.write_text(config.read_text().replace('proxy = "shop"', 'proxy = "shop"\naccess_log = "shop.log"', 1))
    return folder


@pytest.mark.parametrize(
    ("words", "ids"),
    [
        ([], "1 2 4 3"),
        (["-n", "1"], "4"),
        (["-n", "2"], "4 3"),
        (["shop.localhost"], "4"),
        (["--status", "5xx"], "2"),
        (["--status", "5xx,404", "-n", "1"], "3"),
        (["--status", "200-299"], "1 4"),
        (["--slow", "100ms"], "2 4 3"),
        (["--path", "/api/*"], "2 3"),
        (["--client", "10.0.0.2/31", "--method", "get"], "3"),
        (["--since", "1d", "--status", "5xx"], ""),
    ],
)
def test_access(visited: Path, gapura: Any, words: list[str], ids: str) -> None:
    done = gapura("logs", "--access", *words)
    assert done.err == ""
    assert re.findall(r"id(\d)", done.out) == ids.split()
    assert "\x1b" not in done.out


def test_access_in_json(visited: Path, gapura: Any) -> None:
    lines = [json.loads(line) for line in gapura("logs", "--access", "--json").out.splitlines()]
    assert [line["request_id"] for line in lines] == ["id1", "id2", "id4", "id3"]
    assert lines[1]["request_uri"] == "/api/x?y=1"


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        (["--access", "alvin.xyz"], "alvin.xyz has no access log of its own", 'write access_log = "alvin.xyz.log"'),
        (["--access", "shop.localhos"], "there is no site shop.localhos", "did you mean `shop.localhost`?"),
        (["--status", "404"], "these options are for access logs", "write --access as well"),
        (["--access", "--errors"], "one kind of log at a time", ""),
        (["--access", "--status", "nine"], '"nine" is no status', ""),
        (["--access", "--slow", "soon"], '"soon" is not a duration', ""),
        (["--access", "--client", "localhost"], "a client is an address or a network", ""),
    ],
)
def test_what_cannot_be_asked(visited: Path, gapura: Any, words: list[str], message: str, hint: str) -> None:
    done = gapura("logs", *words)
    assert done.status
    assert message in done.err
    assert hint in done.err


def test_a_format_of_its_own_is_shown_but_not_taken_apart(visited: Path, gapura: Any) -> None:
    config = visited / "gapura.toml"
    config.write_text(config.read_text().replace('"shop.log"', '{ path = "shop.log", format = "$status" }'))
    (visited / "shop.log").write_text("200\n\x1b[2J\n")
    assert gapura("logs", "--access", "shop.localhost").out.splitlines() == ["200", "\\x1b[2J"]
    assert "shop.log has a format of its own" in gapura("logs", "--access", "--status", "200").err


def test_what_apps_print_cannot_command_the_terminal() -> None:
    assert (
        logs.harmless("\x1b[31mred\x1b[0m\tx\x1b]0;title\x07\x1b[2J") == "\x1b[31mred\x1b[0m    x\\x1b]0;title\\x07\\x1b[2J\x1b[0m"
    )
    assert logs.harmless("plain ü") == "plain ü"
