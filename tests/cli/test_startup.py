"""The systemd unit: what stands in it, that systemd takes it, and how it gets where it belongs."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gapura.cli import startup
from gapura.cli.place import place_of
from gapura.errors import CommandError

ROOT = startup.Account("root", 0)
ALVIN = startup.Account("alvin", 1000)


def lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if not line.startswith("#")]


def test_what_the_issue_asks_for(folder: Path) -> None:
    unit = lines(startup.unit(place_of(str(folder / "gapura.toml")), ALVIN, "/home/alvin/.nvm/bin:/usr/bin"))
    for line in (
        "Type=notify",
        "NotifyAccess=main",
        "User=alvin",
        "AmbientCapabilities=CAP_NET_BIND_SERVICE",
        f"WorkingDirectory={folder}",
        "Environment=PATH=/home/alvin/.nvm/bin:/usr/bin",
        f"ExecStart={sys.executable} -P -m gapura.master {folder}/gapura.toml",
        "ExecReload=/bin/kill -HUP $MAINPID",
        "KillMode=process",
        "Restart=on-failure",
        "RestartPreventExitStatus=78",
        "LimitNOFILE=1024:1048576",
        "NoNewPrivileges=yes",
        "WantedBy=multi-user.target",
    ):
        assert line in unit, line


def test_roots_unit_has_no_user_and_the_systems_one_has_its_folders(folder: Path) -> None:
    unit = lines(startup.unit(place_of(str(folder / "gapura.toml")), ROOT, "/bin"))
    assert not [line for line in unit if line.startswith(("User=", "AmbientCapabilities=", "RuntimeDirectory="))]
    system = lines(startup.unit(place_of("/etc/gapura/gapura.toml"), ROOT, "/bin"))
    for line in ("RuntimeDirectory=gapura", "RuntimeDirectoryPreserve=yes", "LogsDirectory=gapura", "StateDirectory=gapura"):
        assert line in system


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
@pytest.mark.parametrize("name", ["site", "my site", "50% off", 'a"b', "back\\slash", "$HOME", "semi;colon", "it's"])
def test_systemd_takes_it_and_reads_the_paths_as_they_are(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    (folder / "gapura.toml").touch()
    account = pwd.getpwuid(os.getuid())
    place = place_of(str(folder / "gapura.toml"))
    for number, who in enumerate((ROOT, startup.Account(account.pw_name, 1))):
        unit = tmp_path / f"gapura-test-{number}.service"
        unit.write_text(startup.unit(place, who, "/a folder/bin:/usr/bin"))
        done = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("word", "written"),
    [
        ("/usr/bin/python3", "/usr/bin/python3"),
        ("/my site/x", '"/my site/x"'),
        ("50%", "50%%"),
        ("$HOME", "$$HOME"),
        ("PATH=/a$b", "PATH=/a$b"),
        ('a"b c', '"a\\"b c"'),
        ("a\\b", '"a\\\\b"'),
    ],
)
def test_words_of_a_command_line(word: str, written: str) -> None:
    assert startup.quote(word) == written


@pytest.mark.parametrize("word", ["a\nExecStartPre=/bin/sh", "a\x00", "\x1b[1m"])
def test_nothing_can_be_smuggled_into_a_unit(word: str) -> None:
    with pytest.raises(CommandError, match="cannot stand in a systemd unit"):
        startup.quote(word)


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("/etc/gapura/gapura.toml", "gapura.service"),
        ("/home/alvin/dumbflix/gapura.toml", "gapura-dumbflix.service"),
        ("/srv/my site!/x.toml", "gapura-my-site.service"),
        ("/gapura.toml", "gapura.service"),
        ("/srv/@@/gapura.toml", "gapura.service"),
    ],
)
def test_names(file: str, name: str) -> None:
    assert startup.unit_name(place_of(file)) == name


def test_it_is_printed_with_the_way_to_install_it(folder: Path, gapura: Any) -> None:
    done = gapura("startup")
    assert done.status == 0
    assert done.out.startswith("# Made by `gapura startup`")
    assert done.out.endswith("WantedBy=multi-user.target\n")
    assert "startup -c" in done.err
    assert "--install" in done.err


def test_only_root_installs(folder: Path, gapura: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    done = gapura("startup", "--install")
    assert (done.status, done.out) == (1, "")
    assert "only root may install" in done.err


class Systemd:
    """A machine on which systemctl only writes down what it was told."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, fails: str = "") -> None:
        self.told = folder / "told"
        bin = folder / "bin"
        bin.mkdir()
        systemctl = bin / "systemctl"
        systemctl.write_text(f'#!/bin/sh\necho "$*" >> {self.told}\n[ "$1" != "{fails}" ] || {{ echo sorry >&2; exit 1; }}\n')
        systemctl.chmod(0o755)
        self.units = folder / "units"
        self.units.mkdir()
        monkeypatch.setenv("PATH", f"{bin}:/usr/bin:/bin")
        monkeypatch.setattr(startup, "UNITS", str(self.units))
        monkeypatch.setattr(os, "geteuid", lambda: 0)
        monkeypatch.setattr(os.path, "isdir", lambda path: True)


def test_root_installs_and_enables(folder: Path, gapura: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    systemd = Systemd(folder, monkeypatch)
    place = place_of(str(folder / "gapura.toml"))
    startup._install("gapura-x.service", startup.unit(place, ROOT, "/bin"))
    assert systemd.told.read_text() == "daemon-reload\nenable --now gapura-x.service\n"
    assert (systemd.units / "gapura-x.service").read_text().startswith("# Made by")
    assert [path.name for path in systemd.units.iterdir()] == ["gapura-x.service"]


def test_what_systemctl_says_is_passed_on(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Systemd(folder, monkeypatch, fails="enable")
    with pytest.raises(CommandError, match=r"enable --now gapura-x\.service` failed") as caught:
        startup._install("gapura-x.service", "")
    assert caught.value.hint == "sorry"


def test_a_machine_without_systemd(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os.path, "isdir", lambda path: False)
    with pytest.raises(CommandError, match="not started by systemd"):
        startup._install("gapura-x.service", "")
