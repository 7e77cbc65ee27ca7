"""A program that the benchmark starts, with all of its descendants: pinned to one core, measured, ended."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_TICK = 1 / os.sysconf("SC_CLK_TCK")
_libc = ctypes.CDLL(None, use_errno=True)


class Tree:
    """A started program and everything that it starts.

    `core` is the number of the core that all of it runs on. Standard output and error go to `output`. The program is
    told to end (SIGTERM) when the benchmark itself dies. Raises OSError when the program cannot be executed.
    """

    def __init__(self, command: Sequence[str | Path], core: int, output: Path, env: Mapping[str, str] | None = None) -> None:
        self.output = output
        with output.open("ab") as file:
            self._child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                env={**os.environ, **(env or {})},
                start_new_session=True,
                preexec_fn=pinned(core),
            )
        self.pid = self._child.pid

    def running(self) -> bool:
        """Whether the program itself (not only a descendant) runs."""
        return self._child.poll() is None

    def cpu(self) -> float:
        """CPU seconds, user and system, that all processes have used so far."""
        return sum(cpu_seconds(pid) for pid in descendants(self.pid))

    def memory(self) -> int:
        """Proportional set size of all processes in bytes: what they share is counted once, divided among them."""
        return sum(proportional_set_size(pid) for pid in descendants(self.pid))

    def settled_cores(self) -> set[int]:
        """The cores that any process of the tree may run on."""
        cores: set[int] = set()
        for pid in descendants(self.pid):
            with contextlib.suppress(ProcessLookupError):
                cores |= os.sched_getaffinity(pid)
        return cores

    def stop(self, grace: float = 5.0) -> None:
        """End the program and all of its descendants: SIGTERM, and SIGKILL to what is left after `grace` seconds."""
        pids = descendants(self.pid)
        if self.running():
            self._child.terminate()
        deadline = time.monotonic() + grace
        while time.monotonic() < deadline and (self.running() or any(map(_alive, pids))):
            time.sleep(0.01)
        _kill([pid for pid in {*pids, *descendants(self.pid)} if _alive(pid)])
        self._child.wait()

    def last_output(self, lines: int = 12) -> str:
        """What the program said last."""
        return "\n".join(self.output.read_text(errors="replace").splitlines()[-lines:])


def pinned(core: int) -> Callable[[], None]:
    """What a child does between fork and exec: keep to one core, end with its parent."""

    def prepare() -> None:
        os.sched_setaffinity(0, {core})
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)

    return prepare


def adopt_orphans() -> None:
    """Make descendants whose parent died children of this process, so that `end_all` finds them (prctl(2))."""
    _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1)


def end_all() -> None:
    """Kill every descendant of this process. Called last: nobody else waits for children any more."""
    me = os.getpid()
    while pids := [pid for pid in descendants(me) if pid != me and _alive(pid)]:
        _kill(pids)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        time.sleep(0.01)


def descendants(root: int) -> list[int]:
    """The process and all below it, in no order; empty when it is gone."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            children.setdefault(_parent(int(entry)), []).append(int(entry))
    found, waiting = [], [root] if os.path.exists(f"/proc/{root}") else []
    while waiting:
        pid = waiting.pop()
        found.append(pid)
        waiting.extend(children.get(pid, ()))
    return found


def cpu_seconds(pid: int) -> float:
    """utime + stime of all threads of a process (proc_pid_stat(5)); 0 when it is gone."""
    fields = _stat(pid)
    return (int(fields[11]) + int(fields[12])) * _TICK if fields else 0.0


def core_seconds(core: int) -> tuple[float, float]:
    """Seconds since the start that a core was used (by whomever, the hypervisor's other guests included) and idle."""
    for line in Path("/proc/stat").read_text().splitlines():
        name, *values = line.split()
        if name == f"cpu{core}":
            user, nice, system, idle, iowait, irq, softirq, steal, *_ = map(int, values)
            return (user + nice + system + irq + softirq + steal) * _TICK, (idle + iowait) * _TICK
    raise ValueError(f"there is no core {core}")


def proportional_set_size(pid: int) -> int:
    """`Pss` of /proc/PID/smaps_rollup in bytes; 0 when the process is gone."""
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in rollup.splitlines() if line.startswith("Pss:")), 0)


def _stat(pid: int) -> list[str]:
    """The fields from `state` on; the name before them may hold spaces and parentheses."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _parent(pid: int) -> int:
    fields = _stat(pid)
    return int(fields[1]) if fields else -1


def _alive(pid: int) -> bool:
    fields = _stat(pid)
    return bool(fields) and fields[0] != "Z"


def _kill(pids: list[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
