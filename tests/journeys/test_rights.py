"""What each process may do and see: descriptors, environment, users, modes of files."""

from __future__ import annotations

import os
import pwd
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from .harness.client import visit
from .harness.proc import until
from .harness.site import MARK, Site

KNOWN = {"PATH", "HOME", "USER", "LOGNAME", "LANG", "TERM", "TZ", "SHELL", "TMPDIR", "PWD", "PORT", MARK}
KNOWN |= {"GAPURA_APP", "GAPURA_INSTANCE", "GAPURA_MARK"}


def test_an_app_gets_neither_our_descriptors_nor_our_environment(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOUD_TOKEN", "of the operator, not of the app")
    site.configure(site.app(instances=1))
    site.up()
    pid = site.instances()[0]["pid"]
    descriptors = {int(name): os.readlink(f"/proc/{pid}/fd/{name}") for name in os.listdir(f"/proc/{pid}/fd")}
    assert {number for number, target in descriptors.items() if not target.startswith("socket:")} == {0, 1, 2}
    names = {line.split("=")[0] for line in Path(f"/proc/{pid}/environ").read_text().split("\0") if line}
    assert {name for name in names - KNOWN if not name.startswith("LC_")} == set()
    site.down()


def test_logs_and_sockets_are_not_for_everybody(site: Site) -> None:
    site.configure(site.app("--chatty", "20"))
    site.up()
    visit(site.port)
    until((site.logs / "access.log").exists)
    logs = [log for log in site.logs.iterdir() if log.is_file()]
    assert logs
    assert {stat.S_IMODE(log.stat().st_mode) & 0o137 for log in logs} == {0}, "0640 at most"
    assert stat.S_IMODE((site.folder / ".gapura" / "control.sock").stat().st_mode) == 0o600
    site.down()


@pytest.fixture
def readable() -> Iterator[Site]:
    """A site in a folder that other users may enter, as /etc and /srv are."""
    if os.geteuid():
        pytest.skip("another user needs root")
    try:
        subprocess.run([sys.executable, "-c", "import gapura"], user="nobody", capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("the interpreter of these tests is not for other users")
    folder = Path(tempfile.mkdtemp(prefix="gapura-journey-"))
    folder.chmod(0o755)
    site = Site(folder)
    yield site
    site.sweep()
    shutil.rmtree(folder)


def test_as_root_workers_and_control_are_somebody_else(readable: Site) -> None:
    site = readable
    site.configure(site.app(), user="nobody")
    site.up()
    status = site.status()
    nobody = pwd.getpwnam("nobody").pw_uid
    assert real_user(status["master"]["pid"]) == 0
    for pid in (status["control"]["pid"], *site.worker_pids()):
        assert real_user(pid) == nobody
        assert "NoNewPrivs:\t1" in Path(f"/proc/{pid}/status").read_text()
    assert visit(site.port, "/logged").status == 200
    until(lambda: "/logged" in (site.logs / "access.log").read_text())
    site.gapura("reload")
    assert visit(site.port).status == 200
    site.down()


def real_user(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("Uid:")))
