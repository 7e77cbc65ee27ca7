"""Reading logs from their end, through older files, and on while they are renamed and compressed."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapura.cli import log_reader
from gapura.cli.log_reader import LogReader, older


def yes(text: str) -> bool:
    return True


def no(text: str) -> bool:
    return False


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "access.log"


def aged(path: Path, text: str, age: int, packed: bool = False) -> None:
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    os.utime(path, (1_000_000 - age, 1_000_000 - age))


@pytest.fixture
def history(path: Path) -> Path:
    """A current file, and older ones of ours, of logrotate, and others."""
    path.write_text("8\n9\nunfinish")
    aged(path.with_name("access.log-20261122T170000Z"), "6\n7\n", 1)
    aged(path.with_name("access.log-20261121T170000Z.gz"), "4\n5\n", 2, packed=True)
    aged(path.with_name("access.log.1"), "2\n3\n", 3)
    aged(path.with_name("access.log-20261101.gz"), "0\n1\n", 4, packed=True)
    aged(path.with_name("access.log-20261120T170000Z.gz.part"), "x\n", 0)
    aged(path.with_name("access.log-old"), "x\n", 0)
    aged(path.with_name("access.logs"), "x\n", 0)
    return path


def test_older_files(history: Path) -> None:
    names = [os.path.basename(name).removeprefix("access.log") for name in older(str(history))]
    assert names == ["-20261122T170000Z", "-20261121T170000Z.gz", ".1", "-20261101.gz"]
    assert older("/nowhere/at/all.log") == []


@pytest.mark.parametrize("count", [0, 1, 2, 3, 5, 9, 10, 11, None])
def test_the_last_lines(history: Path, count: int | None) -> None:
    reader = LogReader(str(history))
    assert reader.last(count, yes, no) == [str(number) for number in range(10)][10 - min(10, 10 if count is None else count) :]
    with history.open("a") as stream:
        stream.write("ed\n")
    assert reader.added() == ["unfinished"]
    reader.close()


def test_wanted_lines_and_an_end(history: Path) -> None:
    reader = LogReader(str(history))
    assert reader.last(3, lambda text: int(text) % 2 == 0, no) == ["4", "6", "8"]
    reader.close()
    assert reader.last(None, yes, lambda text: text == "5") == ["6", "7", "8", "9"]
    reader.close()
    assert reader.last(None, yes, no, since=1_000_000 - 2.5) == ["4", "5", "6", "7", "8", "9"]
    reader.close()


def test_a_damaged_older_file_is_passed_over(history: Path) -> None:
    whole = gzip.compress(b"4\n5\n" * 1000)
    history.with_name("access.log-20261121T170000Z.gz").write_bytes(whole[: len(whole) // 2])
    reader = LogReader(str(history))
    assert reader.last(None, yes, no)[-4:] == ["6", "7", "8", "9"]
    reader.close()


@given(st.lists(st.binary(max_size=40).map(lambda line: line.replace(b"\n", b"")), max_size=30), st.integers(1, 20))
def test_backwards_is_forwards_turned_round(lines: list[bytes], block: int) -> None:
    import io

    before, log_reader._BLOCK = log_reader._BLOCK, block  # type: ignore[misc]
    try:
        data = b"".join(line + b"\n" for line in lines)
        assert list(log_reader._backwards(io.BytesIO(data), len(data))) == lines[::-1]
        assert log_reader._whole_end(io.BytesIO(data + b"rest")) == (len(data), b"rest")
    finally:
        log_reader._BLOCK = before  # type: ignore[misc]


def test_a_large_file_is_not_read_whole(path: Path) -> None:
    with path.open("wb") as stream:
        stream.truncate(1 << 40)  # sparse
        stream.seek(0, os.SEEK_END)
        stream.write(b"\nlast but one\nlast\n")
    reader = LogReader(str(path))
    assert reader.last(2, yes, no) == ["last but one", "last"]
    reader.close()


@pytest.mark.parametrize("compressed", [False, True])
def test_it_goes_on_in_the_file_that_follows(path: Path, compressed: bool) -> None:
    path.write_text("1\n")
    reader = LogReader(str(path))
    assert reader.last(9, yes, no) == ["1"]
    renamed = path.with_name("access.log-20261122T170000Z")
    with path.open("a") as worker:
        path.rename(renamed)
        path.write_text("4\n")
        worker.write("2\n")
        worker.flush()
        seen = reader.added() + reader.added()
        worker.write("3\n")
    if compressed:
        renamed.with_name(f"{renamed.name}.gz").write_bytes(gzip.compress(renamed.read_bytes()))
        renamed.unlink()
    for _ in range(3):
        seen += reader.added()
    assert sorted(seen) == ["2", "3", "4"]
    reader.close()


def test_what_came_between_while_it_was_stopped(path: Path) -> None:
    path.write_text("1\n")
    os.utime(path, (1_000, 1_000))
    reader = LogReader(str(path))
    assert reader.last(9, yes, no) == ["1"]
    path.rename(path.with_name("access.log-20261122T170000Z"))
    aged(path.with_name("access.log-20261122T180000Z.gz"), "2\n", 5, packed=True)
    aged(path.with_name("access.log-20261122T190000Z"), "3\n", 4)
    path.write_text("4\n")
    seen = [text for _ in range(4) for text in reader.added()]
    assert sorted(seen) == ["2", "3", "4"]
    reader.close()


def test_a_file_that_is_emptied_and_one_that_comes_later(path: Path) -> None:
    reader = LogReader(str(path))
    assert reader.last(9, yes, no) == []
    assert reader.added() == []
    path.write_text("1\n2\n")
    assert reader.added() == ["1", "2"]
    os.truncate(path, 0)
    assert reader.added() == []
    path.write_text("3\n")
    assert reader.added() == ["3"]
    reader.close()
