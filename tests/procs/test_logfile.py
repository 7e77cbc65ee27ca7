"""Logs read back: the last lines over rotation, several merged, followed while they grow and turn."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest

from gapura.procs.logfile import Line, follow
from gapura.procs.output import Output


def stamp(second: int) -> str:
    return f"2026-11-22T14:{second // 60:02d}:{second % 60:02d}.000"


def write(path: Path, *seconds: int) -> None:
    with open(path, "a") as file:
        file.writelines(f"{stamp(second)} line {second}\n" for second in seconds)


def never() -> bool:
    return False


def at_once() -> bool:
    return True


def numbers(lines: Iterator[Line]) -> list[int]:
    return [int(line.text.removeprefix("line ")) for line in lines]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "shop-0.log"


def test_a_line_has_its_file_its_stamp_and_its_text(log: Path) -> None:
    write(log, 61)
    assert list(follow([str(log)], 10, False, never)) == [Line(str(log), stamp(61), "line 61")]


@pytest.mark.parametrize(("count", "expected"), [(0, []), (1, [9]), (3, [7, 8, 9]), (10, list(range(10))), (99, list(range(10)))])
def test_the_last_lines_of_a_log(log: Path, count: int, expected: list[int]) -> None:
    write(log, *range(10))
    assert numbers(follow([str(log)], count, False, never)) == expected


@pytest.mark.parametrize(
    ("count", "expected"), [(1, [9]), (2, [8, 9]), (4, [6, 7, 8, 9]), (7, [3, 4, 5, 6, 7, 8, 9]), (99, list(range(10)))]
)
def test_rotated_files_are_read_where_needed(log: Path, count: int, expected: list[int]) -> None:
    write(Path(f"{log}.3"), 0, 1)
    write(Path(f"{log}.2"), 2, 3, 4)
    write(Path(f"{log}.1"), 5, 6, 7)
    write(log, 8, 9)
    assert numbers(follow([str(log)], count, False, never)) == expected


def test_a_large_log_is_read_from_its_end(log: Path) -> None:
    write(log, *range(3000))
    assert os.stat(log).st_size > 1 << 16
    assert numbers(follow([str(log)], 2500, False, never)) == list(range(500, 3000))


def test_several_logs_are_merged_by_time(tmp_path: Path) -> None:
    write(tmp_path / "a.log", 1, 4, 5, 9)
    write(tmp_path / "b.log", 2, 3, 6, 7)
    found = list(follow([str(tmp_path / "a.log"), str(tmp_path / "b.log")], 3, False, never))
    assert [line.text for line in found] == [f"line {i}" for i in (3, 4, 5, 6, 7, 9)]
    assert [Path(line.path).name for line in found] == ["b.log", "a.log", "a.log", "b.log", "b.log", "a.log"]


def test_lines_of_one_log_stay_in_their_order_when_the_clock_is_set_back(log: Path) -> None:
    write(log, 50, 60, 10, 20)
    assert numbers(follow([str(log)], 9, False, never)) == [50, 60, 10, 20]


def test_a_missing_log_has_no_lines(log: Path) -> None:
    assert list(follow([str(log)], 9, False, never)) == []
    assert list(follow([str(log)], 9, True, at_once)) == []
    assert list(follow([], 9, True, at_once)) == []


@pytest.mark.parametrize(
    ("data", "texts"),
    [
        (b"no stamp\n", ["no stamp"]),
        (b"\n\n", ["", ""]),
        (b"2026-11-22T14:00:00.000 \n", [""]),
        (b"2026-11-22T14:00:00.000 a\r\n", ["a"]),
        (b"2026-11-22T14:00:00.000 \xff\x00\x1b[31m\n", ["\ufffd\x00\x1b[31m"]),
        (b"2026-11-22T14:00:00.000 unfinished", []),
        (b"", []),
        (b"\x00" * 100_000 + b"\n", ["\x00" * 100_000]),
    ],
)
def test_whatever_stands_in_a_log(log: Path, data: bytes, texts: list[str]) -> None:
    log.write_bytes(data)
    assert [line.text for line in follow([str(log)], 9, False, never)] == texts


def test_a_line_without_a_stamp_belongs_to_the_time_of_the_one_before(log: Path) -> None:
    log.write_text(f"{stamp(1)} one\nmore\n")
    assert [line.stamp for line in follow([str(log)], 9, False, never)] == [stamp(1), stamp(1)]


def test_following_goes_on_behind_the_last_lines(log: Path) -> None:
    write(log, 1, 2, 3)
    lines = follow([str(log)], 1, True, never)
    assert numbers(islice(lines, 1)) == [3]
    write(log, 4)
    with open(log, "a") as file:
        file.write(f"{stamp(5)} li")
    assert numbers(islice(lines, 1)) == [4]
    with open(log, "a") as file:
        file.write("ne 5\n")
    assert numbers(islice(lines, 1)) == [5]


def test_following_waits_for_a_log(log: Path) -> None:
    asked = 0

    def appears() -> bool:
        nonlocal asked
        asked += 1
        if asked == 2:
            write(log, 1, 2)
        return False

    assert numbers(islice(follow([str(log)], 9, True, appears), 2)) == [1, 2]


def test_following_ends_when_told(log: Path) -> None:
    write(log, 1)
    asked = iter([False, False, True])
    assert numbers(follow([str(log)], 9, True, lambda: next(asked))) == [1]


@pytest.mark.parametrize("turns", [1, 2, 4])
def test_following_survives_rotation_even_several_at_once(log: Path, turns: int) -> None:
    write(log, 0)
    lines = follow([str(log)], 9, True, never)
    assert numbers(islice(lines, 1)) == [0]
    expected = 1
    write(log, expected)  # still into the file that is being read
    for _ in range(turns):
        for number in range(turns, -1, -1):
            source = Path(f"{log}.{number}") if number else log
            if source.exists():
                source.rename(f"{log}.{number + 1}")
        expected += 1
        write(log, expected)
    assert numbers(islice(lines, expected)) == list(range(1, expected + 1))


@pytest.mark.parametrize("how", ["emptied", "removed"])
def test_following_survives_what_other_tools_do_to_a_log(log: Path, how: str) -> None:
    write(log, 1, 2, 3)
    lines = follow([str(log)], 9, True, never)
    assert numbers(islice(lines, 3)) == [1, 2, 3]
    if how == "emptied":
        os.truncate(log, 0)
    else:
        log.unlink()
    write(log, 4)
    assert numbers(islice(lines, 1)) == [4]


def test_following_what_an_output_writes(tmp_path: Path) -> None:
    """Reader and writer together: 3,000 lines over many rotations, each seen once and in order."""
    output = Output("shop-0", str(tmp_path / "pipes"), str(tmp_path / "logs"), 4000, 50)
    seen: list[int] = []
    printed = 0

    def print_more_until_all_is_seen() -> bool:
        nonlocal printed
        if printed < 3000:
            os.write(output.output_fd, b"".join(b"line %d\n" % i for i in range(printed, printed + 100)))
            assert output.read(0.0)
            printed += 100
        return len(seen) >= 3000

    for line in follow([output.path], 0, True, print_more_until_all_is_seen):
        seen.append(int(line.text.removeprefix("line ")))  # noqa: PERF401 - it is looked at meanwhile
    output.close(remove=True)
    assert seen == list(range(3000))
    assert len(os.listdir(tmp_path / "logs")) > 10
