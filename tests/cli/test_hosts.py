"""`hosts`: the lines, and the edit of a file in which everything else is somebody's."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

OTHERS = b"127.0.0.1\tlocalhost\r\n# caf\xe9\r\n"


@pytest.fixture
def file(folder: Path) -> Path:
    path = folder / "hosts"
    path.write_bytes(OTHERS)
    path.chmod(0o604)
    return path


def test_the_lines_for_people(folder: Path, gapura: Any) -> None:
    out = gapura("hosts").out
    assert "127.0.0.1\talvin.xyz" in out
    assert "shop.localhost" not in out
    assert "/etc/hosts" in out
    assert r"C:\Windows\System32\drivers\etc\hosts" in out


def test_the_lines_for_scripts(folder: Path, gapura: Any) -> None:
    assert json.loads(gapura("hosts", "--json", "--address", "192.168.1.2").out)["lines"] == ["192.168.1.2\talvin.xyz"]


def test_no_lines_are_needed(folder: Path, gapura: Any) -> None:
    (folder / "gapura.toml").write_text('[sites."a.localhost"]\nrespond = "a"\n')
    assert "No lines are needed" in gapura("hosts").out


def test_write_again_and_remove(file: Path, folder: Path, gapura: Any) -> None:
    assert gapura("hosts", "--write", "--file", str(file)).out == f"{file}: wrote 1 line.\n"
    written = file.read_bytes()
    assert written.startswith(OTHERS)
    assert b"127.0.0.1\talvin.xyz\r\n" in written
    assert file.stat().st_mode & 0o777 == 0o604
    assert gapura("hosts", "--write", "--file", str(file)).out == f"{file} is as it should be.\n"
    assert file.read_bytes() == written
    assert gapura("hosts", "--remove", "--file", str(file)).out == f"{file}: took the block out.\n"
    assert file.read_bytes() == OTHERS
    assert sorted(path.name for path in folder.iterdir()) == ["gapura.toml", "hosts"]


def test_a_link_stays_a_link(file: Path, folder: Path, gapura: Any) -> None:
    (folder / "link").symlink_to(file)
    gapura("hosts", "--write", "--file", str(folder / "link"))
    assert (folder / "link").is_symlink()
    assert b"alvin.xyz" in file.read_bytes()


def test_a_file_that_cannot_be_swapped_is_written_in_place(file: Path, gapura: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """/etc/hosts is a mount in containers: rename(2) says EBUSY."""

    def busy(*_: Any) -> None:
        raise OSError(16, "Device or resource busy")

    number = file.stat().st_ino
    monkeypatch.setattr(os, "replace", busy)
    assert gapura("hosts", "--write", "--file", str(file)).status == 0
    assert file.stat().st_ino == number
    assert b"alvin.xyz" in file.read_bytes()
    assert [path.name for path in file.parent.glob(".gapura-hosts-*")] == []


def test_a_file_that_may_not_be_changed(file: Path, gapura: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any, **__: Any) -> Any:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("gapura.cli.hosts._replace", refused)
    done = gapura("hosts", "--write", "--file", str(file))
    assert done.status == 1
    assert f'sudo env "PATH=$PATH" gapura hosts --write --file {file}' in done.err


@pytest.mark.parametrize("name", ["missing", "."])
def test_no_such_file(folder: Path, gapura: Any, name: str) -> None:
    done = gapura("hosts", "--write", "--file", str(folder / name))
    assert done.status == 1
    assert "could not be changed" in done.err
