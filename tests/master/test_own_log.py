"""The log of Gapura itself does not grow without end."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gapura.log import open_log
from gapura.master.own_log import NAME, OwnLog


def test_it_is_emptied_and_the_part_before_kept(tmp_path: Path) -> None:
    fd = open_log(str(tmp_path / NAME))
    own = OwnLog(str(tmp_path), largest=10)
    os.write(fd, b"short\n")
    own.look()
    assert sorted(os.listdir(tmp_path)) == [NAME]
    os.write(fd, b"longer\n")
    own.look()
    assert (tmp_path / f"{NAME}.1").read_bytes() == b"short\nlonger\n"
    os.write(fd, b"after\n")
    assert (tmp_path / NAME).read_bytes() == b"after\n", "whoever has it open goes on at its beginning"
    os.write(fd, b"and more\n")
    own.look()
    assert (tmp_path / f"{NAME}.1").read_bytes() == b"after\nand more\n"
    assert sorted(os.listdir(tmp_path)) == [NAME, f"{NAME}.1"]
    assert (tmp_path / f"{NAME}.1").stat().st_mode & 0o777 == 0o640 & ~current_umask()
    os.close(fd)


def current_umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_a_terminal_a_journal_a_link_and_a_folder_are_left_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    OwnLog(str(tmp_path / "none")).look()
    (tmp_path / "other").write_text("x" * 100)
    (tmp_path / NAME).symlink_to(tmp_path / "other")
    OwnLog(str(tmp_path), largest=10).look()
    assert (tmp_path / "other").read_text() == "x" * 100
    assert caplog.text == ""


def test_what_cannot_be_done_is_told_once_and_loses_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / NAME).write_text("x" * 100)
    own = OwnLog(str(tmp_path), largest=10)

    def full(fd: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        own.look()
        own.look()
    assert caplog.text.count("cannot be emptied") == 1
    assert (tmp_path / NAME).read_text() == "x" * 100
    assert os.listdir(tmp_path) == [NAME]


def test_a_link_in_the_way_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text("x" * 100)
    (tmp_path / "precious").write_text("mine")
    for name in (f"{NAME}.1", f"{NAME}.1.new"):
        (tmp_path / name).symlink_to(tmp_path / "precious")
    OwnLog(str(tmp_path), largest=10).look()
    assert (tmp_path / "precious").read_text() == "mine"
    assert (tmp_path / f"{NAME}.1").read_text() == "x" * 100
