"""For all tests: property tests draw the same examples every time, so that a red run can be repeated; peers; our own children."""

from __future__ import annotations

import contextlib
import gc
import os
import shutil
import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

for _number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
    # A shell starts what runs in its background with these ignored, and so would be every program that a test starts.
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, signal.default_int_handler if _number == signal.SIGINT else signal.SIG_DFL)

settings.register_profile("gapura", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("gapura")


def peer(program: str) -> str:
    """The path of a real program that a test talks to. Where it is not installed (tools/peers) the test is skipped.

    With GAPURA_PEERS=required it fails instead: there nothing may go untested.
    """
    found = shutil.which(program, path=os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin")
    if found is None and os.environ.get("GAPURA_PEERS") == "required":
        pytest.fail(f"{program} is not installed: run tools/peers")
    if found is None:
        pytest.skip(f"{program} is not installed (tools/peers installs it)")
    return found


def descriptors(folder: Path | None = None) -> int:
    """How many files, sockets and pipes this process has open; with `folder` only files in it.

    Garbage of earlier tests is collected first, or it might be closed between two countings.
    """
    gc.collect()
    found = 0
    for fd in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):  # the one that listed them
            found += os.readlink(f"/proc/self/fd/{fd}").startswith(str(folder or ""))
    return found


def own_children() -> set[int]:
    """The pids of this process' children, zombies included."""
    found: set[int] = set()
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):  # a thread that has just ended
            found.update(int(pid) for pid in (task / "children").read_text().split())
    return found
