"""What /proc knows about processes."""

from __future__ import annotations

import os
import time
from collections.abc import Callable


def marked(name: str, value: str) -> list[int]:
    """Processes, ended ones not yet reaped excepted, whose environment holds NAME=VALUE."""
    wanted = f"{name}={value}".encode()
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/environ", "rb") as file:
                    if wanted in file.read().split(b"\0"):
                        found.append(int(entry))
            except OSError:
                pass
    return found


def command_line(pid: int) -> str:
    """The command of a process, "" when it is gone."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read().replace(b"\0", b" ").decode("utf-8", "replace").strip()
    except OSError:
        return ""


def alive(pid: int) -> bool:
    """Whether a process runs (a zombie does not)."""
    return state(pid) not in ("", "Z", "X")


def gone(pid: int) -> bool:
    """Whether the last thread of a process has ended, and with it the sockets are closed; a zombie may still be there."""
    try:
        threads = os.listdir(f"/proc/{pid}/task")
        return all(state(pid, int(thread)) in ("", "Z", "X") for thread in threads)
    except OSError:
        return True


def state(pid: int, thread: int = 0) -> str:
    """The letter of proc(5), field 3 of stat; "" when there is no such process."""
    try:
        with open(f"/proc/{pid}/task/{thread or pid}/stat", "rb") as file:
            return chr(file.read().rpartition(b") ")[2][0])
    except OSError:
        return ""


def children(pid: int) -> list[int]:
    """Process ids of the children of a process, zombies included."""
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as file:
            return [int(word) for word in file.read().split()]
    except OSError:
        return []


def resident(pid: int) -> int:
    """Resident memory in bytes (VmRSS)."""
    with open(f"/proc/{pid}/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmRSS:"))


def worked(pid: int) -> float:
    """Seconds of CPU that a process has used, user and system (proc(5), fields 14 and 15 of stat)."""
    with open(f"/proc/{pid}/stat", "rb") as file:
        words = file.read().rpartition(b") ")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def until(condition: Callable[[], object], within: float = 60.0, what: str = "") -> None:
    """Wait until a condition holds. Raises AssertionError when it does not in time."""
    deadline = time.monotonic() + within
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within} s: {what or condition}")
        time.sleep(0.01)
