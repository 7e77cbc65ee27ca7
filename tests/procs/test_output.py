"""Output: named pipes that outlive their reader, stamps, rotation, tail, disks that are full."""

from __future__ import annotations

import os
import re
import resource
import signal
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.conftest import descriptors

from gapura.procs.output import LINE_LENGTH, PIPE_SIZE, TAIL, Output

from .conftest import Launched, reap, script, until

STAMP = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3} ")


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Output]]:
    """Makes outputs named shop-0 in one place; all are closed in the end."""
    made: list[Output] = []

    def build(size: int = 0, files: int = 0, clock: Callable[[], float] = time.time) -> Output:
        made.append(Output("shop-0", str(tmp_path / "pipes"), str(tmp_path / "logs"), size, files, clock))
        return made[-1]

    yield build
    for output in made:
        output.close(remove=True)


def say(output: Output, data: bytes) -> None:
    """What a child would do: write to its descriptor, as far as there is room; and read it."""
    fd = output.output_fd
    while data:
        data = data[os.write(fd, data[:4096]) :]
        while output.read(time.monotonic()):
            pass


def texts(path: str | Path) -> list[bytes]:
    """Lines of a log without their stamps; each has one."""
    lines = Path(path).read_bytes().splitlines(keepends=True)
    assert all(STAMP.match(line) for line in lines), lines
    return [line[24:] for line in lines]


def test_lines_get_stamps_of_local_time(make: Callable[..., Output]) -> None:
    now = time.mktime((2026, 11, 22, 14, 3, 7, 0, 0, -1)) + 0.1239
    output = make(clock=lambda: now)
    say(output, b"one\ntwo\n")
    assert Path(output.path).read_bytes() == b"2026-11-22T14:03:07.123 one\n2026-11-22T14:03:07.123 two\n"


def test_an_unfinished_line_is_written_at_once_and_stamped_once(make: Callable[..., Output]) -> None:
    output = make()
    say(output, b"a ques")
    assert texts(output.path) == [b"a ques"]
    assert output.tail() == ["a ques"]
    say(output, b"tion? \n\nnext\n")
    assert texts(output.path) == [b"a question? \n", b"\n", b"next\n"]


def test_the_log_is_for_its_group_only(make: Callable[..., Output], tmp_path: Path) -> None:
    output = make()
    assert stat.S_IMODE(os.stat(output.path).st_mode) & 0o007 == 0
    assert stat.S_IMODE(os.stat(tmp_path / "pipes" / "shop-0.out").st_mode) & 0o077 == 0


def test_tail_keeps_the_last_50_lines_whatever_they_hold(make: Callable[..., Output]) -> None:
    output = make()
    say(output, b"".join(b"line %d\r\n" % i for i in range(1000)) + b"\xff\x00end")
    tail = output.tail()
    assert len(tail) == TAIL
    assert tail[0] == "line 951"
    assert tail[-1] == "\ufffd\x00end"


def test_long_lines_are_split(make: Callable[..., Output]) -> None:
    output = make()
    say(output, b"x" * (3 * LINE_LENGTH) + b"\nshort\n")
    lines = texts(output.path)
    assert b"".join(line.strip() for line in lines[:-1]) == b"x" * (3 * LINE_LENGTH)
    assert max(map(len, lines)) <= LINE_LENGTH
    assert lines[-1] == b"short\n"
    assert max(map(len, output.tail())) <= LINE_LENGTH


def test_one_call_reads_a_bounded_amount(make: Callable[..., Output]) -> None:
    """An app that prints without end must not starve the loop."""
    output = make()
    fd = output.output_fd
    os.set_blocking(fd, False)
    written = 0
    try:
        while True:
            written += os.write(fd, b"y" * 63 + b"\n")
    except BlockingIOError:
        pass
    assert written == PIPE_SIZE  # the pipe has been widened
    assert output.read(0.0) == 1 << 18
    counts = [output.read(0.0) for _ in range(written >> 18)]
    assert sum(counts) == written - (1 << 18)
    assert counts[-1] == 0
    assert texts(output.path) == [b"y" * 63 + b"\n"] * (written // 64)


@pytest.mark.parametrize("files", [0, 1, 3])
def test_rotation_by_size_keeps_so_many_files(make: Callable[..., Output], files: int) -> None:
    output = make(size=1000, files=files)
    for i in range(200):
        say(output, b"line %04d\n" % i)
    kept = [f"{output.path}.{number}" for number in range(files, 0, -1)] + [output.path]
    assert sorted(os.listdir(os.path.dirname(output.path))) == sorted(os.path.basename(path) for path in kept)
    lines = [line for path in kept for line in texts(path)]
    assert lines == [b"line %04d\n" % i for i in range(200 - len(lines), 200)]
    assert all(1000 <= os.stat(path).st_size < 1100 for path in kept[:-1])


def test_rotation_happens_inside_one_read_too(make: Callable[..., Output]) -> None:
    output = make(size=1000, files=50)
    os.write(output.output_fd, b"".join(b"line %04d\n" % i for i in range(400)))
    output.read(0.0)
    assert len(os.listdir(os.path.dirname(output.path))) == 14
    assert all(os.stat(entry).st_size < 1100 for entry in os.scandir(os.path.dirname(output.path)))


def test_rotation_never_cuts_a_line(make: Callable[..., Output]) -> None:
    output = make(size=100, files=5)
    for _ in range(100):
        say(output, b"0123456789")
    say(output, b"\nnext\n")
    assert texts(f"{output.path}.1") == [b"0123456789" * 100 + b"\n"]
    assert texts(output.path) == [b"next\n"]


def test_reopen_after_rotation_by_somebody_else(make: Callable[..., Output]) -> None:
    output = make()
    say(output, b"before\nhalf")
    os.rename(output.path, output.path + ".old")
    output.reopen()
    say(output, b" a line\n")
    assert texts(output.path + ".old") == [b"before\n", b"half"]
    assert texts(output.path) == [b" a line\n"]


def test_a_note_of_ours_stands_on_its_own(make: Callable[..., Output]) -> None:
    output = make()
    say(output, b"last wor")
    output.note("shop-0 ended: status 1")
    say(output, b"again\n")
    assert texts(output.path) == [b"last wor\n", b"gapura: shop-0 ended: status 1\n", b"again\n"]
    assert output.tail() == ["last wor", "again"]


# -- handing over -----------------------------------------------------------------------------------------------------------


HANDOVER = """
import os, select
os.write(1, b"before, and half a ")
os.read(0, 1)
for i in range(2000):
    os.write(1, b"line\\n" if i == 0 else b"meanwhile %d\\n" % i)
assert not select.select([0], [], [], 0)[0], "input at its end"
os.write(1, b"after")
select.select([0], [], [])
"""


def test_a_second_master_goes_on_where_the_first_stopped(
    make: Callable[..., Output], run: Callable[..., Launched], output: Output, tmp_path: Path
) -> None:
    """The app writes on while nobody reads, and notices nothing: no EPIPE, no end of its input, nothing lost."""
    process, _ = run(script(tmp_path, HANDOVER))
    until(lambda: output.read(0.0) * 0 or output.tail())
    os.write(output.stdin_fd, b"x")
    output.close(remove=False)
    second = make()
    assert second.tail() == ["before, and half a "]
    until(lambda: second.read(0.0) * 0 or second.tail()[-1] == "after")
    expected = [b"before, and half a line\n", *(b"meanwhile %d\n" % i for i in range(1, 2000)), b"after"]
    assert texts(second.path) == expected
    assert os.waitpid(process.pid, os.WNOHANG) == (0, 0)  # it lives


def test_the_tail_survives_a_second_master(make: Callable[..., Output]) -> None:
    first = make()
    say(first, b"".join(b"line %d\n" % i for i in range(70)))
    first.note("something of ours")
    first.close(remove=False)
    assert make().tail() == [f"line {i}" for i in range(21, 70)]  # the note took the place of one line


def test_close_with_remove_writes_down_the_rest(make: Callable[..., Output], tmp_path: Path) -> None:
    output = make()
    os.write(output.output_fd, b"last words\n")
    output.close(remove=True)
    assert texts(output.path) == [b"last words\n"]
    assert os.listdir(tmp_path / "pipes") == []
    output.close(remove=True)  # once more does no harm


def test_descriptors_are_fresh_for_each_child_and_not_leaked(make: Callable[..., Output]) -> None:
    """A child that sets O_NONBLOCK must not do so for the next one."""
    output = make()
    before = descriptors()
    os.set_blocking(output.output_fd, False)
    assert os.get_blocking(output.output_fd)
    assert os.get_blocking(output.stdin_fd)
    for _ in range(20):
        assert not os.get_inheritable(output.output_fd)
    assert descriptors() == before + 2
    output.close(remove=True)
    assert descriptors() == before - 3


# -- trouble ----------------------------------------------------------------------------------------------------------------


@contextmanager
def full_disk(size: int) -> Iterator[None]:
    """No file can grow beyond `size` bytes: write(2) fails like on a full disk, after a short write."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_loses_lines_and_says_so_later(make: Callable[..., Output]) -> None:
    output = make()
    say(output, b"written\n")
    with full_disk(os.stat(output.path).st_size + 29):  # one more line
        say(output, b"fits\nlost 1\n")
        say(output, b"lost 2\nlost 3\nlost ")
        say(output, b"4\n")
    assert output.tail()[-4:] == ["lost 1", "lost 2", "lost 3", "lost 4"]
    say(output, b"again\n")
    lines = texts(output.path)
    assert lines[:2] == [b"written\n", b"fits\n"]
    assert re.fullmatch(rb"gapura: \d lines could not be written: File too large\n", lines[-2])
    assert lines[-1] == b"again\n"
    assert not any(b"lost" in line for line in lines)


def test_a_cut_line_is_ended_before_the_next(make: Callable[..., Output]) -> None:
    output = make()
    with full_disk(30):
        say(output, b"0123456789\n")
    say(output, b"next\n")
    assert texts(output.path) == [b"012345\n", b"gapura: 1 lines could not be written: File too large\n", b"next\n"]


def test_a_folder_that_cannot_be_made_is_tried_again(make: Callable[..., Output], tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("a file in the way")
    output = make()
    os.write(output.output_fd, b"lost\n")
    assert output.read(10.0) == 5
    (tmp_path / "logs").unlink()
    os.write(output.output_fd, b"lost as well\n")
    assert output.read(10.5) == 13  # not tried before a second is over
    os.write(output.output_fd, b"kept\n")
    assert output.read(11.5) == 5
    assert texts(output.path) == [b"gapura: 2 lines could not be written: File exists\n", b"kept\n"]
    assert output.tail() == ["lost", "lost as well", "kept"]


def test_a_log_that_cannot_be_opened_anew(make: Callable[..., Output], tmp_path: Path) -> None:
    """Its descriptor is closed by then: nothing may be written to whoever has its number next."""
    output = make()
    os.rename(tmp_path / "logs", tmp_path / "old")
    (tmp_path / "logs").touch()
    output.reopen()
    with open(tmp_path / "bystander", "wb") as bystander:
        say(output, b"lost\n")
        assert os.fstat(bystander.fileno()).st_size == 0
    (tmp_path / "logs").unlink()
    output.reopen()
    say(output, b"kept\n")
    assert texts(output.path)[1:] == [b"kept\n"]


def test_what_is_lent_serves_another_process_that_may_open_nothing(make: Callable[..., Output], tmp_path: Path) -> None:
    output = make(size=0, files=0)
    os.write(output.output_fd, b"half a ")
    output.read(0.0)
    pipe, log = output.lent
    other = Output("shop-0", "/no/such/folder", "/no/such/folder", 0, 0, lent=(os.dup(pipe), os.dup(log)))
    os.write(output.output_fd, b"line\nlast\n")
    assert other.read(0.0) == len(b"line\nlast\n")
    other.close(remove=False)
    assert texts(output.path) == [b"half a line\n", b"last\n"]
    output.reopen()  # as the next master does
    os.write(output.output_fd, b"ours again\n")
    output.read(0.0)
    assert texts(output.path)[-1] == b"ours again\n"


def test_another_log_is_told(make: Callable[..., Output], tmp_path: Path) -> None:
    output = make(size=100, files=1)
    lent: list[int] = []
    output.reopened = lambda: lent.append(os.fstat(output.lent[1]).st_ino)
    output.reopen()
    os.write(output.output_fd, b"x" * 99 + b"\n" + b"y\n")
    output.read(0.0)
    assert len(lent) == 2
    assert lent[-1] == os.stat(output.path).st_ino != lent[0]


def test_pipes_that_lost_their_names_still_serve(make: Callable[..., Output], tmp_path: Path) -> None:
    output = make()
    for name in os.listdir(tmp_path / "pipes"):
        (tmp_path / "pipes" / name).unlink()
    say(output, b"text\n")
    assert texts(output.path) == [b"text\n"]
    os.write(output.stdin_fd, b"x")
    output.close(remove=True)


def test_a_rotation_that_fails_goes_on_in_the_same_file(make: Callable[..., Output], tmp_path: Path) -> None:
    output = make(size=100, files=1)
    blocked = Path(output.path + ".1")
    blocked.mkdir()
    (blocked / "x").touch()
    say(output, b"".join(b"line %02d\n" % i for i in range(20)))
    assert texts(output.path) == [b"line %02d\n" % i for i in range(20)]


def test_a_log_that_is_a_link_is_not_followed(make: Callable[..., Output], tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "victim").write_bytes(b"")
    (tmp_path / "logs" / "shop-0.log").symlink_to(tmp_path / "victim")
    say(make(), b"text\n")
    assert (tmp_path / "victim").read_bytes() == b""


@pytest.mark.parametrize("kind", ["file", "link"])
def test_what_stands_where_a_pipe_belongs_is_replaced(make: Callable[..., Output], tmp_path: Path, kind: str) -> None:
    pipes = tmp_path / "pipes"
    pipes.mkdir()
    victim = tmp_path / "victim"
    victim.write_bytes(b"mine")
    if kind == "file":
        (pipes / "shop-0.out").write_text("x")
    else:
        (pipes / "shop-0.out").symlink_to(victim)
    say(make(), b"text\n")
    assert stat.S_ISFIFO(os.lstat(pipes / "shop-0.out").st_mode)
    assert victim.read_bytes() == b"mine"


def test_pipes_that_cannot_be_made_are_an_error(make: Callable[..., Output], tmp_path: Path) -> None:
    (tmp_path / "pipes" / "shop-0.out").mkdir(parents=True)
    before = descriptors()
    with pytest.raises(OSError, match="directory"):
        make()
    assert descriptors() == before


def test_a_thousand_lines_a_second(run: Callable[..., Launched], output: Output, tmp_path: Path) -> None:
    """Nothing is lost and the reader has most of its time left."""
    text = """
import time
begun = time.monotonic()
for i in range(1000):
    print(f"request {i} took {i % 7} ms", flush=True)
    while i > (time.monotonic() - begun) * 1000:
        time.sleep(0.001)
"""
    process, _ = run(script(tmp_path, text))
    spent = time.process_time()
    until(lambda: output.read(0.0) * 0 or output.tail()[-1:] == ["request 999 took 5 ms"])
    spent = time.process_time() - spent
    assert reap(process) == 0
    assert [line.split()[1] for line in texts(output.path)] == [b"%d" % i for i in range(1000)]
    assert spent < 0.5


def test_a_killed_app_leaves_its_last_line(run: Callable[..., Launched], output: Output) -> None:
    process, _ = run("sh -c 'printf \"dying now\"; kill -9 $$'")
    assert reap(process) == -signal.SIGKILL
    until(lambda: output.read(0.0) * 0 or output.tail())
    assert output.tail() == ["dying now"]
