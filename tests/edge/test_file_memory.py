"""The memory of small files: its bound, and what tells that a file has changed."""

from __future__ import annotations

import os
import time
from pathlib import Path

from gapura.edge.file_memory import FileCopy, FileMemory, look


def copy_of(path: Path, body: bytes = b"") -> FileCopy:
    copy = FileCopy(path.name.encode(), path.stat(), 0)
    copy.body = body
    return copy


def test_it_never_holds_more_than_its_limit(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("")
    memory = FileMemory(100_000)
    for number in range(300):
        memory.keep(("k", b"%d" % number), copy_of(tmp_path / "f", bytes(9_000)))
        assert memory.used <= 100_000
    assert 5 <= len(memory) <= 11
    assert memory.get(("k", b"299")) is not None
    assert memory.get(("k", b"0")) is None
    memory.keep(("k", b"huge"), copy_of(tmp_path / "f", bytes(200_000)))
    assert memory.get(("k", b"huge")) is None
    memory.resize(0)
    assert (len(memory), memory.used) == (0, 0)
    memory.keep(("k", b"1"), copy_of(tmp_path / "f"))
    assert len(memory) == 0


def test_what_was_looked_at_last_stays(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("")
    memory = FileMemory(30_000)
    old, new = copy_of(tmp_path / "f", bytes(9_000)), copy_of(tmp_path / "f", bytes(9_000))
    memory.keep(("k", b"old"), old)
    memory.keep(("k", b"new"), new)
    memory.keep(("k", b"old"), old)
    memory.keep(("k", b"third"), copy_of(tmp_path / "f", bytes(9_000)))
    assert memory.get(("k", b"new")) is None
    assert memory.get(("k", b"old")) is old
    memory.drop(("k", b"old"))
    memory.drop(("k", b"third"))
    memory.drop(("k", b"never"))
    assert memory.used == 0


def test_the_tag_is_nginx_own_once_the_file_has_settled(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"x" * 1024)
    now = time.time()
    os.utime(path, (now, now))
    assert copy_of(path).etag.startswith(b'W/"')
    assert not copy_of(path).settled
    os.utime(path, (1e9, 1e9))
    assert copy_of(path).etag == b'"3b9aca00-400"'
    assert copy_of(path).settled
    os.utime(path, (now + 1000, now + 1000))
    assert copy_of(path).settled  # a date in the future is as good as any


def test_times_that_no_date_can_tell(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"")
    os.utime(path, (-5.0, -5.0))
    assert copy_of(path).modified == 0
    assert copy_of(path).etag == b'"0-0"'


def test_a_file_in_the_place_of_another_looks_different(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    for path in (one, other):
        path.write_bytes(b"1234")
        os.utime(path, (1e9, 1e9))
    before = look(one.stat())
    other.rename(one)
    assert look(one.stat()) != before
