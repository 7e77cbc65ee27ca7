"""Facts about the machine and the source that a figure without them would mean nothing: no host names, no paths."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def facts() -> dict[str, object]:
    """CPU, cores, memory, kernel, operating system, Python, and how busy the machine is before the benchmark."""
    return {
        "cpu": _field("/proc/cpuinfo", r"^model name\s*:\s*(.+)$"),
        "cores": os.cpu_count() or 0,
        "memory_gb": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9, 1),
        "kernel": platform.release(),
        "system": _field("/etc/os-release", r'^PRETTY_NAME="?([^"\n]+)'),
        "python": platform.python_version() + _origin(),
        "load_average": round(os.getloadavg()[0], 2),
    }


def commit() -> tuple[str, bool]:
    """Short name of the commit that is checked out, and whether src/ or bench/ differ from it."""
    name = _git("rev-parse", "--short=10", "HEAD") or "unknown"
    return name, bool(_git("status", "--porcelain", "--", "src", "bench", ":(exclude)bench/results"))


def cores() -> tuple[int, int, int]:
    """The cores for the proxy, for the load and for the servers behind; the last two share one if there are only two.

    Raises ValueError when there is one core only: a figure taken on it would be of the load, not of the proxy.
    """
    free = sorted(os.sched_getaffinity(0))
    if len(free) < 2:
        raise ValueError("the benchmark needs two cores: one for the proxy, one for the load and the servers behind")
    return free[-1], free[0], free[1] if len(free) > 2 else free[0]


def _origin() -> str:
    """Whose build the interpreter is: those of distributions are optimized by profile, home-made ones mostly are not."""
    return " of the distribution" if sys.base_prefix == "/usr" else ", not the distribution's"


def _field(path: str, pattern: str) -> str:
    try:
        match = re.search(pattern, Path(path).read_text(errors="replace"), re.MULTILINE)
    except OSError:
        return "unknown"
    return match.group(1).strip() if match else "unknown"


def _git(*arguments: str) -> str:
    try:
        process = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=20)
    except OSError:
        return ""
    return process.stdout.strip()
