"""Files that are read whole."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gapura.small_file import NOTHING, facts_of, read


def test_a_file(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"content")
    raw, state = read(str(path), 7)
    assert (raw, state.st_size, state.st_ino) == (b"content", 7, facts_of(str(path))[2])
    before = facts_of(str(path))
    path.write_bytes(b"changed!")
    assert facts_of(str(path)) not in (before, NOTHING)
    assert facts_of(str(tmp_path / "none")) == NOTHING


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        ("none", FileNotFoundError, "No such file"),
        ("folder", ValueError, "not a file"),
        ("fifo", ValueError, "not a file"),
        ("large", ValueError, "larger than 10 bytes"),
    ],
)
def test_what_is_no_file_leaves_no_descriptor_behind(tmp_path: Path, name: str, error: type[Exception], words: str) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "large").write_bytes(b"x" * 11)
    before = set(os.listdir("/proc/self/fd"))
    for _ in range(3):
        with pytest.raises(error, match=words):
            read(str(tmp_path / name), 10)
    assert set(os.listdir("/proc/self/fd")) <= before
