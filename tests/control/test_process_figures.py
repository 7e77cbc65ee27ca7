from __future__ import annotations

import os
import subprocess
import sys
import time

from gapura.control import process_figures


def test_a_process_of_ours() -> None:
    before = process_figures.read(os.getpid())
    assert before is not None
    assert 0 < before.cpu < time.process_time() + 1
    assert 1 << 20 < before.resident < 1 << 33
    assert before.started < time.time()
    assert before.descriptors is not None
    assert before.descriptors > 2
    assert before.most is None or before.most >= before.descriptors
    fds = [os.open("/dev/null", os.O_RDONLY) for _ in range(10)]
    after = process_figures.read(os.getpid())
    assert after is not None
    assert (after.started, after.descriptors) == (before.started, before.descriptors + 10)
    assert after.cpu >= before.cpu
    for fd in fds:
        os.close(fd)


def test_a_process_that_is_gone() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        child.wait()
    assert process_figures.read(child.pid) is None


def test_when_the_machine_was_started() -> None:
    assert 0 < process_figures.booted() < time.time()
