from __future__ import annotations

import errno
import json
import os
import re
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gapura.config import check as module
from gapura.config import reach
from gapura.config.check import bind_error, check, resolve
from gapura.config.load import load
from gapura.errors import Problem

Configure = Callable[..., str]
Messages = list[tuple[str, int, bool]]


@pytest.fixture(autouse=True)
def everything_can_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs these tests, and wherever: see test_reach.py."""
    monkeypatch.setattr(reach, "first_obstacle", lambda _user, _paths: "")


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield int(sock.getsockname()[1])


def checked(file: str) -> list[Problem]:
    return check(load(file, resolve), file)


def told(file: str) -> Messages:
    folder = re.escape(os.path.dirname(file))
    return [(re.sub(folder, "/folder", item.message), item.line, item.warning) for item in checked(file)]


@pytest.fixture
def rest(monkeypatch: pytest.MonkeyPatch) -> str:
    """The rest of a file in which nothing is wrong; what others listen on does not matter."""
    monkeypatch.setattr(module, "bind_error", lambda _host, _port: 0)
    return "[edge]\nhttp = 8080\n"


def test_nothing_is_wrong(configure: Configure, rest: str) -> None:
    assert told(configure(rest + '[apps.a]\ncommand = "sh -c true"\n[sites."a.b"]\nproxy = "a"\n')) == []


def test_a_port_in_use_names_its_holder(configure: Configure, taken_port: int) -> None:
    [problem] = checked(configure(f'[edge]\nhttp = "127.0.0.1:{taken_port}"\n'))
    assert problem.message.startswith(f"port {taken_port} is in use by pid {os.getpid()} (")
    assert (problem.line, problem.column, problem.warning) == (2, 8, False)
    assert f"kill {os.getpid()}" in problem.hint


def test_our_own_port_is_no_problem(configure: Configure, taken_port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = configure(f'[edge]\nhttp = "127.0.0.1:{taken_port}"\n')
    monkeypatch.setattr(module, "port_owner", lambda _port: (7, "python -P -m gapura.edge 5"))
    assert len(checked(file)) == 1
    state = tmp_path / ".gapura" / "state.json"
    state.parent.mkdir()
    state.write_text(json.dumps({"listeners": [{"host": "127.0.0.1", "port": taken_port}]}))
    assert checked(file) == []
    monkeypatch.setattr(module, "port_owner", lambda _port: (7, "apache2"))
    assert len(checked(file)) == 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"listeners": 5}',
        '{"listeners": [5]}',
        '{"listeners": [{"host": []}]}',
        '{"listeners": [{"host": [], "port": 5}]}',
        "\0",
    ],
)
def test_a_broken_state_file_says_nothing(configure: Configure, taken_port: int, tmp_path: Path, text: str) -> None:
    (tmp_path / ".gapura").mkdir()
    (tmp_path / ".gapura" / "state.json").write_text(text)
    assert len(checked(configure(f'[edge]\nhttp = "127.0.0.1:{taken_port}"\n'))) == 1


@pytest.mark.parametrize(
    ("code", "message", "hint"),
    [
        (errno.EACCES, "port 80 needs a right that you do not have", "sysctl net.ipv4.ip_unprivileged_port_start=80"),
        (errno.EADDRNOTAVAIL, "127.0.0.1 is no address of this machine", "ip address"),
        (errno.ENOBUFS, "cannot listen on 127.0.0.1:80: No buffer space available", ""),
    ],
)
def test_other_reasons(configure: Configure, monkeypatch: pytest.MonkeyPatch, code: int, message: str, hint: str) -> None:
    monkeypatch.setattr(module, "bind_error", lambda _host, _port: code)
    [problem] = checked(configure('[edge]\nhttp = "127.0.0.1:80"\n'))
    assert problem.message == message
    assert hint in problem.hint


def test_a_machine_without_ipv6(configure: Configure, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "bind_error", lambda host, _port: errno.EAFNOSUPPORT if ":" in host else 0)
    assert checked(configure("[edge]\nhttp = 8080\n")) == []


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("no-such-program-here --x", "there is no program no-such-program-here on PATH"),
        ("exec no-such-program-here", "there is no program no-such-program-here on PATH"),
        ("A=1 no-such-program-here", "there is no program no-such-program-here on PATH"),
        ("./run.sh", "there is no program ./run.sh in /folder"),
        ("./plain", "./plain may not be executed"),
    ],
)
def test_a_program_that_is_not_there(configure: Configure, rest: str, command: str, message: str) -> None:
    file = configure(f'{rest}[apps.a]\ncommand = "{command}"\n', plain="#!/bin/sh\n")
    assert told(file) == [(message, 4, False)]


@pytest.mark.parametrize(
    "command", ["cd x && y", "$HOME/x", "(x; y)", "[ -f x ] && y", "'a b' c", "export A=1; x", "if true; then x; fi"]
)
def test_what_only_a_shell_can_tell_is_left_to_it(configure: Configure, rest: str, command: str) -> None:
    assert told(configure(f'{rest}[apps.a]\ncommand = "{command}"\n')) == []


def test_the_path_of_the_app_is_used(configure: Configure, rest: str, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "mine").write_text("#!/bin/sh\n")
    (tmp_path / "bin" / "mine").chmod(0o755)
    assert told(configure(f'{rest}[apps.a]\ncommand = "mine"\nenv = {{ PATH = "{tmp_path}/bin" }}\n')) == []


@pytest.mark.parametrize(
    ("package", "message"),
    [
        (None, "there is no package.json in /folder"),
        ('{"scripts": {"dev": "vite"}}', 'package.json has no script "start"'),
        ('{"scripts": {"start": "x"}}', None),
        ("not json", None),
        ("[]", 'package.json has no script "start"'),
    ],
)
def test_npm_needs_a_script(
    configure: Configure, rest: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str | None, message: str | None
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name, path: f"/usr/bin/{name}")
    if package is not None:
        (tmp_path / "package.json").write_text(package)
    expected: Messages = [(message, 4, True)] if message else []
    assert told(configure(f'{rest}[apps.a]\ncommand = "npm start"\n')) == expected


def test_folders_that_are_not_there(configure: Configure, rest: str) -> None:
    text = '[apps.a]\ncommand = "sh"\ndirectory = "nowhere"\n'
    text += '[sites."a.b"]\nfiles = "build"\n[[sites."a.b".routes]]\npath = "/x/"\nfiles = "other"\n'
    assert told(configure(rest + text)) == [
        ("there is no folder /folder/nowhere", 5, False),
        ("there is no folder /folder/other", 10, False),
        ("there is no folder /folder/build", 7, False),
    ]


def test_a_folder_without_its_pages(configure: Configure, rest: str, tmp_path: Path) -> None:
    (tmp_path / "build").mkdir()
    file = configure(rest + '[sites."a.b"]\nfiles = "build"\nfallback = "/app.html"\n')
    assert told(file) == [
        ("there is no file app.html in /folder/build", 5, True),
        ("there is no index.html in /folder/build", 4, True),
    ]
    (tmp_path / "build" / "index.html").write_text("")
    (tmp_path / "build" / "app.html").write_text("")
    assert told(file) == []


def test_a_folder_with_the_configuration(configure: Configure, rest: str, tmp_path: Path) -> None:
    for name in ("index.html", "sub/index.html"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert told(configure(f'{rest}[sites."a.b"]\nfiles = "sub"\n')) == []
    assert told(configure(f'{rest}[sites."a.b"]\nfiles = "."\n')) == [
        ("everybody can read gapura.toml: it lies in the folder that is sent", 4, True)
    ]


def test_users(configure: Configure, rest: str, monkeypatch: pytest.MonkeyPatch) -> None:
    file = configure(rest + 'user = "no-such-user"\n[apps.a]\ncommand = "sh"\nuser = "nobody"\n')
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert told(file) == [('there is no user "no-such-user" on this machine', 3, False)]
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    assert told(file)[1:] == [("only root can run something as another user", 6, True)]


@pytest.mark.parametrize(
    ("line", "told_of"),
    [
        ("listing = true", []),
        ('try_files = ["$uri", "$uri.html"]', []),
        ('try_files = ["$uri", "/app.html"]', ["there is no file app.html in /folder/build, where try_files ends"]),
    ],
)
def test_a_folder_that_needs_no_index(configure: Configure, rest: str, tmp_path: Path, line: str, told_of: list[str]) -> None:
    (tmp_path / "build").mkdir()
    file = configure(rest + f'[sites."a.b"]\nfiles = "build"\n{line}\n')
    assert told(file) == [(message, 5, True) for message in told_of]


def test_a_state_folder_that_cannot_be_written(configure: Configure, rest: str, monkeypatch: pytest.MonkeyPatch) -> None:
    file = configure(rest)
    monkeypatch.setattr(os, "access", lambda _path, _mode: False)
    assert told(file)[0] == ("cannot write to /folder, where the state is kept (/folder/.gapura)", 0, False)


def test_warnings_of_the_file_are_told_too(configure: Configure, rest: str) -> None:
    file = configure(rest + '[upstreams.a]\nservers = ["no-such-host.invalid:80"]\n')
    assert check(load(file), file)[0].message == "the name no-such-host.invalid does not resolve"


def test_a_file_that_changed_meanwhile(configure: Configure, rest: str) -> None:
    file = configure(rest)
    plan = load(file)
    configure("[edge]\nworkers = 0\n")
    assert [problem.message for problem in check(plan, file)] == ["workers must be from 1 to 32"]


def test_names_are_resolved_without_asking_twice(configure: Configure, rest: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def answer(name: str, *_more: object, **_options: object) -> list[tuple[int, int, int, str, tuple[str, int]]]:
        asked.append(name)
        if name == "bad.internal":
            raise socket.gaierror("no")
        return [(0, 0, 0, "", ("10.0.0.2", 0)), (0, 0, 0, "", ("10.0.0.1", 0)), (0, 0, 0, "", ("fe80::1%eth0", 0))]

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    assert resolve(["good.internal", "bad.internal"]) == {"good.internal": ["10.0.0.1", "10.0.0.2", "fe80::1"]}
    asked.clear()
    file = configure(rest + '[upstreams.a]\nservers = ["good.internal:80", "bad.internal:80"]\n')
    assert told(file) == [("the name bad.internal does not resolve", 4, True)]
    assert sorted(asked) == ["bad.internal", "good.internal"]


def test_whether_an_address_can_be_bound(taken_port: int) -> None:
    assert bind_error("127.0.0.1", 0) == 0
    assert bind_error("127.0.0.1", taken_port) == bind_error("0.0.0.0", taken_port) == errno.EADDRINUSE


def test_whether_an_ipv6_address_can_be_bound() -> None:
    if bind_error("::1", 0):
        pytest.skip("no IPv6 on this machine")
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as sock:
        port = sock.getsockname()[1]
        assert bind_error("::1", port) == bind_error("::", port) == errno.EADDRINUSE


def test_an_address_of_another_machine() -> None:
    assert bind_error("192.0.2.1", 8080) == errno.EADDRNOTAVAIL


def test_an_empty_file_is_not_what_was_meant(configure: Configure) -> None:
    assert [problem.message for problem in checked(configure("# only a comment\n")) if problem.warning] == ["the file is empty"]
