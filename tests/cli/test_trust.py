"""`gapura trust`, with stores of the test's own. What browsers make of it is in tests/journeys/test_certificates.py."""

from __future__ import annotations

import datetime
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from gapura.cli import trust
from gapura.control import local_ca

from ..conftest import peer


@pytest.fixture
def root(folder: Path) -> str:
    """The local CA of the folder's configuration."""
    pem = local_ca.make_root(datetime.datetime.now(datetime.UTC)).certificate
    place = folder / ".gapura" / "lib" / "ca"
    place.mkdir(parents=True)
    (place / "root.pem").write_text(pem)
    return pem


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The system's store; nothing of the machine is touched. The home is the test's, too."""
    store, programs, home = tmp_path / "store", tmp_path / "programs", tmp_path / "home"
    for made in (store, programs, home):
        made.mkdir()
    program = programs / "update-it"
    program.write_text(f'#!/bin/sh\necho "ran $*" >>{tmp_path}/ran\n')
    program.chmod(0o755)
    monkeypatch.setattr(trust, "STORES", (("/no/such/folder", ".pem", ("none",)), (str(store), ".crt", ("update-it",))))
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("SUDO_USER", raising=False)
    return store


def test_print_changes_nothing(root: str, system: Path, gapura: Any) -> None:
    assert gapura("trust", "--print").out == root
    assert list(system.iterdir()) == []


def test_the_systems_store(root: str, system: Path, tmp_path: Path, gapura: Any) -> None:
    done = gapura("trust")
    (file,) = system.iterdir()
    assert done.status == 0
    assert f"{file} written, update-it run" in done.out
    assert file.read_text() == root
    assert file.stat().st_mode & 0o777 == 0o644
    assert f"{system}: it was there already." in gapura("trust").out
    assert f"{file} removed" in gapura("trust", "--remove").out
    assert f"{system}: it was not there." in gapura("trust", "--remove").out
    assert (tmp_path / "ran").read_text() == "ran \nran \n"


def test_a_store_that_may_not_be_changed_is_told(root: str, system: Path, gapura: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(path: str, text: str) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(trust, "_write", denied)
    assert 'sudo env "PATH=$PATH" gapura trust' in gapura("trust").err


def test_a_machine_whose_store_is_not_known(root: str, system: Path, gapura: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trust, "STORES", ())
    assert "This system's store of CAs is not known" in gapura("trust").err


def test_a_store_whose_program_fails(root: str, system: Path, tmp_path: Path, gapura: Any) -> None:
    (tmp_path / "programs" / "update-it").write_text("#!/bin/sh\necho it is broken >&2\nexit 1\n")
    assert "update-it failed: it is broken" in gapura("trust").err


def test_databases_of_browsers(root: str, system: Path, tmp_path: Path, gapura: Any) -> None:
    certutil = peer("certutil")
    profile = tmp_path / "home" / ".mozilla" / "firefox" / "x.default [1]"
    profile.mkdir(parents=True)
    subprocess.run([certutil, "-d", f"sql:{profile}", "-N", "--empty-password"], check=True)
    databases = (profile, tmp_path / "home" / ".pki" / "nssdb")

    def listed(database: Path) -> str:
        return subprocess.run([certutil, "-d", f"sql:{database}", "-L"], capture_output=True, text=True, check=True).stdout

    out = gapura("trust").out
    for database in databases:
        assert str(database) in out
        assert "Gapura local CA" in listed(database)
        assert "C,," in listed(database)
    gapura("trust", "--remove")
    assert not any("Gapura" in listed(database) for database in databases)


def test_without_certutil(root: str, system: Path, tmp_path: Path, gapura: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trust, "_search", lambda: str(tmp_path / "programs"))
    assert gapura("trust").err == ""
    (tmp_path / "home" / ".config" / "chromium").mkdir(parents=True)
    assert "libnss3-tools" in gapura("trust").err


def test_no_ca_yet_and_one_that_is_none(folder: Path, system: Path, gapura: Any) -> None:
    done = gapura("trust")
    assert done.status == 1
    assert "there is no local CA yet" in done.err
    place = folder / ".gapura" / "lib" / "ca"
    place.mkdir(parents=True)
    (place / "root.pem").write_text("nonsense")
    assert "is no certificate" in gapura("trust").err
