"""`logs`: which files are meant, and how they are shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


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
