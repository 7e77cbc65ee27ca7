"""`up`, `down` and `reload`. In place of the master a script of a few lines says what a test wants."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gapura.cli import run
from gapura.cli.place import Place

from .conftest import FakeMaster

PROBLEM = {
    "message": 'there is no upstream or app "apx"',
    "file": "gapura.toml",
    "line": 6,
    "column": 9,
    "text": 'proxy = "apx"',
    "hint": 'did you mean "api"?',
    "width": 5,
    "warning": False,
}

Stand = Callable[[str], None]


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Stand:
    """Have a script run in place of the master; it finds `say(document)` for the ready descriptor."""

    def script(body: str) -> None:
        path = tmp_path_factory.mktemp("master") / "master.py"
        path.write_text(
            "import json, os, sys, time\n"
            "def say(answer):\n"
            "    with open(int(sys.argv[sys.argv.index('--ready-fd') + 1]), 'w') as ready:\n"
            "        ready.write(json.dumps(answer) + '\\n')\n" + textwrap.dedent(body)
        )
        monkeypatch.setattr(run, "_command", lambda place: [sys.executable, "-S", str(path), place.file])

    return script


def test_in_the_background_it_says_what_the_master_says(folder: Path, gapura: Any, stand_in: Stand) -> None:
    stand_in(
        """
        with open("seen", "w") as file:
            streams = [os.path.basename(os.readlink(f"/proc/self/fd/{fd}")) for fd in (0, 1, 2)]
            json.dump([sys.argv[1], os.getsid(0) == os.getpid(), streams], file)
        say({"ok": True, "lines": ["http://shop.localhost:8099  →  shop", "stop: gapura down"]})
        print("for the log")
        """
    )
    done = gapura("up", "-d")
    assert (done.status, done.out) == (0, "http://shop.localhost:8099  →  shop\nstop: gapura down\n")
    assert json.loads((folder / "seen").read_text()) == [str(folder / "gapura.toml"), True, ["null", "gapura.log", "gapura.log"]]
    log = folder / ".gapura" / "logs" / "gapura.log"
    end = time.monotonic() + 60
    while "for the log" not in log.read_text():
        assert time.monotonic() < end
        time.sleep(0.01)
    assert log.stat().st_mode & 0o777 == 0o640 & ~_umask()


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def test_a_broken_configuration_is_shown_with_its_line(folder: Path, gapura: Any, stand_in: Stand) -> None:
    stand_in(f"say({{'ok': False, 'error': '', 'problems': [{PROBLEM!r}]}}); sys.exit(78)")
    done = gapura("up", "-d")
    assert done.status == 78
    assert (
        done.err
        == 'gapura.toml:6:9: there is no upstream or app "apx"\n    proxy = "apx"\n            ^^^^^\n    did you mean "api"?\n'
    )


def test_an_error_of_the_machine(folder: Path, gapura: Any, stand_in: Stand) -> None:
    stand_in("say({'ok': False, 'error': 'port 80 is held by pid 9, nginx', 'problems': []}); sys.exit(78)")
    assert gapura("up", "-d").err == "gapura: port 80 is held by pid 9, nginx\n"


@pytest.mark.parametrize(
    ("body", "status", "cause"),
    [
        ("print('the reason'); sys.exit(78)", 78, "exit status 78"),
        ("print('the reason'); sys.exit(3)", 1, "exit status 3"),
        ("print('the reason', flush=True); os.kill(os.getpid(), 9)", 1, "killed by SIGKILL"),
    ],
)
def test_a_master_that_ends_without_a_word(folder: Path, gapura: Any, stand_in: Stand, body: str, status: int, cause: str) -> None:
    stand_in(body)
    done = gapura("up", "-d")
    assert done.status == status
    assert f"Gapura ended while it started ({cause})" in done.err
    assert "the end of .gapura/logs/gapura.log:\n  the reason" in done.err


def test_ctrl_c_while_it_starts_ends_the_master_too(folder: Path) -> None:
    """In a process of its own, because the signal goes to all that a terminal would send it to."""
    code = textwrap.dedent(
        """
        import sys
        from gapura.cli import main, run
        run._command = lambda place: [sys.executable, "-S", "-c",
            "import os, time; print(os.getpid(), flush=True); time.sleep(60)"]
        sys.exit(main.run(["up", "-d"]))
        """
    )
    command = subprocess.Popen([sys.executable, "-P", "-c", code], cwd=folder)
    log = folder / ".gapura" / "logs" / "gapura.log"
    end = time.monotonic() + 60
    while not (log.exists() and log.read_text().endswith("\n")):
        assert time.monotonic() < end
        time.sleep(0.01)
    command.send_signal(signal.SIGINT)
    assert command.wait(20) == 130
    master = int(log.read_text())
    while Path(f"/proc/{master}").exists() and " Z " not in Path(f"/proc/{master}/stat").read_text():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_in_the_foreground_the_command_becomes_the_master(folder: Path, monkeypatch: pytest.MonkeyPatch, gapura: Any) -> None:
    became: list[Any] = []
    monkeypatch.setattr(os, "execv", lambda *words: became.append(words))
    assert gapura("up").status == 0
    assert became == [(sys.executable, [sys.executable, "-P", "-m", "gapura.master", str(folder / "gapura.toml")])]


@pytest.mark.parametrize(("words", "drain"), [([], False), (["--drain"], True)])
def test_down_waits_until_the_master_has_ended(master: FakeMaster, gapura: Any, words: list[str], drain: bool) -> None:
    master.says["down"] = [{"type": "progress", "text": "waiting for shop:0"}, master.ok()]
    done = gapura("down", *words)
    assert (done.status, done.out, done.err) == (0, "Gapura and all apps have ended.\n", "waiting for shop:0\n")
    assert master.commands("down") == [{"drain": drain}]


def test_reload_says_what_changed(master: FakeMaster, gapura: Any) -> None:
    master.says["reload"] = [master.ok(generation=7, changes=["shop has 3 instances instead of 2"])]
    assert gapura("reload").out == "shop has 3 instances instead of 2\nGeneration 7 is serving.\n"
    assert json.loads(gapura("reload", "--json").out) == {"generation": 7, "changes": ["shop has 3 instances instead of 2"]}
    master.says["reload"] = [master.ok(generation=8, changes=[])]
    assert gapura("reload").out == "nothing has changed\nGeneration 8 is serving.\n"


def test_reload_tells_what_stays_beside_the_file(master: FakeMaster, gapura: Any) -> None:
    master.says["reload"] = [master.ok(generation=4, changes=[], overrides=["upstream api: server x added by a command"])]
    out = "nothing has changed\nstays: upstream api: server x added by a command\nGeneration 4 is serving.\n"
    assert gapura("reload").out == out


def test_a_refused_reload_shows_the_line_and_exits_with_78(master: FakeMaster, gapura: Any) -> None:
    master.says["reload"] = [{"type": "reply", "ok": False, "error": "", "status": 78, "problems": [PROBLEM]}]
    done = gapura("reload")
    assert done.status == 78
    assert done.err.startswith("gapura.toml:6:9: there is no upstream")


def test_the_command_line_of_the_master_is_safe_from_the_current_folder(folder: Path) -> None:
    """`-P`: a file named like a module of ours in the current folder is not imported."""
    assert run._command(Place("/f", "/r", "/l"))[1:3] == ["-P", "-m"]
