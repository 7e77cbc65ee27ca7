"""What each process may do and see: descriptors, environment, users, modes of files."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from .harness.client import visit
from .harness.proc import alive, children, until
from .harness.site import MARK, Site, plain, section, settled

KNOWN = {"PATH", "HOME", "USER", "LOGNAME", "LANG", "TERM", "TZ", "SHELL", "TMPDIR", "PWD", "PORT", MARK}
KNOWN |= {"GAPURA_APP", "GAPURA_INSTANCE", "GAPURA_MARK"}
CLOSE_ON_EXEC = 0o2000000
"""The bit of `flags` in /proc/PID/fdinfo (proc(5))."""


def test_an_app_gets_neither_our_descriptors_nor_our_environment(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOUD_TOKEN", "of the operator, not of the app")
    site.configure(site.app(instances=1))
    site.up()
    pid = site.instances()[0]["pid"]
    opened = descriptors(pid)
    assert {number for number, target in opened.items() if not target.startswith("socket:")} == {0, 1, 2}
    names = {line.split("=")[0] for line in Path(f"/proc/{pid}/environ").read_text().split("\0") if line}
    assert {name for name in names - KNOWN if not name.startswith("LC_")} == set()
    site.down()


def test_every_process_has_open_what_it_needs_and_hands_on_nothing(site: Site) -> None:
    site.configure(site.app(instances=1))
    site.up()
    visit(site.port)
    status = site.status()
    master, control, workers = status["master"]["pid"], status["control"]["pid"], site.worker_pids()
    for pid in (master, control, *workers):
        flags = {number: fdinfo(pid, number) for number in descriptors(pid) if number > 2}
        assert {number for number, bits in flags.items() if not bits & CLOSE_ON_EXEC} == set(), descriptors(pid)
    for pid in (control, *workers):
        theirs = " ".join(descriptors(pid).values())
        assert "/lock" not in theirs
        assert ".in" not in theirs
        assert ("shop-0.out" in theirs, "shop-0.log" in theirs) == ((pid == control),) * 2, "it writes logs when there is no master"
    site.down()


def test_who_starts_it_in_the_background_is_not_held_up(site: Site) -> None:
    """A pipe that the caller had open (a CI job, ssh) ends with the caller, not with Gapura."""
    site.configure(site.app(instances=1))
    ours, theirs = os.pipe()
    os.set_inheritable(theirs, True)
    subprocess.run(
        [Path(sys.executable).parent / "gapura", "up", "-d"],
        cwd=site.folder,
        env=site.environment,
        capture_output=True,
        close_fds=False,
        check=True,
        timeout=60,
    )
    os.close(theirs)
    with open(ours, "rb") as end:
        assert end.read() == b""
    site.down()


def test_logs_and_sockets_are_not_for_everybody(site: Site) -> None:
    site.configure(site.app("--chatty", "20"))
    site.up()
    visit(site.port)
    until((site.logs / "access.log").exists)
    logs = [log for log in site.logs.iterdir() if log.is_file()]
    assert logs
    assert {mode(log) & 0o137 for log in logs} == {0}, "0640 at most"
    state = site.folder / ".gapura"
    assert mode(state / "control.sock") == 0o600
    assert {mode(folder) & 0o066 for folder in (state, state / "pipes", site.logs)} == {0}
    site.down()


@pytest.mark.parametrize("name", ["lock", "control.sock", "state.json", "logs/error.log", "logs/access.log", "logs/shop-0.log"])
def test_a_link_in_the_state_folder_leads_nowhere(site: Site, name: str) -> None:
    """CWE-59: what others may have put there is replaced or refused, never followed."""
    site.configure(site.app(instances=1))
    victim = site.folder / "victim"
    victim.write_text("precious")
    link = site.folder / ".gapura" / name
    link.parent.mkdir(parents=True)
    link.symlink_to(victim)
    done = site.gapura("up", "-d", check=False)
    if done.returncode == 0:
        site.wait(settled)
        visit(site.port)
        site.down()
    else:
        assert name in done.stderr
        site.nothing_left()
    assert victim.read_text() == "precious"
    assert not victim.with_name("victim.new").exists()


@pytest.mark.parametrize("name", [".gapura", ".gapura/logs"])
def test_a_state_folder_that_is_a_link_is_refused(site: Site, name: str) -> None:
    site.configure(site.app(instances=1))
    elsewhere = site.folder / "elsewhere"
    elsewhere.mkdir()
    link = site.folder / name
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(elsewhere)
    done = site.gapura("up", "-d", check=False)
    assert done.returncode
    assert "is not a folder of its own" in plain(done.stderr)
    assert list(elsewhere.iterdir()) == []
    site.nothing_left()


# -- as root ------------------------------------------------------------------------------------------------------------------


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


def test_as_root_workers_and_control_are_nobody_with_no_way_back(readable: Site) -> None:
    site = readable
    site.configure(site.app())
    site.up()
    status = site.status()
    assert facts(status["master"]["pid"])["Uid"] == ["0"] * 4
    for pid in (status["control"]["pid"], *site.worker_pids()):
        assert unprivileged(pid)
    assert visit(site.port, "/logged").status == 200
    access = site.logs / "access.log"
    until(lambda: "/logged" in access.read_text())
    assert (owner(access), mode(access)) == ("nobody", 0o640)
    for folder in (site.folder / ".gapura", site.logs):
        assert (owner(folder), mode(folder)) == ("root", 0o711), "the edge gets through and makes nothing there"
    site.gapura("reload")
    assert visit(site.port).status == 200
    moved = access.rename(access.with_suffix(".old"))
    os.kill(status["master"]["pid"], signal.SIGUSR1)
    until(access.exists)
    visit(site.port, "/after")
    until(lambda: "/after" in access.read_text())
    assert "/after" not in moved.read_text()
    site.down()


def test_workers_stay_root_when_that_is_what_was_asked_for(readable: Site) -> None:
    site = readable
    site.configure(site.app(instances=1), user="root")
    site.up()
    assert "workers run as root" not in (site.logs / "gapura.log").read_text()
    for pid in site.worker_pids():
        assert (facts(pid)["Uid"][0], facts(pid)["NoNewPrivs"]) == ("0", ["1"])
    site.configure(site.app(instances=1), user="nobody")
    assert "workers will run as nobody from the next `gapura up` on" in plain(site.gapura("reload").stdout)
    old = site.worker_pids()
    site.up()
    until(lambda: not any(alive(pid) for pid in old))
    assert all(unprivileged(pid) for pid in site.worker_pids())
    assert visit(site.port).status == 200
    site.down()


def test_after_kill_9_of_a_root_master_the_next_one_gets_everything_from_nobody(readable: Site) -> None:
    site = readable
    site.configure(site.app("--chatty", "50", instances=1))
    site.up()
    status, app = site.status(), site.instances()[0]["pid"]
    os.kill(status["master"]["pid"], signal.SIGKILL)
    until(lambda: not alive(status["master"]["pid"]))
    assert visit(site.port).status == 200
    log = site.logs / "shop-0.log"
    before = log.stat().st_size
    until(lambda: log.stat().st_size > before + 1000, what="control writes down what the app prints")
    site.up()
    assert site.instances()[0]["pid"] == app
    assert (site.logs / "gapura.log").read_text().count("was left behind by an earlier master") == 3
    assert all(unprivileged(pid) for pid in site.worker_pids())
    assert visit(site.port).status == 200
    site.down()


ASK = "import json, sys; from gapura import ipc; print(json.dumps(ipc.connect(sys.argv[1]).ask(json.loads(sys.argv[2]), 5)))"
ORPHAN = '{"type": "orphan", "role": "worker", "pid": 1, "column": 0, "generation": 9, "addresses": [], "draining": false}'


@pytest.mark.parametrize(
    ("user", "message", "said"),
    [
        ("nobody", '{"type": "command", "name": "down"}', "only the user that runs Gapura may command it"),
        ("nobody", ORPHAN, "ChannelClosed"),
        ("daemon", '{"type": "command", "name": "ping"}', "PermissionError"),
    ],
)
def test_nobody_else_may_command_the_master(readable: Site, user: str, message: str, said: str) -> None:
    site = readable
    site.configure(site.app(instances=1))
    site.up()
    before = site.status()
    argv = [sys.executable, "-c", ASK, str(site.folder / ".gapura"), message]
    done = subprocess.run(
        argv, user=user, group=pwd.getpwnam(user).pw_gid, extra_groups=[], cwd="/", capture_output=True, text=True
    )
    assert said in done.stdout + done.stderr
    assert site.status()["workers"] == before["workers"]
    site.down()


def test_root_takes_no_commands_from_a_file_of_somebody_else(readable: Site) -> None:
    site = readable
    site.configure(site.app(instances=1))
    os.chown(site.file, pwd.getpwnam("daemon").pw_uid, -1)
    for command in (["check"], ["up", "-d"]):
        done = site.gapura(*command, check=False)
        assert done.returncode == 78
        assert "belongs to daemon" in done.stderr
        assert "chown root gapura.toml" in done.stderr
    site.nothing_left()


def test_a_folder_that_the_edge_cannot_enter_is_told_before_it_starts(readable: Site) -> None:
    site = readable
    build = site.folder / "closed" / "build"
    build.mkdir(parents=True)
    (build / "index.html").touch()
    build.parent.chmod(0o700)
    site.configure(section('sites."*"', files="closed/build"), proxy="")
    for command in (["check"], ["up", "-d"]):
        done = site.gapura(*command, check=False)
        assert done.returncode == 78
        assert f"nobody may not enter the folder {build.parent}" in done.stderr
        assert "gapura.toml:7:9" in done.stderr
    build.parent.chmod(0o711)
    site.up()
    assert visit(site.port).status == 200
    site.down()


def test_a_low_port_by_capability_is_the_masters_alone(readable: Site) -> None:
    if shutil.which("setpriv") is None:
        pytest.skip("needs setpriv")
    site = readable
    os.chown(site.folder, pwd.getpwnam("nobody").pw_uid, -1)
    site.port = low_port()
    site.configure(site.app(instances=1))
    site.prefix = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
    refused = subprocess.run(
        [*site.prefix, Path(sys.executable).parent / "gapura", "up"], cwd=site.folder, capture_output=True, text=True, timeout=60
    )
    assert refused.returncode == 78
    assert "not allowed to listen on" in refused.stderr
    assert "net.ipv4.ip_unprivileged_port_start" in refused.stderr
    site.prefix += ["--inh-caps=+net_bind_service", "--ambient-caps=+net_bind_service"]
    site.up()
    assert visit(site.port).status == 200
    status = site.status()
    assert int(facts(status["master"]["pid"])["CapEff"][0], 16) == 1 << 10
    for pid in (status["control"]["pid"], *site.worker_pids(), site.instances()[0]["pid"]):
        assert int(facts(pid)["CapEff"][0], 16) == 0
    site.down()


def test_as_process_one_root_serves_through_nobody(readable: Site) -> None:
    site = readable
    site.configure(site.app(instances=1))
    site.prefix = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]
    site.up()
    (outer,) = site._masters
    (master,) = children(outer.pid)
    assert visit(site.port).status == 200
    assert sorted(facts(pid)["Uid"][0] for pid in children(master)) == ["0", *["65534"] * 3]
    os.kill(master, signal.SIGTERM)
    assert outer.wait(timeout=60) == 0
    site.nothing_left()


# -- what /proc and the file system say ---------------------------------------------------------------------------------------


def descriptors(pid: int) -> dict[int, str]:
    """Open descriptors, and what they lead to; those that are closed meanwhile left out."""
    found = {}
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            found[int(name)] = os.readlink(f"/proc/{pid}/fd/{name}")
        except FileNotFoundError:
            pass
    return found


def fdinfo(pid: int, number: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/fdinfo/{number}").read_text().splitlines()
    except FileNotFoundError:
        return CLOSE_ON_EXEC
    return int(next(line.split()[1] for line in lines if line.startswith("flags:")), 8)


def facts(pid: int) -> dict[str, list[str]]:
    """/proc/PID/status: the words of each field."""
    lines = (line.partition(":") for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return {name: rest.split() for name, _, rest in lines}


def unprivileged(pid: int) -> bool:
    """Whether a process is nobody in every way, with no right left and none to be had (credentials(7), capabilities(7))."""
    account, known = pwd.getpwnam("nobody"), facts(pid)
    assert known["Uid"] == [str(account.pw_uid)] * 4
    assert known["Gid"] == [str(account.pw_gid)] * 4
    assert known["Groups"] == []
    assert {int(known[name][0], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")} == {0}
    return known["NoNewPrivs"] == ["1"]


def owner(path: Path) -> str:
    return pwd.getpwuid(path.stat().st_uid).pw_name


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def low_port() -> int:
    """A port that only some may use."""
    for port in range(1023, 600, -1):
        with socket.socket() as sock:
            try:
                sock.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no low port is free")
