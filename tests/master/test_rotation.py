"""Rotation: when it is due, what becomes of the older files, and that nothing is lost whoever dies."""

from __future__ import annotations

import gzip
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gapura.master import rotation
from gapura.master.loop import Loop
from gapura.master.rotation import Rotation, older, period_start, written

from .conftest import turn_until

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give files away")
DAY = 86400.0


@pytest.fixture(autouse=True)
def jakarta(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Asia/Jakarta")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    folder = tmp_path / "logs"
    folder.mkdir(0o700)
    return folder / "access.log"


class Rotated(Rotation):
    """A rotation of one file, with what it said."""

    def __init__(self, loop: Loop, path: Path, **rotate: Any) -> None:
        self.reopened = 0
        self.plan: Any = {
            "edge": {
                "user": "",
                "log_files": [{"path": str(path), "rotate": {"size": 0, "every": 0.0, "keep": 3, "compress": False, **rotate}}],
            }
        }
        super().__init__(loop, lambda: self.plan, self._count)

    def _count(self) -> None:
        self.reopened += 1


def names(path: Path) -> list[str]:
    return sorted(entry.name for entry in path.parent.iterdir())


def at(text: str) -> float:
    """Local time in Jakarta."""
    return time.mktime(time.strptime(text, "%Y-%m-%d %H:%M:%S"))


@pytest.mark.parametrize(
    ("every", "now", "start"),
    [
        (3600.0, "2026-11-22 14:03:07", "2026-11-22 14:00:00"),
        (6 * 3600.0, "2026-11-22 14:03:07", "2026-11-22 12:00:00"),
        (60.0, "2026-11-22 14:03:07", "2026-11-22 14:03:00"),
        (DAY, "2026-11-22 14:03:07", "2026-11-22 00:00:00"),
        (DAY, "2026-11-22 00:00:00", "2026-11-22 00:00:00"),
        (7 * DAY, "2026-11-22 14:03:07", "2026-11-16 00:00:00"),  # a Sunday, and the Monday before
        (7 * DAY, "2026-11-23 00:00:01", "2026-11-23 00:00:00"),
    ],
)
def test_periods(every: float, now: str, start: str) -> None:
    assert period_start(every, at(now)) == at(start)


def test_by_size(loop: Loop, path: Path) -> None:
    rotated = Rotated(loop, path, size=10)
    path.write_bytes(b"123456789")
    rotated.look(at("2026-11-22 14:03:07"))
    assert names(path) == ["access.log"]
    path.write_bytes(b"1234567890")
    rotated.look(at("2026-11-22 14:03:08"))
    assert names(path) == ["access.log", "access.log-20261122T070308Z"]
    assert (path.stat().st_size, stat.S_IMODE(path.stat().st_mode), rotated.reopened) == (0, 0o640, 1)


def test_by_time(loop: Loop, path: Path) -> None:
    rotated = Rotated(loop, path, every=DAY)
    path.write_bytes(b"x\n")
    os.utime(path, (at("2026-11-22 10:00:00"), at("2026-11-22 10:00:00")))
    for moment in ("2026-11-22 10:00:01", "2026-11-22 23:59:59"):
        rotated.look(at(moment))
    assert rotated.reopened == 0
    rotated.look(at("2026-11-23 00:00:00"))
    assert names(path) == ["access.log", "access.log-20261122T170000Z"]
    rotated.look(at("2026-11-24 00:00:00"))
    assert rotated.reopened == 1, "a file without a line stays"


@pytest.mark.parametrize(("last", "due"), [("20261121T170000Z", True), ("20261122T170001Z", False)])
def test_a_night_without_a_master(loop: Loop, path: Path, last: str, due: bool) -> None:
    """When the file began is seen from the name of the last one."""
    path.write_bytes(b"x\n")
    Path(f"{path}-{last}.gz").touch()
    rotated = Rotated(loop, path, every=DAY)
    rotated.look(at("2026-11-23 09:00:00"))
    assert rotated.reopened == due


def test_a_clock_that_is_set_back(loop: Loop, path: Path) -> None:
    rotated = Rotated(loop, path, size=1, every=3600.0)
    path.write_bytes(b"one\n")
    rotated.look(at("2026-11-22 14:03:07"))
    path.write_bytes(b"two\n")
    rotated.look(at("2026-11-22 14:03:07"))  # the name is taken: later
    assert rotated.reopened == 1
    rotated.look(at("2026-11-22 14:03:06"))
    assert rotated.reopened == 2
    assert sorted(Path(name).read_bytes() for name in older(str(path))) == [b"one\n", b"two\n"]


def test_the_oldest_go(loop: Loop, path: Path) -> None:
    rotated = Rotated(loop, path, size=1, keep=2)
    foreign = path.parent / "access.log-keep"
    foreign.touch()
    Path(f"{path}-20200101T000000Z.gz").touch()
    for second in range(4):
        path.write_bytes(b"%d\n" % second)
        rotated.look(at(f"2026-11-22 14:03:0{second}"))
    assert names(path) == ["access.log", "access.log-20261122T070302Z", "access.log-20261122T070303Z", "access.log-keep"]


def test_older_files_are_compressed_when_nobody_writes_them(loop: Loop, path: Path) -> None:
    rotated = Rotated(loop, path, size=1, compress=True)
    path.write_bytes(b"early\n")
    with path.open("ab") as worker:
        rotated.look(at("2026-11-22 14:03:07"))
        (plain,) = older(str(path))
        assert written(plain)
        loop.turn(0.01)
        assert os.path.exists(plain)
        worker.write(b"late\n")
    assert not written(plain)
    turn_until(loop, lambda: not rotated.busy)
    assert gzip.decompress(Path(f"{plain}.gz").read_bytes()) == b"early\nlate\n"
    assert names(path) == ["access.log", "access.log-20261122T070307Z.gz"]


def test_what_an_earlier_master_has_left_is_done(loop: Loop, path: Path) -> None:
    left = Path(f"{path}-20261122T070307Z")
    left.write_bytes(b"x\n")
    Path(f"{left}.gz.part").write_bytes(b"half of it")
    rotated = Rotated(loop, path, size=1, compress=True)
    rotated.look(at("2026-11-22 15:00:00"))
    turn_until(loop, lambda: not rotated.busy)
    assert names(path) == [f"{left.name}.gz"]
    assert gzip.decompress(Path(f"{left}.gz").read_bytes()) == b"x\n"


def test_a_failed_compression_is_told(loop: Loop, path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rotated = Rotated(loop, path, size=1, compress=True)
    rotated.argv = ["/bin/sh", "-c", "echo no room"]
    path.write_bytes(b"x\n")
    rotated.look(at("2026-11-22 14:03:07"))
    turn_until(loop, lambda: "cannot be compressed: no room" in caplog.text)
    turn_until(loop, lambda: not rotated.busy)
    assert Path(older(str(path))[0]).read_bytes() == b"x\n"


@pytest.mark.parametrize("kind", ["link", "device", "missing", "folder"])
def test_what_is_no_file_is_left_alone(loop: Loop, path: Path, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    secret = path.parent / "secret"
    secret.write_bytes(b"x" * 100)
    if kind == "link":
        path.symlink_to(secret)
    elif kind == "device":
        path = Path("/dev/null")
    elif kind == "folder":
        path.mkdir()
    Rotated(loop, path, size=1, every=60.0).look(at("2026-11-22 14:03:07"))
    assert secret.read_bytes() == b"x" * 100
    assert older(str(path)) == []
    assert caplog.text == ""


@pytest.mark.parametrize("mode", [0o777, 0o707])
def test_a_folder_of_others_is_refused_and_told_once(loop: Loop, path: Path, mode: int, caplog: pytest.LogCaptureFixture) -> None:
    path.write_bytes(b"x\n")
    path.parent.chmod(mode)
    rotated = Rotated(loop, path, size=1, every=60.0)
    rotated.look(at("2026-11-22 14:03:07"))
    rotated.look(at("2026-11-22 14:03:08"))
    assert caplog.text.count("cannot be rotated: other users may write in its folder") == 1
    path.parent.chmod(0o700)
    rotated.look(at("2026-11-22 14:03:09"))
    assert rotated.reopened == 1


def test_a_new_file_that_cannot_be_made(loop: Loop, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The old one has its name back."""
    path.write_bytes(b"x\n")

    def full(path: str) -> int:
        raise OSError(28, "No space left on device")

    rotated = Rotated(loop, path, size=1)
    with monkeypatch.context() as patched:
        patched.setattr(rotation, "open_log", full)
        rotated.look(at("2026-11-22 14:03:07"))
    assert (names(path), rotated.reopened) == (["access.log"], 0)
    rotated.look(at("2026-11-22 14:03:08"))
    assert rotated.reopened == 1


@as_root
def test_the_new_file_belongs_to_the_workers(loop: Loop, path: Path) -> None:
    path.write_bytes(b"x\n")
    rotated = Rotated(loop, path, size=1)
    rotated.plan["edge"]["user"] = "nobody"
    rotated.look(at("2026-11-22 14:03:07"))
    assert (path.stat().st_uid, stat.S_IMODE(path.stat().st_mode)) == (65534, 0o640)


def test_without_rotation(loop: Loop, path: Path) -> None:
    path.write_bytes(b"x\n")
    rotated = Rotated(loop, path)
    rotated.plan["edge"]["log_files"][0]["rotate"] = None
    rotated.look()
    assert names(path) == ["access.log"]
