"""A small file for masters that come after."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from gapura.master.kept import Kept


def understood(document: Any) -> list[int]:
    return [int(number) for number in document["numbers"]]


def read(path: Path) -> list[int]:
    return Kept(str(path)).read(understood, [], "there are no numbers")


def test_what_was_written_is_read(tmp_path: Path) -> None:
    kept = Kept(str(tmp_path / "kept"))
    kept.write({"numbers": [1, 2]})
    assert read(tmp_path / "kept") == [1, 2]
    assert os.stat(tmp_path / "kept").st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == ["kept"]
    assert kept.problem == ""


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", "5", '{"numbers": 5}', '{"numbers": ["x"]}', '{"numbers": [{}]}', "\udcff"])
def test_what_is_not_understood_is_told_and_not_believed(tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "kept").write_bytes(text.encode(errors="surrogateescape"))
    assert read(tmp_path / "kept") == []
    assert "cannot be read" in caplog.text
    assert "there are no numbers" in caplog.text


def test_no_file_and_no_place_for_one(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert read(tmp_path / "none") == []
    nowhere = Kept("")
    nowhere.write({"numbers": [1]})
    assert nowhere.read(understood, [], "") == []
    assert caplog.text == ""


def test_links_and_pipes_are_not_followed_nor_waited_for(tmp_path: Path) -> None:
    (tmp_path / "other").write_text('{"numbers": [1]}')
    (tmp_path / "link").symlink_to(tmp_path / "other")
    os.mkfifo(tmp_path / "pipe")
    assert read(tmp_path / "link") == read(tmp_path / "pipe") == []


def test_a_folder_that_is_gone_is_told_until_it_works(tmp_path: Path) -> None:
    kept = Kept(str(tmp_path / "gone" / "kept"))
    kept.write({"numbers": [1]})
    assert "cannot be written" in kept.problem
    (tmp_path / "gone").mkdir()
    kept.write({"numbers": [1]})
    assert kept.problem == ""
