"""A configuration written to a folder of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

Configure = Callable[..., str]


@pytest.fixture
def configure(tmp_path: Path) -> Configure:
    """`configure(text, name=content, …)` writes gapura.toml and further files; returns the path of gapura.toml."""

    def write(text: str, **files: str) -> str:
        for name, content in files.items():
            (tmp_path / name).write_text(content, encoding="utf-8")
        file = tmp_path / "gapura.toml"
        file.write_text(text, encoding="utf-8")
        return str(file)

    return write
