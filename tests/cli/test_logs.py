"""`logs`: which files are meant, and how they are shown."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from gapura.cli import logs
from gapura.errors import CommandError


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


def test_a_followed_log_goes_on_after_a_rotation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "PAUSE", 0.01)
    path = tmp_path / "access.log"
    path.write_text("old\n")
    lines = logs.tail(str(path), 5, follow=True)
    assert next(lines) == "old"

    def add(text: str) -> None:
        with path.open("a") as file:
            file.write(text)

    add("half a ")
    rest = threading.Timer(0.05, add, ["line\n"])
    rest.start()
    assert next(lines) == "half a line"
    rest.join()
    path.rename(tmp_path / "access.log.1")
    path.write_text("new\n")
    assert next(lines) == "new"
    lines.close()


def test_the_last_lines_of_a_long_log(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    path.write_text("".join(f"{number} {'x' * 100}\n" for number in range(20_000)))
    found = list(logs.tail(str(path), 3000, follow=False))
    assert len(found) == 3000
    assert found[0].startswith("17000 ")
    assert found[-1].startswith("19999 ")


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="there is no"):
        next(logs.tail(str(tmp_path / "none.log"), 1, follow=False))
