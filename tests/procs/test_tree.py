"""The tree of an instance: wrappers, double forks, pids given away again, memory."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gapura.procs import tree
from gapura.procs.tree import Processes, kill, kill_trees, members, signal_tree, start_time

from .conftest import Launched, reap, script, stop, until

Run = Callable[..., Launched]
Printed = Callable[[int], list[str]]

DAEMON = """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        print(os.getpid(), flush=True)
        time.sleep(600)
    os._exit(0)
os.wait()
time.sleep(600)
"""
"""A process whose grandchild is in another session and, its parent gone, nobody's descendant."""


def alive(pid: int) -> bool:
    """Whether the process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def test_a_wrapper_and_its_children(run: Run, printed: Printed) -> None:
    process, mark = run("sh -c 'sleep 600 & echo $!; sh -c \"sleep 600; true\"; true'")
    until(lambda: len(members(process.pid, "")) == 4)
    found = members(process.pid, mark, process.started)
    assert {process.pid, int(printed(1)[0])} < set(found)
    assert len(found) == 4
    assert found == sorted(found)


def test_killing_a_wrapper_leaves_nothing_of_its_tree(run: Run, printed: Printed) -> None:
    process, mark = run("sh -c 'sleep 600 & echo $!; wait; true'")
    child = int(printed(1)[0])
    os.kill(process.pid, signal.SIGKILL)
    assert reap(process) == -signal.SIGKILL
    assert members(process.pid, mark, process.started) == [child]
    assert kill_trees([(process.pid, mark, process.started)]) == []
    until(lambda: not alive(child))


def test_a_grandchild_in_a_session_of_its_own_is_found_by_its_mark(run: Run, printed: Printed, tmp_path: Path) -> None:
    process, mark = run(script(tmp_path, DAEMON))
    grandchild = int(printed(1)[0])
    until(lambda: start_parent(grandchild) != process.pid)
    assert grandchild not in members(process.pid, "")
    assert members(process.pid, mark) == sorted([process.pid, grandchild])
    assert members(0, mark) == sorted([process.pid, grandchild])
    assert kill_trees([(process.pid, mark, process.started)]) == []
    assert not alive(grandchild)


def start_parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def test_descendants_without_the_mark_are_found_by_parentage(run: Run, printed: Printed, tmp_path: Path) -> None:
    """A child that cleans its environment and leaves the session is still its parent's child."""
    text = """
import subprocess
child = subprocess.Popen(["sleep", "600"], env={}, start_new_session=True)
print(child.pid, flush=True)
child.wait()
"""
    process, mark = run(script(tmp_path, text))
    assert int(printed(1)[0]) in members(process.pid, mark)


@pytest.mark.parametrize("other", ["", "x", "prefix", "suffix"])
def test_a_mark_must_be_exact(run: Run, other: str) -> None:
    process, mark = run("sleep 600")
    wrong = {"": "", "x": "x", "prefix": mark[:-1], "suffix": mark + "0"}[other]
    assert members(0, mark) == [process.pid]
    assert members(0, wrong) == []


def test_a_mark_inside_another_variable_does_not_count(run: Run) -> None:
    run("sleep 600", env={"OTHER": "GAPURA_MARK=inner", "NOT_GAPURA_MARK": "inner"})
    assert members(0, "inner") == []


def test_our_own_process_is_never_a_member(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    text = """
import os, sys
from gapura.procs import tree
print(os.getpid() in tree.members(os.getpid(), "m"), [tree.kill(pid, 9) for pid in (os.getpid(), 0, 1, -1)])
print(tree.kill_trees([(0, "m", 0)]))
"""
    env = os.environ | {"GAPURA_MARK": "m"}
    done = subprocess.run(
        [sys.executable, "-c", text], env=env, capture_output=True, text=True, check=False, start_new_session=True
    )
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "False [False, False, False, False]\n[]", "")


@pytest.mark.parametrize("pid", [0, 1, -1, 2**22 + 1])
def test_pids_that_name_no_instance(pid: int) -> None:
    assert members(pid, "") == []


def test_zombies_are_no_members(run: Run) -> None:
    process, mark = run("true")
    until(lambda: not alive(process.pid))
    assert members(process.pid, mark) == []
    assert start_time(process.pid) == process.started  # its pid is still its own
    assert kill_trees([(process.pid, mark, 0)]) == []
    assert reap(process) == 0
    assert start_time(process.pid) is None


def test_a_pid_given_to_another_process_is_left_alone(run: Run) -> None:
    """The start time tells them apart: with a wrong one only the mark counts."""
    process, mark = run("sh -c 'sleep 600; true'")
    until(lambda: len(members(process.pid, "")) == 2)
    assert members(process.pid, "", process.started + 1) == []
    assert members(process.pid, "other", process.started - 1) == []
    assert len(members(process.pid, mark, process.started + 1)) == 2


def test_a_signal_reaches_only_the_process_that_was_read(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    process, _ = run("sleep 600")
    processes = Processes()
    monkeypatch.setattr(tree, "start_time", lambda pid: process.started + 1)  # somebody else has the pid by now
    assert processes.kill([process.pid], signal.SIGKILL) == 0
    monkeypatch.undo()
    assert alive(process.pid)
    assert processes.kill([process.pid, 2**22 + 1], signal.SIGKILL) == 1
    assert reap(process) == -signal.SIGKILL
    assert processes.kill([process.pid], signal.SIGKILL) == 0


def test_kill_tells_whether_it_was_there(run: Run) -> None:
    process, _ = run("sleep 600")
    assert not kill(2**22 + 1, signal.SIGTERM)
    assert not kill(process.pid, signal.SIGTERM, process.started + 1)
    assert kill(process.pid, signal.SIGTERM, process.started)
    assert reap(process) == -signal.SIGTERM


def test_an_app_that_ignores_sigterm(run: Run, printed: Printed, tmp_path: Path) -> None:
    text = "import signal, time\nsignal.signal(15, signal.SIG_IGN)\nprint('deaf', flush=True)\nwhile True: time.sleep(1)"
    process, mark = run(script(tmp_path, text))
    printed(1)
    assert signal_tree(process.pid, mark, process.started, signal.SIGTERM) == [process.pid]
    assert os.waitpid(process.pid, os.WNOHANG) == (0, 0)
    assert kill_trees([(process.pid, mark, process.started)]) == []
    assert reap(process) == -signal.SIGKILL


def test_a_tree_that_keeps_forking_is_ended(run: Run, printed: Printed) -> None:
    """Each process hands on to a new one at once: one round of signals could miss it."""
    process, mark = run("sh -c 'echo up; trap \"\" TERM; while :; do sleep 0.001 & sleep 0.001; done'")
    printed(1)
    assert kill_trees([(process.pid, mark, process.started)], patience=5.0) == []
    assert members(process.pid, mark) == []


def test_a_program_that_leaves_its_parents_behind_is_found(run: Run, tmp_path: Path) -> None:
    """Each forks and ends at once, so that what /proc says is old before it is read to its end."""
    text = "import os, time\nos.fork() and os._exit(0)\nos.setsid()\nos.fork() and os._exit(0)\ntime.sleep(600)"
    for _ in range(8):
        process, mark = run(script(tmp_path, text))
        reap(process)
        assert kill_trees([(process.pid, mark, process.started)], patience=5.0) == []
        assert members(process.pid, mark) == []


def test_memory_is_that_of_the_whole_tree(run: Run, printed: Printed, tmp_path: Path) -> None:
    """The wrapper is small, the server behind it is not."""
    hungry = script(tmp_path, "import time\nx = bytearray(b'x') * (64 << 20)\nprint('full', flush=True)\ntime.sleep(600)")
    process, mark = run(f"sh -c '{hungry}; true'")
    printed(1)
    found = members(process.pid, mark)
    assert len(found) == 2
    processes = Processes()
    assert 64 << 20 < processes.memory(found) < 100 << 20
    assert processes.memory([process.pid]) < 10 << 20
    assert processes.memory([2**22 + 1]) == 0


def test_the_name_of_a_process_cannot_lie_about_its_parent(run: Run, printed: Printed, tmp_path: Path) -> None:
    text = "import time\nopen('/proc/self/comm', 'w').write(') S 1 1 1 (')\nprint('named', flush=True)\ntime.sleep(600)"
    process, _ = run(script(tmp_path, text))
    printed(1)
    assert start_time(process.pid) == process.started
    assert members(process.pid, "") == [process.pid]


def test_the_subreaper_inherits_orphans(tmp_path: Path) -> None:
    """Run in a process of its own: the setting is for life."""
    text = """
import os, sys
from gapura.procs.prctl import set_subreaper
set_subreaper()
read, write = os.pipe()
if os.fork() == 0:
    if os.fork() == 0:
        os.read(read, 1)
        os._exit(7)
    os._exit(0)
os.wait()
os.write(write, b"x")
print(os.waitstatus_to_exitcode(os.wait()[1]))
"""
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=False, timeout=90)
    assert (done.stdout.strip(), done.stderr) == ("7", "")


def test_one_reading_serves_many_instances(run: Run) -> None:
    launched = [run("sleep 600") for _ in range(5)]
    processes = Processes()
    for process, mark in launched:
        assert processes.members(process.pid, mark, process.started) == [process.pid]
    stop(launched[0][0].pid)
    assert processes.members(launched[0][0].pid, "") == [launched[0][0].pid]  # what was read, not what is
