from __future__ import annotations

from pathlib import Path

import pytest

from gapura.config.load import load


@pytest.mark.parametrize(
    ("keys", "page", "allow", "retry_after"),
    [
        ('maintenance = "soon.html"', "/soon.html", [], 600.0),
        ('maintenance = { allow = "10.1.2.3/8", retry_after = "5m" }', "", ["10.0.0.0/8"], 300.0),
        ("maintenance = {}", "", [], 600.0),
    ],
)
def test_how_it_looks(tmp_path: Path, keys: str, page: str, allow: list[str], retry_after: float) -> None:
    file = tmp_path / "gapura.toml"
    file.write_text(f'[sites."a"]\nrespond = "x"\n{keys}\n')
    site = load(str(file))["sites"][0]
    assert site["maintenance"] == {"page": page and str(tmp_path) + page, "allow": allow, "retry_after": retry_after}
    assert site["closed"] is None


def test_nothing_said(tmp_path: Path) -> None:
    file = tmp_path / "gapura.toml"
    file.write_text('[sites."a"]\nrespond = "x"\n')
    assert load(str(file))["sites"][0]["maintenance"] is None
