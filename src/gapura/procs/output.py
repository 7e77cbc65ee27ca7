"""The output of one instance: a named pipe that outlives the master, and log files with time stamps that rotate."""

from __future__ import annotations


class Output:
    """Reads what an instance prints and keeps it.

    `<pipes>/<name>.out` and `<name>.in` are named pipes, the log is `<logs>/<name>.log` with `.1` … `.<files>` behind it,
    each of about `size` bytes (0 = never rotated). Raises OSError when the pipes cannot be made. Never raises for the log.
    """

    def __init__(self, name: str, pipes: str, logs: str, size: int, files: int) -> None:
        raise NotImplementedError

    @property
    def stdin_fd(self) -> int:
        """A fresh descriptor for the child's standard input; ours until the next call or `close`."""
        raise NotImplementedError

    @property
    def output_fd(self) -> int:
        """A fresh blocking descriptor for the child's standard output and error; ours until the next call or `close`."""
        raise NotImplementedError

    def fileno(self) -> int:
        """What to watch for reading."""
        raise NotImplementedError

    def read(self, now: float) -> int:
        """Write down what the instance has printed, a bounded amount per call; number of bytes read, 0 = nothing there.

        `now` is CLOCK_MONOTONIC in seconds; the stamps are local wall time.
        """
        raise NotImplementedError

    def note(self, text: str) -> None:
        """Write a line of Gapura's own into the log ("ended with status 1"), behind a line left unfinished."""
        raise NotImplementedError

    def tail(self) -> list[str]:
        """The last 50 lines that the instance printed, without stamps."""
        raise NotImplementedError

    def reopen(self) -> None:
        """Open the log anew, after rotation by somebody else (USR1)."""
        raise NotImplementedError

    def close(self, remove: bool) -> None:
        """Close everything. `remove`: write down the rest and delete the named pipes; else another process may go on."""
        raise NotImplementedError
