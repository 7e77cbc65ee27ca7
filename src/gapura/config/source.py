"""The files of a configuration: read, parsed, merged, and the place of everything in them."""

from __future__ import annotations

import errno
import os
import re
import stat
import tomllib
from collections.abc import Mapping
from typing import Any, Final

from ..errors import ConfigError, Problem
from .place import conf_d
from .positions import Path, Positions, Span
from .syntax import syntax_problems
from .words import shown, shown_line

LARGEST: Final = 1 << 20
"""No configuration is larger, in bytes."""
LONGEST_LINE: Final = 1 << 16
"""No line is longer, in characters: bounds what a parser may spend on one."""
_DEEP_KEY: Final = re.compile(r"(?<![\w\"'-])(?:[\w\"'-]++[ \t]*+\.[ \t]*+){64}")
"""tomllib needs time in the square of a key's parts, so keys with many are refused before it sees them."""


class Source:
    """One file: its text, whose it was when it was read, what tomllib made of it, its positions (found when first asked for)."""

    def __init__(self, file: str, text: str, facts: os.stat_result, data: dict[str, Any]) -> None:
        self.file = file
        self.text = text
        self.facts = facts
        self.data = data
        self.lines = text.split("\n")
        self._positions: Positions | None = None

    def span(self, path: Path, at_key: bool) -> Span | None:
        """Where the key (or value) at `path` stands."""
        if self._positions is None:
            self._positions = Positions(self.text)
        return self._positions.key(path) if at_key else self._positions.value(path)


def read_text(file: str) -> str:
    """The text of a file. Raises ConfigError."""
    return _read(file)[0]


def _read(file: str) -> tuple[str, os.stat_result]:
    """The text of a file, and whose it is. Raises ConfigError."""
    try:
        # O_NONBLOCK: a FIFO without a writer must not hang us; regular files do not care
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with open(descriptor, "rb") as stream:
            facts = os.fstat(descriptor)
            if not stat.S_ISREG(facts.st_mode):
                raise ConfigError([Problem("is a folder or a device, not a file", file, hint="name the file: -c gapura.toml")])
            raw = stream.read(LARGEST + 1)
    except (OSError, ValueError) as error:
        raise ConfigError([_unreadable(file, error)]) from None
    if len(raw) > LARGEST:
        raise ConfigError([Problem(f"is larger than {LARGEST >> 20} MiB: that is no configuration", file)])
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        column = error.start - (raw.rfind(b"\n", 0, error.start) + 1) + 1
        shown = raw.split(b"\n")[line - 1].decode("utf-8", "replace")
        hint = "save the file as UTF-8"
        raise ConfigError([Problem("a byte that is not UTF-8", file, line, column, shown_line(shown, column), hint)]) from None
    return _checked(file, text), facts


def _given(file: str, text: str) -> tuple[str, os.stat_result]:
    """A text that stands for the content of a file that is there. Raises ConfigError."""
    if len(text.encode("utf-8", "replace")) > LARGEST:
        raise ConfigError([Problem(f"is larger than {LARGEST >> 20} MiB: that is no configuration", file)])
    try:
        text.encode()
        return _checked(file, text.removeprefix("\ufeff")), os.stat(file)
    except UnicodeEncodeError:
        raise ConfigError([Problem("a character that UTF-8 does not know", file)]) from None
    except OSError as error:
        raise ConfigError([_unreadable(file, error)]) from None


def _checked(file: str, text: str) -> str:
    """A text with which no parser needs long, its lines ended in one way. Raises ConfigError."""
    for number, content in enumerate(text.split("\n"), 1):
        if len(content) > LONGEST_LINE:
            raise ConfigError([Problem(f"the line has more than {LONGEST_LINE} characters", file, number)])
        if _DEEP_KEY.search(content):
            raise ConfigError([Problem("a name with more than 64 parts between dots", file, number)])
    return text.replace("\r\n", "\n")


def _unreadable(file: str, error: Exception) -> Problem:
    code = error.errno if isinstance(error, OSError) else None
    if code == errno.ENOENT:
        return Problem("there is no such file", file, hint="write one (see `gapura schema` for editors), or name another: -c FILE")
    if code == errno.EACCES:
        return Problem("may not be read by you", file, hint="change its rights (chmod), or run as its owner")
    if code == errno.EISDIR:
        return Problem("is a folder, not a file", file, hint=f"did you mean {os.path.join(file, 'gapura.toml')}?")
    if isinstance(error, OSError) and error.strerror:
        return Problem(f"cannot be read: {error.strerror}", file)
    return Problem("cannot be read: not a file name", file.encode("unicode_escape").decode("ascii"))


def read_source(file: str, given: str | None = None) -> Source:
    """Read and parse one file; `given` stands for its content. Raises ConfigError with the place of what is wrong."""
    text, facts = _read(file) if given is None else _given(file, given)
    try:
        return Source(file, text, facts, tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(syntax_problems(file, text, str(error))) from None
    except RecursionError:
        raise ConfigError([Problem("brackets or keys are nested too deep", file)]) from None
    except ValueError:  # int() refuses more than 4,300 digits
        line = next((n for n, content in enumerate(text.split("\n"), 1) if re.search(r"[0-9_]{4000}", content)), 0)
        raise ConfigError([Problem("a number has too many digits", file, line)]) from None


class Sources:
    """The main file and, for the system's one, those of conf.d: merged into `data`. `texts` stand for the content of files."""

    def __init__(self, file: str, texts: Mapping[str, str] | None = None) -> None:
        self.file = os.path.abspath(file)
        self._texts = texts or {}
        self.data: dict[str, Any] = {}
        self.problems: list[Problem] = []
        self._owners: dict[Path, Source] = {}
        self.leftovers: list[str] = []
        self.all: list[Source] = []
        self.broken = False
        self._read()

    def _read(self) -> None:
        more, self.leftovers = conf_d(self.file)
        for file in [self.file, *more]:
            try:
                source = read_source(file, self._texts.get(file))
            except ConfigError as error:
                self.problems += error.problems
                self.broken = True
                continue
            self.all.append(source)
            self._merge(source)

    def _merge(self, source: Source) -> None:
        for name, value in source.data.items():
            self._owners.setdefault((name,), source)
            known = self.data.setdefault(name, {} if isinstance(value, dict) else value)
            if not (isinstance(known, dict) and isinstance(value, dict)):
                continue
            for key, item in value.items():
                if key in known:
                    message = f'"{shown(key)}" is in {self._owners[name, key].file} as well'
                    self.problems.append(self.problem((name, key), message, "keep one of them", source=source, at_key=True))
                else:
                    known[key] = item
                    self._owners[name, key] = source

    def problem(
        self, path: Path, message: str, hint: str = "", *, at_key: bool = False, warning: bool = False, source: Source | None = None
    ) -> Problem:
        """A problem with the place of `path` in the file that it came from."""
        source = source or self._owners.get(path[:2]) or self._owners.get(path[:1])
        if source is None:
            return Problem(message, self.file, hint=hint, warning=warning)
        span = source.span(path, at_key)
        if span is None:
            return Problem(message, source.file, hint=hint, warning=warning)
        line, column, width = span
        text = shown_line(source.lines[line - 1], column)
        return Problem(message, source.file, line, column, text, hint, max(1, min(width, len(text) - column + 1)), warning)
