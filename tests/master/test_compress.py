"""Compressing an older log: whole or not at all."""

from __future__ import annotations

import fcntl
import gzip
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from gapura.master import compress


@pytest.fixture
def older(tmp_path: Path) -> Path:
    path = tmp_path / "access.log-20261122T170000Z"
    path.write_bytes(b"a line\n" * 100_000)
    path.chmod(0o640)
    os.utime(path, (1_000_000, 2_000_000))
    return path


def test_a_file_becomes_a_smaller_one(older: Path) -> None:
    assert compress.compress(str(older)) == ""
    (left,) = older.parent.iterdir()
    assert left.name == f"{older.name}.gz"
    assert gzip.decompress(left.read_bytes()) == b"a line\n" * 100_000
    facts = left.stat()
    assert (stat.S_IMODE(facts.st_mode), facts.st_mtime) == (0o640, 2_000_000)


@pytest.mark.parametrize("killed", ["before the new name", "before the removal"])
def test_what_a_killed_one_has_left_is_finished(older: Path, killed: str) -> None:
    if killed == "before the removal":
        Path(f"{older}.gz").write_bytes(gzip.compress(older.read_bytes()))
    else:
        Path(f"{older}.gz.part").write_bytes(b"half")
    assert compress.compress(str(older)) == ""
    assert [path.name for path in older.parent.iterdir()] == [f"{older.name}.gz"]
    assert gzip.decompress(Path(f"{older}.gz").read_bytes()) == b"a line\n" * 100_000


def test_two_at_a_time(older: Path) -> None:
    with older.open() as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        assert compress.compress(str(older)) == ""
    assert older.exists()


def test_a_file_that_grows_is_left_alone(older: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = compress._take_over

    def late(source: int, target: int) -> None:
        real(source, target)
        with older.open("ab") as stream:
            stream.write(b"late\n")

    monkeypatch.setattr(compress, "_take_over", late)
    assert compress.compress(str(older)) == "it has grown meanwhile"
    assert [path.name for path in older.parent.iterdir()] == [older.name]


@pytest.mark.parametrize("kind", ["link", "missing"])
def test_what_is_no_file_of_ours(tmp_path: Path, kind: str) -> None:
    secret = tmp_path / "secret"
    secret.write_text("x")
    path = tmp_path / "access.log-20261122T170000Z"
    if kind == "link":
        path.symlink_to(secret)
    done = subprocess.run([sys.executable, "-P", "-m", "gapura.master.compress", path], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stdout
    assert secret.read_text() == "x"
    assert not Path(f"{path}.gz").exists()
