"""A folder opens what lies in it, and nothing outside."""

from __future__ import annotations

import errno
import os
import resource
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from gapura.edge.folder import BUSY, FORBIDDEN, MISSING, Folder, is_folder


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    """A release that is the current one by a link, a secret beside."""
    release = tmp_path / "releases" / "1"
    (release / "dir").mkdir(parents=True)
    (release / "file").write_text("1")
    (release / "inside").symlink_to(release / "file")
    (release / "outside").symlink_to(tmp_path / "secret")
    (release / "loop").symlink_to("loop")
    (release / "up").symlink_to("../..")
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "current").symlink_to("releases/1")
    (tmp_path / "releases" / "1-and-more").mkdir()
    (release / "neighbour").symlink_to("../1-and-more")
    os.mkfifo(release / "fifo")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(release / "socket"))
        yield tmp_path / "current"


def code(folder: Folder, name: bytes) -> int:
    fd, info = folder.open(name)
    if fd >= 0:
        os.close(fd)
        return 1 if is_folder(info) else 0
    return fd


def test_what_it_opens(root: Path) -> None:
    folder = Folder(os.fsencode(root))
    for _ in range(2):
        assert [code(folder, name) for name in (b"file", b"inside", b"dir", b"")] == [0, 0, 1, 1]
    for name in (
        b"none",
        b"outside",
        b"up",
        b"up/secret",
        b"neighbour",
        b"loop",
        b"fifo",
        b"socket",
        b"file/x",
        b"x" * 300,
        b"a\0b",
    ):
        assert code(folder, name) == MISSING, name


def test_the_folder_may_lead_elsewhere_later(root: Path, tmp_path: Path) -> None:
    folder = Folder(os.fsencode(root))
    assert code(folder, b"file") == 0
    (tmp_path / "releases" / "2").mkdir()
    (tmp_path / "releases" / "2" / "file").write_text("2")
    (tmp_path / "new").symlink_to("releases/2")
    (tmp_path / "new").rename(root)
    fd, _ = folder.open(b"file")
    assert os.pread(fd, 9, 0) == b"2"
    os.close(fd)


def test_devices_are_no_files() -> None:
    assert code(Folder(b"/dev"), b"null") == MISSING
    assert code(Folder(b"/"), b"dev/null") == MISSING
    assert code(Folder(b"/"), b"dev") == 1


def test_what_may_not_be_read(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> int:
        raise PermissionError(errno.EACCES, "no")

    monkeypatch.setattr(os, "open", refused)  # root, as whom tests may run, reads everything
    assert code(Folder(os.fsencode(root)), b"file") == FORBIDDEN


def test_no_descriptor_left(root: Path) -> None:
    folder = Folder(os.fsencode(root))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.dup(0)
    os.close(lowest)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
        assert code(folder, b"file") == BUSY
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert code(folder, b"file") == 0
