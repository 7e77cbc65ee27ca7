"""The output of one instance: a named pipe that outlives the master, and log files with time stamps that rotate.

The log file itself is the memory: what arrives is written at once, an unfinished line included. Whoever opens the output
next (a new master after kill -9) sees from the file's last byte whether a line is to be continued.
"""

from __future__ import annotations

import fcntl
import io
import os
import stat
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from gapura.log import open_log

PIPE_SIZE: Final = 1 << 20
"""Bytes that an instance may be ahead of us (F_SETPIPE_SZ); without the right to it the kernel's 64 KB."""
LINE_LENGTH: Final = 1 << 16
"""Longer lines are split."""
TAIL: Final = 50
"""Lines kept in memory for the cause of a crash."""

_CHUNK: Final = 1 << 16
_CHUNKS: Final = 4
_OURS: Final = b"gapura: "
_RETRY: Final = 1.0
"""Seconds between attempts to open a log that cannot be opened."""


class Output:
    """Reads what an instance prints and keeps it.

    `<pipes>/<name>.out` and `<name>.in` are named pipes, the log is `<logs>/<name>.log` with `.1` … `.<files>` behind it,
    each of about `size` bytes (0 = never rotated). Made with what another one has `lent`, which becomes its own, it opens
    nothing by name: for a process that may not. `reopened` is called whenever there is something else to lend. Raises OSError
    when the pipes cannot be made. Never raises for the log: lines that cannot be written are counted, and the log says so once
    it can be written again.
    """

    __slots__ = (
        *("path", "_pipes", "_limit", "_files", "_clock"),
        *("_in", "_out", "_child_in", "_child_out"),
        *("reopened", "_given", "_log", "_retry_at", "_size", "_rotate_at", "_column", "_lost", "_reason"),
        *("_tail", "_partial", "_second", "_second_text"),
    )

    def __init__(
        self,
        name: str,
        pipes: str,
        logs: str,
        size: int,
        files: int,
        clock: Callable[[], float] = time.time,
        lent: tuple[int, int] | None = None,
    ) -> None:
        self.reopened: Callable[[], None] = lambda: None
        self.path = os.path.join(logs, f"{name}.log")
        self._pipes = paths_of_pipes(name, pipes)
        self._limit = size
        self._files = files
        self._clock = clock  # seconds of wall time, for the stamps
        self._child_in = self._child_out = -1
        self._log = -1
        self._retry_at = 0.0
        self._size = 0  # of the log
        self._rotate_at = size
        self._column = 0  # bytes of the log's unfinished line
        self._lost = 0  # lines not written
        self._reason = ""
        self._tail: deque[str] = deque(maxlen=TAIL)
        self._partial = b""  # the unfinished line as printed
        self._second, self._second_text = -1, b""
        self._given = -1  # the log, if it was lent
        if lent:
            self._in, (self._out, self._given) = -1, lent
        else:
            self._open_pipes(pipes)
        self._open_log()
        self._remember()

    def _open_pipes(self, folder: str) -> None:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        self._in = _open_pipe(self._pipes[0])
        try:
            self._out = _open_pipe(self._pipes[1])
        except OSError:
            os.close(self._in)
            raise
        try:
            fcntl.fcntl(self._out, fcntl.F_SETPIPE_SZ, PIPE_SIZE)
        except OSError:
            pass  # the user's share of pipe memory is used up (/proc/sys/fs/pipe-user-pages-soft)

    @property
    def lent(self) -> tuple[int, ...]:
        """The pipe and the log, for another process to go on with; nothing as long as the log cannot be opened."""
        return (self._out, self._log) if self._log >= 0 else ()

    @property
    def stdin_fd(self) -> int:
        """A fresh descriptor for the child's standard input; ours until the next call or `close`.

        Open for writing as well, so that the child never reads an end of file, whoever else dies.
        """
        self._child_in = _again(self._in, self._child_in)
        return self._child_in

    @property
    def output_fd(self) -> int:
        """A fresh blocking descriptor for the child's standard output and error; ours until the next call or `close`.

        Open for reading as well, so that the child never gets EPIPE. Fresh, because a child may set O_NONBLOCK on its
        descriptor, which holds for all that share it.
        """
        self._child_out = _again(self._out, self._child_out)
        return self._child_out

    def fileno(self) -> int:
        """What to watch for reading."""
        return self._out

    def read(self, now: float) -> int:
        """Write down what the instance has printed, at most 256 KB per call; number of bytes read, 0 = nothing there.

        `now` is CLOCK_MONOTONIC in seconds; the stamps are local wall time.
        """
        if self._log < 0 and now >= self._retry_at:
            self._retry_at = now + _RETRY
            self._open_log()
        count = 0
        for _ in range(_CHUNKS):
            try:
                data = os.read(self._out, _CHUNK)
            except (BlockingIOError, InterruptedError):
                break
            count += len(data)
            self._keep(data)
            self._write(data)
            if len(data) < _CHUNK:
                break
        return count

    def note(self, text: str) -> None:
        """Write a line of Gapura's own into the log ("ended with status 1"), behind a line left unfinished."""
        if self._partial:
            self._keep(b"\n")
        end = b"\n" if self._column and not self._lost else b""
        self._append(end + self._stamp() + _OURS + text.encode("utf-8", "backslashreplace") + b"\n")

    def tail(self) -> list[str]:
        """The last 50 lines that the instance printed, without stamps."""
        unfinished = [_text(self._partial)] if self._partial else []
        return [*self._tail, *unfinished][-TAIL:]

    def reopen(self) -> None:
        """Open the log anew, after rotation by somebody else (USR1)."""
        if self._log >= 0:
            os.close(self._log)
            self._log = -1
        self._open_log()

    def close(self, remove: bool) -> None:
        """Close everything. `remove`: write down the rest and delete the named pipes; else another process may go on."""
        if self._out < 0:
            return
        if remove:
            for _ in range(PIPE_SIZE // _CHUNK):
                if not self.read(0.0):
                    break
            delete_pipes(*self._pipes)
        for fd in (self._in, self._out, self._child_in, self._child_out, self._log, self._given):
            if fd >= 0:
                os.close(fd)
        self._in = self._out = self._child_in = self._child_out = self._log = self._given = -1

    def _keep(self, data: bytes) -> None:
        """Remember the last lines."""
        lines = (self._partial + data).split(b"\n")
        self._partial = lines.pop()[-LINE_LENGTH:]
        self._tail.extend(map(_text, lines[-TAIL:]))

    def _write(self, data: bytes) -> None:
        """Write to the log: a stamp before each line, long lines split, rotation between two lines."""
        stamp = self._stamp()
        column = 0 if self._lost else self._column
        out = bytearray()
        source = io.BytesIO(data)
        while part := source.readline(LINE_LENGTH - column):
            if not column:
                if self._limit and self._size + len(out) >= self._rotate_at:
                    self._append(out)
                    out = bytearray()
                    self._rotate()
                out += stamp
                column = len(stamp)
            out += part
            column += len(part)
            if column >= LINE_LENGTH and not part.endswith(b"\n"):
                out += b"\n"
            if out.endswith(b"\n"):
                column = 0
        self._append(out)

    def _append(self, data: bytes | bytearray) -> None:
        """Write to the log; count the lines that cannot be written, and say so before the next ones that can."""
        note = b""
        if self._lost:
            end = "\n" if self._column else ""
            text = f"{self._lost} lines could not be written: {self._reason}\n"
            note = end.encode() + self._stamp() + _OURS + text.encode("utf-8", "replace")
        payload = note + data
        written = self._put(payload)
        start = payload.rfind(b"\n", 0, written) + 1
        self._column = written - start + (0 if start else self._column)
        if written >= len(note):
            self._lost = 0
        if written < len(payload):
            self._lost += max(1, payload.count(b"\n", max(written, len(note))))

    def _put(self, payload: bytes) -> int:
        """Bytes written to the log: all, or fewer when it cannot take more (`_reason` says why)."""
        written = 0
        try:
            while self._log >= 0 and written < len(payload):
                written += os.write(self._log, payload[written:] if written else payload)
        except OSError as error:
            self._reason = os.strerror(error.errno or 0)
        self._size += written
        return written

    def _rotate(self) -> None:
        """name.log -> .1 -> .2 … -> .<files>, the oldest is forgotten."""
        try:
            for number in range(self._files, 0, -1):
                older = f"{self.path}.{number}"
                newer = f"{self.path}.{number - 1}" if number > 1 else self.path
                if os.path.lexists(newer):
                    os.replace(newer, older)
            if not self._files:
                os.unlink(self.path)
        except OSError:
            self._rotate_at = self._size + self._limit  # a folder that cannot be written: go on in this file
            return
        self.reopen()

    def _open_log(self) -> None:
        """Open the log, and see from its end whether a line of it is unfinished."""
        try:
            self._log = open_log(self.path, readable=True) if self._given < 0 else os.dup(self._given)
            self._size = os.fstat(self._log).st_size
        except OSError as error:
            self._reason = os.strerror(error.errno or 0)
            return
        self._rotate_at = self._limit
        self._column = len(_end_of(self._log).rpartition(b"\n")[2])
        self.reopened()

    def _remember(self) -> None:
        """Fill the tail from the log that an earlier master wrote."""
        *lines, unfinished = _end_of(self._log).split(b"\n")
        width = len(self._stamp())
        self._tail.extend(_text(line[width:]) for line in lines[-TAIL:] if not line.startswith(_OURS, width))
        self._partial = unfinished[width:]

    def _stamp(self) -> bytes:
        """`2026-11-22T14:03:07.123 `"""
        second, fraction = divmod(self._clock(), 1.0)
        if second != self._second:
            self._second = int(second)
            self._second_text = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(second)).encode()
        return b"%s.%03d " % (self._second_text, int(fraction * 1000))


def paths_of_pipes(name: str, pipes: str) -> tuple[str, str]:
    """The named pipes of an instance's standard input and output."""
    return os.path.join(pipes, f"{name}.in"), os.path.join(pipes, f"{name}.out")


def delete_pipes(*paths: str) -> None:
    """Take named pipes their names; who has them open goes on."""
    for path in paths:
        try:
            os.unlink(path)
        except FileNotFoundError:
            pass


def _open_pipe(path: str) -> int:
    """Our side of a named pipe, made when it is not there. Raises OSError."""
    try:
        if not stat.S_ISFIFO(os.lstat(path).st_mode):
            os.unlink(path)
    except FileNotFoundError:
        pass
    try:
        os.mkfifo(path, 0o600)
    except FileExistsError:
        pass
    return os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)


def _again(ours: int, old: int) -> int:
    """The child's side of a pipe, blocking, in place of an older one; even when the pipe has lost its name."""
    fresh = os.open(f"/proc/self/fd/{ours}", os.O_RDWR | os.O_CLOEXEC)
    if old >= 0:
        os.close(old)
    return fresh


def _end_of(log: int) -> bytes:
    """The last bytes of a log, enough for its last line; nothing when there is no log."""
    try:
        return os.pread(log, LINE_LENGTH, max(0, os.fstat(log).st_size - LINE_LENGTH))
    except OSError:
        return b""


def _text(line: bytes) -> str:
    return line.rstrip(b"\r").decode("utf-8", "replace")
