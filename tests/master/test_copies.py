"""Copies of certificates for workers that run as another user."""

from __future__ import annotations

import os
import pwd
from pathlib import Path
from typing import Any, cast

import pytest

from gapura.config.plan import Plan
from gapura.config.plan_tls import copy_of
from gapura.master.copies import Copies

PEM = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"


def plan_of(folder: Path, user: str, *certificates: Path) -> Plan:
    tls: dict[str, Any] = {"auto": False, "names": [], "client_ca": "", "client_auth": "", "redirect": 0, "hsts": ""}
    sites = [{"hosts": ["a"], "tls": {**tls, "certificate": str(path), "key": str(path)}} for path in certificates]
    auto = {"hosts": ["b"], "tls": {**tls, "auto": True, "names": ["b"], "certificate": "", "key": ""}}
    paths = {"run": str(folder / "run"), "lib": str(folder / "lib"), "logs": ""}
    return cast(Plan, {"edge": {"user": user}, "paths": paths, "sites": [*sites, auto], "upstreams": {}})


@pytest.fixture
def user() -> str:
    return pwd.getpwuid(os.geteuid()).pw_name if os.geteuid() else "nobody"


def test_copies_follow_their_originals(tmp_path: Path, user: str, caplog: pytest.LogCaptureFixture) -> None:
    run = tmp_path / "run"
    run.mkdir()
    original = tmp_path / "a.pem"
    original.write_text(PEM)
    copies = Copies()
    copies.settle(plan_of(tmp_path, user, original))
    copy = Path(copy_of(str(run), str(original)))
    assert copy.read_text() == PEM
    facts = copy.stat()
    assert facts.st_mode & 0o777 == 0o600
    assert facts.st_uid == pwd.getpwnam(user).pw_uid
    original.write_text(PEM * 2)
    copies.look()
    assert copy.read_text() == PEM * 2
    for bad in ("no PEM", "", PEM + "x" * (1 << 20)):
        original.write_text(bad)
        copies.look()
        copies.look()
        assert copy.read_text() == PEM * 2
    assert [record.message.rpartition(": ")[2] for record in caplog.records] == [
        "it is no PEM file",
        "it is larger than 1048576 bytes",
    ]
    later = tmp_path / "lib" / "certificates" / "b"
    later.mkdir(parents=True)
    (later / "certificate.pem").write_text(PEM)
    copies.look()
    assert Path(copy_of(str(run), str(later / "certificate.pem"))).read_text() == PEM
    copies.settle(plan_of(tmp_path, user))
    assert not copy.exists()
    assert len(list((run / "tls").iterdir())) == 1


def test_what_is_no_file_is_not_copied(tmp_path: Path, user: str, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "run").mkdir()
    folder, pipe = tmp_path / "folder.pem", tmp_path / "pipe.pem"
    folder.mkdir()
    os.mkfifo(pipe)
    Copies().settle(plan_of(tmp_path, user, folder, pipe))
    assert len(caplog.records) == 2
    assert not (tmp_path / "run" / "tls").exists()


def test_as_the_same_user_there_is_nothing_to_do(tmp_path: Path) -> None:
    original = tmp_path / "a.pem"
    original.write_text(PEM)
    copies = Copies()
    copies.settle(plan_of(tmp_path, "", original))
    copies.look()
    assert not (tmp_path / "run").exists()
