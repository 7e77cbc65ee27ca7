from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from gapura.config.difference import difference


def test_nothing_is_different() -> None:
    assert difference({"a": "x\n"}, {"a": "x\n"}) == ""
    assert difference({}, {}) == ""


def test_a_changed_line() -> None:
    assert difference({"f": "a\nb\n"}, {"f": "a\nc\n"}) == "--- f (running)\n+++ f\n@@ -1,2 +1,2 @@\n a\n-b\n+c\n"


def test_files_that_are_on_one_side_only() -> None:
    said = difference({"gone": "a\n"}, {"new": "b\n"})
    assert "--- gone (running)" in said
    assert "+b\n" in said


@pytest.mark.parametrize(
    ("before", "after"),
    [("a\nb\n", "a\nc"), ("a", "a\n"), ("", "a\n"), ("a\n", ""), ("a\u2028b\nx\x0cy\n", "a\u2028b\nx\x0cz\n"), ("\r\na\n", "a\n")],
)
def test_patch_understands_it(tmp_path: Path, before: str, after: str) -> None:
    file = tmp_path / "file"
    file.write_bytes(before.encode())
    said = difference({"file": before}, {"file": after})
    subprocess.run(["patch", "--binary", str(file)], input=said.encode(), check=True, capture_output=True, cwd=tmp_path)
    assert (file.read_bytes() if file.exists() else b"") == after.encode()
