"""For all tests: property tests draw the same examples every time, so that a red run can be repeated; our own children."""

from __future__ import annotations

import contextlib
from pathlib import Path

from hypothesis import HealthCheck, settings

settings.register_profile("gapura", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("gapura")


def own_children() -> set[int]:
    """The pids of this process' children, zombies included."""
    found: set[int] = set()
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):  # a thread that has just ended
            found.update(int(pid) for pid in (task / "children").read_text().split())
    return found
