"""The end of a log file and what is added, through a descriptor."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gapura.control import tail as module
from gapura.control.tail import Tail, open_log


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "a.log"


@pytest.mark.parametrize(
    ("text", "count", "expected"),
    [
        ("", 5, []),
        ("one\n", 5, ["one"]),
        ("one\ntwo\nthree\n", 2, ["two", "three"]),
        ("one\ntwo\nhalf", 5, ["one", "two"]),
        ("half", 5, []),
        ("one\r\n\ntwo\n", 5, ["one", "", "two"]),
        ("one\n", 0, []),
    ],
)
def test_the_last_lines(file: Path, text: str, count: int, expected: list[str]) -> None:
    file.write_text(text, newline="")
    tail = Tail(open_log(str(file)))
    assert tail.last(count) == expected
    tail.close()


def test_what_is_added_is_told_line_by_line(file: Path) -> None:
    file.write_text("one\nha")
    tail = Tail(open_log(str(file)))
    assert tail.last(10) == ["one"]
    with file.open("a") as stream:
        stream.write("lf\ntwo\nthr")
    assert tail.added() == ["half", "two"]
    assert tail.added() == []
    file.write_text("new\n")
    assert tail.added() == ["new"]
    tail.close()


def test_it_goes_on_in_the_file_that_took_its_place(file: Path) -> None:
    file.write_text("one\n")
    tail = Tail(open_log(str(file)))
    tail.last(10)
    with file.open("a") as stream:
        stream.write("two\n")
    file.rename(file.with_suffix(".1"))
    file.write_text("three\n")
    fd = open_log(str(file))
    assert not tail.same(fd)
    assert tail.go_on(fd) == ["two"]
    assert tail.added() == ["three"]
    again = open_log(str(file))
    assert tail.same(again)
    os.close(again)
    tail.close()


def test_of_a_large_file_only_the_end_is_read(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 1000)
    file.write_text("".join(f"{number:09}\n" for number in range(1000)))
    tail = Tail(open_log(str(file)))
    assert len(tail.last(5000)) == 99
    with file.open("a") as stream:
        stream.write("".join(f"{number:09}\n" for number in range(1000)))
    assert len(tail.added()) == 100
    tail.close()


def test_long_lines_and_foreign_bytes_do_no_harm(file: Path) -> None:
    file.write_bytes(b"x" * 50_000 + b"\n\xff\xfe\n")
    tail = Tail(open_log(str(file)))
    first, second = tail.last(10)
    assert len(first) == module.LONGEST
    assert second == "\ufffd\ufffd"
    tail.close()


def test_links_pipes_and_folders_are_not_read(tmp_path: Path, file: Path) -> None:
    file.write_text("secret\n")
    (tmp_path / "link").symlink_to(file)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name in ("link", "pipe", "folder", "missing"):
        with pytest.raises(OSError, match=name):
            open_log(str(tmp_path / name))
