from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

from gapura.master.doors import NAMES, Doors


def test_sockets_for_us_alone(tmp_path: Path) -> None:
    doors = Doors(str(tmp_path), "")
    for name, fd in zip(NAMES, doors.fds, strict=True):
        facts = (tmp_path / f"{name}.sock").lstat()
        assert (stat.S_IMODE(facts.st_mode), facts.st_uid) == (0o600, os.geteuid())
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(tmp_path / f"{name}.sock"))  # it waits in the queue, whoever answers later
        assert not os.get_inheritable(fd)
    doors.close(remove=True)
    assert list(tmp_path.iterdir()) == []


def test_the_edges_user_gets_one_of_them(tmp_path: Path) -> None:
    if os.geteuid():
        pytest.skip("another user needs root")
    doors = Doors(str(tmp_path), "nobody")
    owners = {name: (tmp_path / f"{name}.sock").owner() for name in NAMES}
    assert owners == {"admin": "root", "dashboard": "nobody"}
    doors.close(remove=True)


def test_what_stood_there_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "admin.sock").symlink_to(victim)
    (tmp_path / "dashboard.sock").write_text("a file")
    doors = Doors(str(tmp_path), "")
    assert victim.read_text() == "precious"
    doors.close(remove=False)
    assert {path.name for path in tmp_path.iterdir()} == {"victim", "admin.sock", "dashboard.sock"}


def test_made_anew(tmp_path: Path) -> None:
    doors = Doors(str(tmp_path), "")
    (tmp_path / "admin.sock").unlink()
    doors.renew()
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(tmp_path / "admin.sock"))
    doors.close(remove=True)


def test_a_long_path(tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 120)
    deep.mkdir()
    doors = Doors(str(deep), "")
    assert (deep / "admin.sock").is_socket()
    doors.close(remove=True)
