"""Launching: what an instance is executed with, and why it could not be."""

from __future__ import annotations

import json
import os
import resource
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from gapura.procs.launch import LaunchError, command_line, environment, spawn
from gapura.procs.output import Output
from gapura.procs.tree import start_time

from ..conftest import descriptors, own_children
from .conftest import App, Launched, reap, script

Run = Callable[..., Launched]
Printed = Callable[[int], list[str]]


# -- environment ------------------------------------------------------------------------------------------------------------


def test_the_environment_is_clean(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        monkeypatch.delenv(name)
    ours = {"PATH": "/bin", "HOME": "/home/x", "USER": "x", "LANG": "C.UTF-8", "LC_TIME": "id_ID", "TERM": "xterm", "TZ": "UTC"}
    secrets = {"GAPURA_TOKEN": "secret", "AWS_SECRET": "secret", "NOTIFY_SOCKET": "/x", "PYTHONPATH": "/x", "GAPURA_MARK": "outer"}
    for name, value in (ours | secrets).items():
        monkeypatch.setenv(name, value)
    expected = ours | {"PORT": "3001", "GAPURA_APP": "shop", "GAPURA_INSTANCE": "1", "GAPURA_MARK": "m"}
    assert environment(app("x"), 1, 3001, "m") == expected


def test_without_a_path_there_is_a_usual_one(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PATH")
    assert "/usr/bin" in environment(app("x"), 0, 1, "m")["PATH"].split(":")


def test_the_apps_own_variables_win_but_not_over_the_port(app: App) -> None:
    env = environment(app("x", env={"LANG": "id_ID", "PORT": "1", "GAPURA_MARK": "no", "NODE_ENV": "production"}), 0, 3000, "m")
    assert (env["LANG"], env["NODE_ENV"], env["PORT"], env["GAPURA_MARK"]) == ("id_ID", "production", "3000", "m")


def test_an_app_with_a_user_has_that_users_home(app: App) -> None:
    env = environment(app("x", user="daemon"), 0, 3000, "m")
    assert (env["USER"], env["LOGNAME"], env["HOME"]) == ("daemon", "daemon", os.path.expanduser("~daemon"))


# -- command line -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "argv"),
    [
        ("npm start", ["npm", "start"]),
        ("  node  server.js\t", ["node", "server.js"]),
        ("serve -l $PORT", ["serve", "-l", "3000"]),
        ("serve -l tcp://0:${PORT}/", ["serve", "-l", "tcp://0:3000/"]),
        ("""node -e 'a; b | c' "x y" d\\ e""", ["node", "-e", "a; b | c", "x y", "d e"]),
        ("python -m http.server $PORT -b 127.0.0.1", ["python", "-m", "http.server", "3000", "-b", "127.0.0.1"]),
        ("java -Dx=1 -jar a.jar", ["java", "-Dx=1", "-jar", "a.jar"]),
    ],
)
def test_a_plain_command_needs_no_shell(app: App, command: str, argv: list[str]) -> None:
    assert command_line(app(command), 3000) == argv


@pytest.mark.parametrize(
    ("command", "shell"),
    [
        ("echo $PORTABLE", "exec echo $PORTABLE"),
        ("node a.js > out.log 2>&1", "exec node a.js > out.log 2>&1"),
        ("ls *.js", "exec ls *.js"),
        ('serve "$HOME/x"', 'exec serve "$HOME/x"'),
        ("NODE_ENV=production npm start", "NODE_ENV=production exec npm start"),
        ("A='x y' B=\"z\" npm start", "A='x y' B=\"z\" exec npm start"),
        ("cd app && npm start", "cd app && exec npm start"),
        ("cd a && X=1 node 'b && c'", "cd a && X=1 exec node 'b && c'"),
        ("exec node a.js", "exec node a.js"),
        ("cd app && exec npm start", "cd app && exec npm start"),
        ("cd app", "cd app"),
        ("X=1 cd app", "X=1 cd app"),
        ("a; b", "a; b"),
        ("a | b", "a | b"),
        ("a || b", "a || b"),
        ("(a && b)", "(a && b)"),
        ("a & b", "a & b"),
        ("x $(y)", "x $(y)"),
        ("while true; do a; done", "while true; do a; done"),
        ("a &&", "a &&"),
        ('say "open', 'say "open'),
    ],
)
def test_shell_syntax_goes_to_a_shell_that_gives_way(app: App, command: str, shell: str) -> None:
    assert command_line(app(command), 3000) == ["/bin/sh", "-c", shell]


@pytest.mark.parametrize(
    ("command", "message"), [("", "is empty"), ("  \t", "is empty"), ("''", "is empty"), ("node 'a", "a quote is not closed")]
)
def test_commands_that_cannot_be_read(app: App, command: str, message: str) -> None:
    with pytest.raises(LaunchError, match=message):
        command_line(app(command), 3000)


@pytest.mark.parametrize("command", ["X=1 $CMD", "cd . && X=1 $CMD", "cd sub && cd .. && X=1 $CMD > /dev/stdout 2>&1"])
def test_the_shell_is_gone_when_the_app_runs(app: App, run: Run, printed: Printed, tmp_path: Path, command: str) -> None:
    (tmp_path / "sub").mkdir()
    show = script(tmp_path, "import os\nprint(os.getpid(), os.environ['X'], os.getcwd(), flush=True)")
    process, _ = run(command, env={"CMD": show})
    assert printed(1) == [f"{process.pid} 1 {tmp_path}"]


# -- spawn ------------------------------------------------------------------------------------------------------------------

SHOW = """
import json, os, resource, signal
print(json.dumps({
    "fds": sorted(int(name) for name in os.listdir("/proc/self/fd")),
    "session": os.getsid(0), "group": os.getpgrp(), "pid": os.getpid(), "umask": os.umask(0), "cwd": os.getcwd(),
    "nofile": resource.getrlimit(resource.RLIMIT_NOFILE), "uid": os.getresuid(), "gid": os.getresgid(), "groups": os.getgroups(),
    "signals": [line.split()[1] for line in open("/proc/self/status") if line.startswith(("SigBlk", "SigIgn"))],
    "new_privileges": [line.split()[1] for line in open("/proc/self/status") if line.startswith("NoNewPrivs")],
}), flush=True)
"""


LIBRARY = 1 << 32 - 1 | 1 << 33 - 1
"""Signals 32 and 33 belong to the C library: it lets nobody change them, so a process keeps what its ancestors did to them."""


def test_what_a_process_inherits(run: Run, printed: Printed, tmp_path: Path) -> None:
    stray = os.open("/dev/null", os.O_RDONLY)
    os.set_inheritable(stray, True)
    previous = signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
    try:
        process, _ = run(script(tmp_path, SHOW), nofile_soft=100)
        assert signal.SIGALRM in signal.pthread_sigmask(signal.SIG_BLOCK, ())  # ours is as it was
    finally:
        os.close(stray)
        signal.signal(signal.SIGUSR2, previous)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    facts = json.loads(printed(1)[0])
    assert facts["fds"] in ([0, 1, 2, 3], [0, 1, 2])  # the last one lists them
    assert facts["pid"] == facts["session"] == facts["group"] == process.pid
    assert facts["umask"] == 0o027
    assert facts["cwd"] == str(tmp_path)
    assert facts["nofile"] == [100, resource.getrlimit(resource.RLIMIT_NOFILE)[1]]
    blocked, ignored = (int(text, 16) for text in facts["signals"])
    assert blocked & ~LIBRARY == 0
    assert ignored & ~(LIBRARY | 1 << signal.SIGPIPE - 1 | 1 << signal.SIGXFSZ - 1) == 0  # Python itself ignores these two


def test_signals_begin_with_their_defaults(run: Run, printed: Printed) -> None:
    """Python ignores SIGPIPE; a program that we execute must not inherit that."""
    process, _ = run("grep Sig /proc/self/status")
    lines = dict(line.split(":\t") for line in printed(5))
    assert [int(lines[name], 16) & ~LIBRARY for name in ("SigIgn", "SigBlk")] == [0, 0]
    assert reap(process) == 0


def test_the_start_time_names_the_process(run: Run) -> None:
    process, _ = run("sleep 60")
    assert process.started > 0
    assert start_time(process.pid) == process.started
    assert str(process.pid) in repr(process)


def test_standard_input_never_ends(run: Run, printed: Printed, tmp_path: Path) -> None:
    process, _ = run(script(tmp_path, "import select, sys\nprint(select.select([0], [], [], 0.2)[0], flush=True)"))
    assert printed(1) == ["[]"]
    assert reap(process) == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_process_of_another_user(run: Run, printed: Printed, tmp_path: Path) -> None:
    os.chmod(tmp_path, 0o755)
    run(
        "sh -c 'id -u; id -g; id -G; grep NoNewPrivs /proc/self/status; echo open > /dev/stdout; pwd'", user="daemon", directory="/"
    )
    assert printed(6) == ["1", "1", "1", "NoNewPrivs:\t1", "open", "/"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_folder_closed_to_that_user(run: Run, tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(LaunchError, match="permission denied: folder") as caught:
        run("sleep 60", user="daemon", directory=str(closed))
    assert "daemon" in caught.value.hint


@pytest.mark.parametrize(
    ("command", "folder", "user", "message", "hint"),
    [
        ("no-such-program x", "", "", "command not found: no-such-program", "full path"),
        ("./nothing.sh", "", "", "command not found: ./nothing.sh", "no such file"),
        ("./script", "", "", "the interpreter of ./script is not there", "first line"),
        ("./text", "", "", "permission denied: ./text", "chmod +x ./text"),
        ("./data", "", "", "not a program: ./data", "#!/bin/sh"),
        ("./text/x", "", "", "command not found: ./text/x", "no such file"),
        ("sleep 60", "missing", "", "folder .*missing is not there", "`directory`"),
        ("sleep 60", "text", "", "text is no folder", "`directory`"),
        ("sleep 60", "", "no-such-user", "user no-such-user is not there", "adduser"),
    ],
)
def test_why_it_cannot_be_started(run: Run, tmp_path: Path, command: str, folder: str, user: str, message: str, hint: str) -> None:
    (tmp_path / "text").write_text("hello")
    (tmp_path / "script").write_text("#!/no/such/interpreter\n")
    (tmp_path / "data").write_text("hello")
    for name in ("script", "data"):
        (tmp_path / name).chmod(0o755)
    before, children = set(os.listdir("/proc/self/fd")), own_children()
    with pytest.raises(LaunchError, match=message) as caught:
        run(command, directory=str(tmp_path / folder), user=user)
    assert hint in caught.value.hint
    assert caught.value.message in str(caught.value)
    assert len(set(os.listdir("/proc/self/fd")) - before) <= 2  # the two that `output` keeps for its child
    assert own_children() <= children  # what was forked is reaped


def test_without_root_nobody_else_can_be_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with pytest.raises(LaunchError, match="cannot become user daemon without root"):
        spawn(["true"], "/", {}, "daemon", 0, 1, 0)


def test_a_machine_without_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    def full() -> int:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    before = descriptors()
    monkeypatch.setattr(os, "fork", full)
    with pytest.raises(LaunchError, match="no process could be made"):
        spawn(["true"], "/", {}, "", 0, 1, 0)
    assert descriptors() == before
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == set()


def test_low_descriptors_may_be_given(tmp_path: Path) -> None:
    """The output may be descriptor 0 of the master, its input descriptor 1: neither overwrites the other."""
    path = tmp_path / "both"
    pid = os.fork()
    if pid == 0:
        null = os.open("/dev/null", os.O_RDONLY)
        log = os.open(path, os.O_CREAT | os.O_WRONLY, 0o600)
        os.dup2(log, 0)
        os.dup2(null, 1)
        process = spawn(["sh", "-c", "cat; echo done"], "/", {"PATH": os.environ["PATH"]}, "", 1, 0, 0)
        os._exit(reap(process))
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert path.read_text() == "done\n"


@pytest.mark.parametrize("sealed", [True, False])
def test_a_sealed_process_gains_no_rights(sealed: bool) -> None:
    ours, theirs = os.pipe()
    process = spawn(["grep", "NoNewPrivs", "/proc/self/status"], "/", dict(os.environ), "", 0, theirs, 0, sealed=sealed)
    os.close(theirs)
    with open(ours) as said:
        inherited = "NoNewPrivs:\t1" in Path("/proc/self/status").read_text()
        assert said.read() == f"NoNewPrivs:\t{int(sealed or inherited)}\n"
    assert reap(process) == 0


def test_launching_waits_for_the_program_to_begin_and_no_longer(output: Output) -> None:
    env = {"PATH": os.environ["PATH"]}
    process = spawn(["sleep", "600"], "/", env, "", output.stdin_fd, output.output_fd, 0)
    assert Path(f"/proc/{process.pid}/comm").read_text() == "sleep\n"  # it runs, and we go on
    os.kill(process.pid, signal.SIGKILL)
    assert reap(process) == -signal.SIGKILL
