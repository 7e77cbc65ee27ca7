"""A file for lines: batches, trouble that costs lines and nothing else, and no half of a line."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import select
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from gapura.edge.log_file import LogFile

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount a small file system")


@pytest.fixture
def told() -> list[tuple[str, int, str]]:
    return []


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "access.log"


def file_of(path: Path, told: list[tuple[str, int, str]]) -> LogFile:
    return LogFile(str(path), lambda *words: told.append(words))


def test_lines_are_written_together(path: Path, told: list[tuple[str, int, str]]) -> None:
    file = file_of(path, told)
    file.lines.append(b"one\n")
    file.lines.append(b"two\n")
    assert path.read_bytes() == b""
    file.flush()
    assert path.read_bytes() == b"one\ntwo\n"
    file.lines.append(b"three\n")
    file.close()
    assert path.read_bytes() == b"one\ntwo\nthree\n"
    assert told == []


def test_a_folder_that_is_not_there_is_made_and_a_link_refused(tmp_path: Path, told: list[tuple[str, int, str]]) -> None:
    file = file_of(tmp_path / "a" / "b.log", told)
    file.lines.append(b"x\n")
    file.close()
    assert (tmp_path / "a" / "b.log").read_bytes() == b"x\n"
    (tmp_path / "link.log").symlink_to(tmp_path / "secret")
    file = file_of(tmp_path / "link.log", told)
    file.lines.append(b"x\n")
    file.flush()
    assert not (tmp_path / "secret").exists()
    assert told == [(str(tmp_path / "link.log"), 1, os.strerror(errno.ELOOP))]
    (tmp_path / "link.log").unlink()
    file.lines.append(b"y\n")
    file.flush()
    assert (tmp_path / "link.log").read_bytes() == b"y\n"
    assert told[1:] == [(str(tmp_path / "link.log"), 1, "")]
    file.close()


@pytest.mark.parametrize("fits", [0, 3, 4, 5, 11, 12])
def test_what_does_not_fit_is_counted_and_taken_back(
    path: Path, told: list[tuple[str, int, str]], fits: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Three lines of four bytes; the disk takes `fits` bytes."""
    file = file_of(path, told)
    room = fits
    real = os.write

    def write(fd: int, data: bytes) -> int:
        nonlocal room
        if not room:
            raise OSError(errno.ENOSPC, "No space left on device")
        count = real(fd, data[:room])
        room -= count
        return count

    with monkeypatch.context() as patched:
        patched.setattr("gapura.edge.log_file.os.write", write)
        for line in (b"abc\n", b"def\n", b"ghi\n"):
            file.lines.append(line)
        file.flush()
    whole = fits // 4
    assert path.read_bytes() == b"abc\ndef\nghi\n"[: whole * 4]
    lost = 3 - whole
    assert told == ([(str(path), lost, "No space left on device")] if lost else [])
    caplog.set_level(logging.INFO)
    for _ in range(2):
        file.lines.append(b"jkl\n")
        file.flush()
    assert path.read_bytes().endswith(b"jkl\njkl\n")
    if lost:
        assert told[1:] == [(str(path), lost, "")]
        assert caplog.text.count(f"{lost} lines of {path} were not written: No space left on device") == 1
    file.close()


@as_root
def test_a_full_disk(tmp_path: Path, told: list[tuple[str, int, str]]) -> None:
    folder = tmp_path / "small"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder], capture_output=True, check=False).returncode:
        pytest.skip("nothing may be mounted here")
    try:
        ballast = folder / "ballast"
        ballast.write_bytes(b"x" * 40_000)
        file = file_of(folder / "access.log", told)
        for number in range(4000):
            file.lines.append(b"%07d\n" % number)
        file.flush()
        lines = (folder / "access.log").read_bytes()
        assert lines.endswith(b"\n")
        written = lines.count(b"\n")
        assert told == [(file.path, 4000 - written, os.strerror(errno.ENOSPC))]
        ballast.unlink()
        file.lines.append(b"again\n")
        file.flush()
        assert (folder / "access.log").read_bytes() == lines + b"again\n"
        file.close()
    finally:
        subprocess.run(["umount", folder], check=True)


@pytest.fixture
def pipe(tmp_path: Path) -> Iterator[tuple[Path, int]]:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    read = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    yield path, read
    os.close(read)


def test_a_pipe_that_nobody_reads_loses_whole_lines(pipe: tuple[Path, int], told: list[tuple[str, int, str]]) -> None:
    path, read = pipe
    file = file_of(path, told)
    for number in range(20_000):
        file.lines.append(b"%07d\n" % number)
    file.flush()
    data = b""
    while True:
        try:
            data += os.read(read, 1 << 20)
        except BlockingIOError:
            break
    assert told
    assert [int(line) for line in data.splitlines()] == list(range(data.count(b"\n")))
    file.lines.append(b"again\n")
    file.flush()
    assert os.read(read, 100) == b"again\n"
    file.close()


def test_a_pipe_without_a_reader(tmp_path: Path, told: list[tuple[str, int, str]]) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    file = file_of(path, told)
    file.lines.append(b"x\n")
    file.flush()
    assert file.lost == 1
    read = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    file.lines.append(b"y\n")
    file.flush()
    assert os.read(read, 9) == b"y\n"
    os.close(read)
    file.lines.append(b"z\n")
    file.flush()  # broken pipe
    assert file.lost == 1
    file.close()


def test_a_retired_file_still_takes_lines(path: Path, told: list[tuple[str, int, str]]) -> None:
    file = file_of(path, told)
    file.retire()
    assert file._fd < 0
    file.lines.append(b"late\n")
    file.flush()
    assert path.read_bytes() == b"late\n"
    assert file._fd < 0
    path.unlink()
    file.reopen()
    assert not path.exists(), "a file that nobody names is not made again"
    file.revive()
    file.close()


def test_two_workers_do_not_mix_their_lines(path: Path, told: list[tuple[str, int, str]]) -> None:
    one, other = file_of(path, told), file_of(path, told)
    for number in range(5000):
        one.lines.append(b"one %d\n" % number)
        other.lines.append(b"other %d\n" % number)
    one.close()
    other.close()
    lines = path.read_text().splitlines()
    assert [line for line in lines if line.startswith("one ")] == [f"one {number}" for number in range(5000)]
    assert [line for line in lines if line.startswith("other ")] == [f"other {number}" for number in range(5000)]


def test_a_long_line_waits_for_no_reader_and_does_not_run_into_the_next(
    pipe: tuple[Path, int], told: list[tuple[str, int, str]]
) -> None:
    path, read = pipe
    file = file_of(path, told)
    room = fcntl.fcntl(read, fcntl.F_GETPIPE_SZ) - select.PIPE_BUF
    for _ in range(room // select.PIPE_BUF):
        file.lines.append(b"x" * (select.PIPE_BUF - 1) + b"\n")
    file.lines.append(b"y" * 3 * select.PIPE_BUF + b"\n")
    file.flush()
    assert told == [(str(path), 1, "nobody reads what is written")]
    assert len(os.read(read, 1 << 20)) == room + select.PIPE_BUF
    long = b"z" * 2 * select.PIPE_BUF + b"\n"
    file.lines += [b"next\n", long]
    file.flush()
    assert os.read(read, 1 << 20) == b"\nnext\n" + long
    file.close()
