"""A small file that counts as soon as it changes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gapura.edge import watched_file
from gapura.edge.watched_file import WatchedFile

SECOND = 1_000_000_000


def test_content_is_given_once_for_each_change(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("one")
    file = WatchedFile(str(path))
    assert file.look(1) == b"one"
    assert file.look(5 * SECOND) is None
    path.write_text("three")
    assert file.look(5 * SECOND + 1) is None  # not looked at again so soon
    assert file.look(7 * SECOND) == b"three"
    (tmp_path / "new").write_text("other")
    os.utime(tmp_path / "new", ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
    os.replace(tmp_path / "new", path)  # of the same size and time: another file all the same
    assert file.look(9 * SECOND) == b"other"


def test_what_cannot_be_read_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watched_file, "LOOK", 0)
    path = tmp_path / "x"
    path.write_text("one")
    file = WatchedFile(str(path))
    assert file.look(1) == b"one"
    path.unlink()
    assert [file.look(now) for now in (2, 3, 4)] == [None] * 3
    path.mkdir()
    assert file.look(5) is None
    assert len(caplog.records) == 1
    path.rmdir()
    path.write_text("one")
    assert file.look(6) == b"one"
    os.remove(path)
    os.mkfifo(path)
    assert file.look(7) is None  # and does not hang
    assert len(caplog.records) == 2
