"""Logging for people: one line, a time, who speaks, plain words."""

from __future__ import annotations

import logging
import os
import time


class _Lines(logging.Formatter):
    """`2026-11-22 14:03:07 master: text`; control characters cannot break a line (CWE-117)."""

    def __init__(self, who: str) -> None:
        super().__init__()
        self.who = who

    def format(self, record: logging.LogRecord) -> str:
        stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.created))
        level = "" if record.levelno <= logging.INFO else f"{record.levelname.lower()}: "
        text = record.getMessage()
        if record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        text = "\n    ".join(escape(line) for line in text.splitlines())
        return f"{stamp} {self.who}: {level}{text}"


def escape(text: str) -> str:
    """Printable text: control characters as \\xNN."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)


def open_log(path: str, readable: bool = False) -> int:
    """Open a log file for appending: mode 0640, through no symbolic link, waiting for no reader of a pipe. Raises OSError."""
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    flags = (os.O_RDWR if readable else os.O_WRONLY) | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NOCTTY
    return os.open(path, flags | os.O_NONBLOCK, 0o640)


class _Reopening(logging.Handler):
    """Writes to a path that can be opened anew (USR1); "-" is standard error. A full disk loses lines, not the process."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path
        self.fd = 2
        self.reopen()

    def reopen(self) -> None:
        if self.path != "-":
            try:
                fresh = open_log(self.path)
            except OSError:
                return
            if self.fd > 2:
                os.close(self.fd)
            self.fd = fresh

    def emit(self, record: logging.LogRecord) -> None:
        try:
            os.write(self.fd, self.format(record).encode("utf-8", "backslashreplace") + b"\n")
        except OSError:
            pass


def setup(who: str, path: str = "-") -> None:
    """Send this process' log to `path` ("-" = standard error)."""
    handler = _Reopening(path)
    handler.setFormatter(_Lines(who))
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
        if isinstance(old, _Reopening) and old.fd > 2:
            os.close(old.fd)
    root.addHandler(handler)
    root.setLevel(logging.INFO)


def reopen() -> None:
    """Open the log file anew, after rotation by somebody else."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, _Reopening):
            handler.reopen()
