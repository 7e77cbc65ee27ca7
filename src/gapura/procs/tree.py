"""The processes that belong to an instance, found through /proc: session, parentage and environment mark."""

from __future__ import annotations

from collections.abc import Iterable


class Processes:
    """All processes of the machine, read once; ask it about many instances. Zombies and our own process are left out."""

    def __init__(self) -> None:
        raise NotImplementedError

    def members(self, pid: int, mark: str, started: int = 0) -> list[int]:
        """Processes of the tree of `pid` (see the function `members`)."""
        raise NotImplementedError

    def memory(self, pids: Iterable[int]) -> int:
        """Bytes of memory held by these processes (see the function `memory`)."""
        raise NotImplementedError

    def kill(self, pids: Iterable[int], signal: int) -> int:
        """Signal these processes, if they are still the ones that were read; how many were."""
        raise NotImplementedError


def members(pid: int, mark: str, started: int = 0) -> list[int]:
    """Living processes of the tree of `pid`: its session and process group, its descendants, and all that carry the mark
    GAPURA_MARK=`mark` in their environment. `started`: the start time of `pid`; when another process has that pid now,
    only the mark counts. `mark` "" = none.
    """
    return Processes().members(pid, mark, started)


def memory(pids: Iterable[int]) -> int:
    """Sum of the resident set sizes in bytes. Pages that several of them share count several times."""
    raise NotImplementedError


def kill(pids: Iterable[int], signal: int) -> int:
    """Signal these processes through pidfds; how many were there."""
    raise NotImplementedError


def kill_tree(pid: int, mark: str, started: int = 0) -> list[int]:
    """SIGKILL to the whole tree, again while it forks; what is still alive after that (normally nothing)."""
    raise NotImplementedError


def start_time(pid: int) -> int | None:
    """Clock ticks after boot when the process started (/proc/PID/stat field 22); None: there is none."""
    raise NotImplementedError


def port_owner(port: int) -> tuple[int, str] | None:
    """Process id and command line of who listens on a TCP port; None when nobody does or it cannot be seen."""
    raise NotImplementedError


def listens(pids: Iterable[int], port: int) -> bool:
    """Whether one of these processes holds a listening socket on the TCP port."""
    raise NotImplementedError


def set_subreaper() -> None:
    """Become the parent of all orphaned descendants (prctl(2), PR_SET_CHILD_SUBREAPER). Raises OSError."""
    raise NotImplementedError
