"""The whole master as a process of its own, with stand-ins for workers and control, real apps, a quick config process."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gapura import ipc
from gapura.config.load import load
from gapura.errors import ConfigError
from gapura.master.invocation import parse
from gapura.procs import tree

from .conftest import APP, FAKES, alive, free_port


class Site:
    """A folder with a gapura.toml, and the masters that ran there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.run = folder / ".gapura"
        self.masters: list[subprocess.Popen[bytes]] = []
        self.write()

    def write(self, more: str = "", app: str = "", edge: str = "") -> None:
        command = " ".join([*APP, "--fork"])
        lines = ["[edge]", f'http = "127.0.0.1:{self.port}"', "workers = 1", edge, "[apps.film]", f"command = '{command}'", app]
        self.save("\n".join([*lines, '[sites."film.localhost"]', 'proxy = "film"', more]))

    def save(self, text: str) -> None:
        """Write the file, and beside it what the config process would print of it."""
        file = self.folder / "gapura.toml"
        file.write_text(text)
        try:
            answer: dict[str, Any] = {"plan": load(str(file))}
        except ConfigError as error:
            answer = {"problems": [problem.as_dict() for problem in error.problems]}
        file.with_suffix(".toml.json").write_text(json.dumps(answer))

    def edit(self, old: str, new: str) -> None:
        """Replace a part of the file."""
        self.save((self.folder / "gapura.toml").read_text().replace(old, new))

    def start(self, behaviour: str = "good", **environment: str) -> dict[str, Any]:
        """Start a master; what it says on its ready descriptor."""
        ours, theirs = os.pipe()
        command = [sys.executable, "-P", str(FAKES / "master.py"), str(self.folder / "gapura.toml"), behaviour]
        with open(self.folder / "master.log", "ab") as log:
            self.masters.append(
                subprocess.Popen(
                    [*command, "--ready-fd", str(theirs)],
                    pass_fds=[theirs],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env={**os.environ, **environment},
                )
            )
        os.close(theirs)
        with open(ours, "rb") as stream:
            assert select.select([stream], [], [], 30.0)[0], self.log()
            answer: dict[str, Any] = json.loads(stream.readline())
        return answer

    @property
    def master(self) -> subprocess.Popen[bytes]:
        return self.masters[-1]

    def ask(self, name: str, **arguments: Any) -> dict[str, Any]:
        channel = ipc.connect(str(self.run))
        try:
            message = channel.ask({"type": "command", "name": name, **arguments}, 20.0)
            while message["type"] == "progress":
                message = channel.wait(20.0)
        finally:
            channel.close()
        return message

    def status(self) -> dict[str, Any]:
        return self.ask("status")

    def instance(self) -> dict[str, Any]:
        instance: dict[str, Any] = self.status()["apps"][0]["instances"][0]
        return instance

    def ready(self) -> dict[str, Any]:
        self.until(lambda: self.instance()["state"] == "ready")
        return self.instance()

    def until(self, condition: Callable[[], object], seconds: float = 60.0) -> None:
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, self.log()
            time.sleep(0.02)

    def fetch(self) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/", timeout=60) as answer:
            text: str = answer.read().decode()
            return text

    def log(self) -> str:
        return (self.folder / "master.log").read_text()

    def left(self) -> list[int]:
        """Processes that belong to this site and still live."""
        entries = [name for name in os.listdir("/proc") if name.isdigit() and alive(int(name))]
        mine = []
        for name in entries:
            try:
                environment = Path(f"/proc/{name}/environ").read_bytes()
            except OSError:
                continue
            if f"GAPURA_TEST={self.folder}".encode() in environment.split(b"\0") or self._is_app(environment):
                mine.append(int(name))
        return mine

    def _is_app(self, environment: bytes) -> bool:
        return f"SITE={self.folder}".encode() in environment.split(b"\0")

    def end(self) -> None:
        for master in self.masters:
            if master.poll() is None:
                master.terminate()
                try:
                    master.wait(10)
                except subprocess.TimeoutExpired:
                    master.kill()
                    master.wait()
        for pid in self.left():
            tree.kill(pid, signal.SIGKILL)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv("GAPURA_TEST", str(tmp_path))
    site = Site(tmp_path)
    site.write(app=f'env = {{ SITE = "{tmp_path}" }}')
    yield site
    monkeypatch.delenv("GAPURA_TEST")
    site.end()


def test_up_status_down(site: Site) -> None:
    answer = site.start()
    assert answer["ok"]
    assert answer["lines"][0] == f"http://film.localhost:{site.port}  →  film (1 copy)"
    instance = site.ready()
    document = site.status()
    assert set(document) >= {"version", "generation", "listeners", "master", "control", "workers", "sites", "apps", "upstreams"}
    assert document["master"] == {"pid": site.master.pid}
    assert document["listeners"] == [{"address": f"127.0.0.1:{site.port}", "tls": False}]
    assert document["upstreams"][0]["servers"][0]["state"] == "up"
    assert instance["memory_bytes"] > 1_000_000
    assert site.fetch().split()[1] == "1"
    assert (site.run / "control.sock").stat().st_mode & 0o777 == 0o600
    assert site.ask("down")["ok"]
    assert site.master.wait(10) == 0
    assert site.left() == []
    assert not (site.run / "control.sock").exists()
    assert not (site.run / "state.json").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_signals_that_end(number: signal.Signals, site: Site) -> None:
    site.start()
    site.ready()
    site.master.send_signal(number)
    assert site.master.wait(15) == 0
    assert site.left() == []


def test_a_second_term_kills_at_once(site: Site) -> None:
    site.write(app=f'env = {{ SITE = "{site.folder}" }}\nstop_timeout = 60')
    site.edit("--fork", "--fork --deaf")
    site.start()
    site.ready()
    site.master.terminate()
    site.until(lambda: "stopping" in site.log())
    site.master.terminate()
    assert site.master.wait(10) == 0
    assert site.left() == []


def test_down_cuts_a_drain_short_without_killing_apps(site: Site) -> None:
    site.start("stays")
    site.ready()
    draining = ipc.connect(str(site.run))
    draining.send({"type": "command", "name": "down", "drain": True})
    site.until(lambda: "requests under way are finished" in site.log())
    assert site.ask("down", drain=False)["ok"]
    assert draining.wait(5.0)["ok"]
    draining.close()
    assert site.master.wait(10) == 0
    assert "everything is killed" not in site.log()
    assert site.left() == []


def test_state_of_an_earlier_boot_names_nobody(site: Site) -> None:
    site.start()
    first = site.ready()
    site.master.kill()
    site.master.wait()
    file = site.run / "state.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "boot": "an earlier one"}))
    site.start()
    assert site.ready()["pid"] != first["pid"]
    tree.kill(first["pid"], signal.SIGKILL)
    site.ask("down")


def test_hup_reloads_and_a_broken_file_is_told(site: Site) -> None:
    site.start()
    pid = site.ready()["pid"]
    site.write(app=f'env = {{ SITE = "{site.folder}" }}', edge="served_by = false")
    site.master.send_signal(signal.SIGHUP)
    site.until(lambda: site.status()["generation"] == 2)
    site.write(more="nonsense = 1")
    site.master.send_signal(signal.SIGHUP)
    site.until(lambda: "the running configuration is kept" in site.log())
    assert "gapura.toml:10:1" in site.log()
    reply = site.ask("reload")
    assert (reply["ok"], reply["status"], reply["problems"][0]["line"]) == (False, 78, 10)
    assert (site.status()["generation"], site.instance()["pid"]) == (2, pid)


def test_usr1_opens_the_logs_anew(site: Site) -> None:
    site.start()
    site.ready()
    log = site.run / "logs" / "film-0.log"
    log.rename(log.with_suffix(".old"))
    site.master.send_signal(signal.SIGUSR1)
    site.until(log.exists)


def test_commands(site: Site) -> None:
    site.start()
    pid = site.ready()["pid"]
    assert site.ask("ping")["pid"] == site.master.pid
    assert site.ask("restart", app="film", index=None)["ok"]
    assert site.ready()["pid"] != pid
    assert site.ask("stop", app="film", index=0)["instances"][0]["state"] == "stopped"
    assert site.ask("start", app="film", index=None)["instances"][0]["state"] == "ready"
    assert len(site.ask("scale", app="film", instances=2)["instances"]) == 2
    assert site.ask("drain", upstream="film", address="film:1")["server"]["state"] == "draining"
    site.until(lambda: site.status()["upstreams"][0]["servers"][1]["state"] == "disabled")
    assert site.ask("enable", upstream="film", address="film:1")["server"]["state"] == "up"


BAD = [
    ("no-such", {}, "does not know the command"),
    ("__init__", {}, "does not know the command"),
    ("start", {}, "lacks app"),
    ("start", {"app": "nope"}, "no app nope"),
    ("stop", {"app": "film", "index": 9}, "no instance 9"),
    ("restart", {"app": "film", "index": "0"}, "must be a number"),
    ("restart", {"app": "film", "index": True}, "must be a number"),
    ("scale", {"app": "film"}, "how many"),
    ("scale", {"app": "film", "instances": 0}, "at least one"),
    ("drain", {"upstream": "nope", "address": "x"}, "no upstream nope"),
    ("enable", {"upstream": "film", "address": "10.0.0.1:1"}, "has no server"),
    ("drain", {"upstream": ["film"], "address": "x"}, "lacks upstream"),
]


def test_bad_commands_get_an_answer_and_bad_bytes_none(site: Site) -> None:
    site.start()
    site.ready()
    for name, arguments, words in BAD:
        reply = site.ask(name, **arguments)
        assert (reply["ok"], reply["status"]) == (False, 1), name
        assert words in reply["error"]
    for garbage in (b"GET / HTTP/1.1\r\n\r\n", b"\0\0\0\2\0\0[]", b"\xff" * 50, b"\0\0\0\4\0\0oops"):
        channel = ipc.connect(str(site.run))
        channel.sock.sendall(garbage)
        with pytest.raises(ipc.ChannelClosed):
            channel.wait(5.0)
        channel.close()
    gone = ipc.connect(str(site.run))
    gone.send({"type": "command", "name": "stop", "app": "film", "index": None})
    gone.close()
    site.until(lambda: site.instance()["state"] == "stopped")


def test_a_crash_loop_is_named_with_its_last_lines(site: Site) -> None:
    site.write(app="max_restarts = 3")
    site.edit("--fork", "--fail")
    site.start()
    site.until(lambda: site.instance()["state"] == "crashed")
    instance = site.instance()
    assert instance["looping"]
    assert instance["cause"].startswith("crash loop, 3 failures in a row: ")
    assert instance["tail"][-1] == "this app fails"


def test_killed_and_started_again_nothing_is_lost(site: Site) -> None:
    site.start()
    before = site.ready()
    worker = site.status()["workers"][0]["pid"]
    site.master.kill()
    site.master.wait()
    assert site.fetch().split()[0] == str(worker)
    assert site.start()["ok"], site.log()
    assert site.instance()["pid"] == before["pid"]
    assert site.instance()["address"] == before["address"]
    document = site.status()
    assert document["generation"] == 2
    site.until(lambda: not alive(worker))
    assert site.fetch().split() == [str(document["workers"][0]["pid"]), "2"]
    assert site.ask("restart", app="film", index=None)["ok"]
    assert site.ask("down")["ok"]
    site.master.wait(10)
    assert site.left() == []


def test_killed_with_all_its_children_the_apps_are_still_adopted(site: Site) -> None:
    site.start()
    pid = site.ready()["pid"]
    document = site.status()
    site.master.kill()
    for child in (document["workers"][0]["pid"], document["control"]["pid"]):
        os.kill(child, signal.SIGKILL)
    site.master.wait()
    assert site.start()["ok"]
    assert site.instance()["pid"] == pid
    assert site.fetch()


def test_up_again_is_the_upgrade(site: Site) -> None:
    site.start()
    before = site.ready()
    assert site.start()["ok"], site.log()
    old, new = site.masters
    assert old.wait(10) == 0
    assert site.status()["master"]["pid"] == new.pid
    assert site.instance()["pid"] == before["pid"]


def test_up_again_with_a_broken_file_leaves_the_old_one_alone(site: Site) -> None:
    site.start()
    site.ready()
    site.write(more="nonsense = 1")
    answer = site.start()
    assert (answer["ok"], answer["problems"][0]["line"]) == (False, 10)
    old, new = site.masters
    assert new.wait(10) == 78
    assert site.status()["master"]["pid"] == old.pid


def test_up_again_with_a_port_that_is_taken_leaves_the_old_one_alone(site: Site) -> None:
    site.start()
    site.ready()
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        site.edit(str(site.port), str(port))
        answer = site.start()
    assert answer["problems"][0]["message"].startswith(f"port {port} is in use by pid {os.getpid()}")
    old, new = site.masters
    assert new.wait(10) == 78
    assert site.status()["master"]["pid"] == old.pid


def test_a_taken_port_is_told(site: Site) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", site.port))
        holder.listen()
        answer = site.start()
    assert not answer["ok"]
    assert answer["problems"][0]["message"].startswith(f"port {site.port} is in use by pid {os.getpid()}")
    assert site.master.wait(10) == 78
    assert site.left() == []


def test_maintenance_outlives_masters(site: Site) -> None:
    site.start()
    site.ready()
    assert site.ask("close_sites", sites=["film.localhost"], seconds=None, message="soon")["ok"]
    site.master.kill()
    site.master.wait()
    site.start()
    assert site.status()["sites"][0]["closed"]["message"] == "soon"
    assert site.ask("down", drain=False)["ok"]
    site.master.wait(20)
    assert "in maintenance" in site.start()["lines"][0]
    assert site.ask("reload")["ok"]
    assert site.status()["sites"][0]["closed"]
    assert site.ask("open_sites", sites=["film.localhost"])["changes"] == ["site film.localhost is open again"]
    assert site.status()["sites"][0]["closed"] is None


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("close_sites", {}),
        ("close_sites", {"sites": []}),
        ("close_sites", {"sites": "film.localhost", "message": ""}),
        ("close_sites", {"sites": ["film.localhost"], "message": "a\nb"}),
        ("close_sites", {"sites": ["film.localhost"], "message": "a" * 1001}),
        ("close_sites", {"sites": ["film.localhost"], "message": "", "seconds": -1}),
        ("close_sites", {"sites": ["film.localhost"], "message": "", "seconds": True}),
        ("close_sites", {"sites": ["none.localhost"], "message": ""}),
        ("open_sites", {"sites": [1]}),
    ],
)
def test_maintenance_that_is_wrongly_asked_for(site: Site, name: str, words: dict[str, Any]) -> None:
    site.start()
    answer = site.ask(name, **words)
    assert not answer["ok"]
    assert answer["error"]
    assert site.status()["generation"] == 1


def test_a_service_manager_hears_of_it(site: Site) -> None:
    import socket

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.settimeout(10)
        manager.bind(str(site.folder / "notify"))
        site.start(NOTIFY_SOCKET=str(site.folder / "notify"))
        assert manager.recv(500).startswith(b"READY=1")
        site.ready()
        site.master.terminate()
        assert manager.recv(500).startswith(b"STOPPING=1")
        assert site.master.wait(10) == 0


def test_state_that_cannot_be_written_stops_nothing(site: Site) -> None:
    site.start()
    pid = site.ready()["pid"]
    (site.run / "state.json.new").mkdir()
    assert site.ask("restart", app="film", index=None)["ok"]
    assert site.ready()["pid"] != pid
    site.until(lambda: "state.json cannot be written" in site.log())


@pytest.mark.parametrize(
    "words",
    [[], ["a", "b"], ["--ready-fd"], ["a", "--ready-fd"], ["a", "--ready-fd", "x"], ["a", "--ready-fd", "-1"], ["a", "--colour"]],
)
def test_wrong_command_lines(words: list[str]) -> None:
    assert parse(words) is None


def test_the_command_line() -> None:
    options = parse(["f.toml", "--quiet", "--ready-fd", "7"])
    assert options is not None
    assert (options.file, options.quiet, options.ready_fd) == ("f.toml", True, 7)


def test_a_deleted_state_folder_is_made_anew(site: Site) -> None:
    site.start()
    pid = site.ready()["pid"]

    def reachable() -> bool:
        try:
            return bool(site.ask("ping")["ok"])
        except OSError:
            return False

    shutil.rmtree(site.run)
    site.until(lambda: reachable() and (site.run / "state.json").exists())
    assert site.ready()["pid"] == pid
    assert "was gone: it is made anew" in site.log()
    (site.run / "control.sock").unlink()
    site.until(reachable)
    site.master.kill()
    site.master.wait()
    assert site.start()["ok"]
    assert site.ready()["pid"] == pid
