"""Users of the machine and the admin API: whose sockets, whose connections, whose rights."""

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

from .harness.admin import BY_SOCKET, BY_TCP, OTHER, as_user, ask
from .harness.proc import until
from .harness.site import Site, section


@pytest.fixture
def others() -> Iterator[Site]:
    """A site in a folder that other users may enter; needs root."""
    if os.geteuid():
        pytest.skip("another user needs root")
    folder = Path(tempfile.mkdtemp(prefix="gapura-admin-"))
    folder.chmod(0o755)
    site = Site(folder)
    try:
        subprocess.run([sys.executable, "-c", "import gapura"], user="nobody", capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("the interpreter of these tests is not for other users")
    yield site
    site.sweep()
    shutil.rmtree(folder)


def of_nobody(site: Site) -> None:
    """The site becomes the user nobody's, and its Gapura runs as that."""
    if shutil.which("setpriv") is None:
        pytest.skip("needs setpriv (util-linux)")
    shutil.chown(site.folder, "nobody")
    site.prefix = ["setpriv", "--reuid=nobody", "--clear-groups"]


def test_as_root_loopback_reads_and_a_token_changes(others: Site) -> None:
    site = others
    site.configure(section('sites."shop.test"', respond="a shop"), proxy="")
    site.up()
    run = site.folder / ".gapura"
    assert {name: owner(run / f"{name}.sock") for name in ("admin", "dashboard")} == {
        "admin": ("root", 0o600),
        "dashboard": ("nobody", 0o600),
    }
    assert ask(site).json["rights"] == "read"
    assert ask(site, "/v1/reload", "POST").status == 403
    token = site.gapura("token", "create", "ci", "--role", "full").stdout.strip()
    bearer = {"Authorization": f"Bearer {token}"}
    assert ask(site, "/v1/reload", "POST", **bearer).json["generation"] == 2
    assert as_user(OTHER, BY_TCP, str(site.port), "GET", "/v1/status") == "401\n"
    assert as_user("nobody", BY_TCP, str(site.port), "GET", "/v1/status") == "401\n"
    assert as_user(OTHER, BY_SOCKET, str(run / "admin.sock")) == "refused\n"
    assert as_user("nobody", BY_SOCKET, str(run / "admin.sock")) == "refused\n"
    assert as_user(OTHER, BY_SOCKET, str(run / "dashboard.sock")) == "refused\n"
    assert "403" in as_user("nobody", BY_SOCKET, str(run / "dashboard.sock")), "the edge's own user, but not in its name"
    until(lambda: '"action":"reload","by":"token ci"' in (site.logs / "audit.log").read_text())
    assert owner(site.logs / "audit.log") == ("nobody", 0o640)
    assert token not in (site.logs / "audit.log").read_text()
    site.down()
    assert not list(run.glob("*.sock"))


def test_a_users_gapura_is_that_users(others: Site) -> None:
    site = others
    of_nobody(site)
    site.configure(section('sites."shop.test"', respond="a shop"), proxy="")
    site.up()
    run = site.folder / ".gapura"
    assert {owner(run / f"{name}.sock") for name in ("admin", "dashboard")} == {("nobody", 0o600)}
    assert ask(site).json["rights"] == "full"
    assert ask(site, "/v1/reload", "POST").json["generation"] == 2
    assert as_user("nobody", BY_TCP, str(site.port), "POST", "/v1/reload") == "200\n"
    assert as_user(OTHER, BY_TCP, str(site.port), "POST", "/v1/reload") == "401\n"
    assert as_user(OTHER, BY_TCP, str(site.port), "GET", "/v1/status") == "401\n"
    assert as_user(OTHER, BY_SOCKET, str(run / "admin.sock")) == "refused\n"
    (run / "admin.sock").chmod(0o666)
    assert "200" not in as_user(OTHER, BY_SOCKET, str(run / "admin.sock")), "the kernel is asked, not only the file's mode"
    assert "200 OK" in as_user("nobody", BY_SOCKET, str(run / "admin.sock"))
    site.down()


def test_links_in_the_place_of_sockets_lead_nowhere(site: Site) -> None:
    site.configure(proxy="")
    run = site.folder / ".gapura"
    run.mkdir(mode=0o700)
    victim = site.folder / "victim"
    victim.write_text("precious")
    for name in ("admin", "dashboard"):
        (run / f"{name}.sock").symlink_to(victim)
    (run / "lib").mkdir(mode=0o700)
    (run / "lib" / "tokens.json").symlink_to(victim)
    site.up()
    assert all(stat.S_ISSOCK((run / f"{name}.sock").lstat().st_mode) for name in ("admin", "dashboard"))
    assert ask(site).status == 200
    site.gapura("token", "create", "a")
    assert victim.read_text() == "precious"
    assert stat.S_IMODE((run / "lib" / "tokens.json").lstat().st_mode) == 0o600
    site.down()


def owner(path: Path) -> tuple[str, int]:
    facts = path.lstat()
    return pwd.getpwuid(facts.st_uid).pw_name, stat.S_IMODE(facts.st_mode)
