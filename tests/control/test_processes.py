"""What processes use, read from /proc."""

from __future__ import annotations

import os
import subprocess
import sys
import time

from gapura.control.processes import NOTHING, Processes, read

GRANDCHILD = "x = bytearray(40_000_000); print(1, flush=True); input()"
CHILD = f"import subprocess, sys; subprocess.run([sys.executable, '-c', '{GRANDCHILD}'])"


def test_a_tree_counts_as_a_whole_and_a_process_alone() -> None:
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", CHILD], stdin=pipe, stdout=pipe, start_new_session=True) as process:
        assert process.stdin
        assert process.stdout
        process.stdout.readline()
        found = Processes().sample([process.pid], [])
        alone = Processes().sample([], [process.pid])
        assert found[process.pid].memory > 40_000_000 + alone[process.pid].memory // 2
        assert alone[process.pid].memory < 40_000_000
        process.stdin.write(b"\n")
        process.stdin.close()
        process.wait(60)


def test_processor_time_is_that_since_the_sample_before() -> None:
    now = [0.0]
    processes = Processes(lambda: now[0])
    assert processes.sample([], [os.getpid()])[os.getpid()].cpu == 0.0
    before = read(os.getpid())
    end = time.process_time() + 0.2
    while time.process_time() < end:
        pass
    after = read(os.getpid())
    assert before
    assert after
    now[0] = 2.0
    cpu = processes.sample([], [os.getpid()])[os.getpid()].cpu
    assert cpu >= (after[1] - before[1]) / os.sysconf("SC_CLK_TCK") / 2.0 - 0.02
    assert cpu > 0.05


def test_who_is_gone_uses_nothing() -> None:
    with subprocess.Popen(["true"]) as process:
        process.wait()
    assert read(process.pid) is None
    assert Processes().sample([process.pid], [0, -1, process.pid]) == {process.pid: NOTHING}
