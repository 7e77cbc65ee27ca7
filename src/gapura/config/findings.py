"""All that is wrong with a configuration, collected with its places."""

from __future__ import annotations

from ..errors import ConfigError, Problem
from .positions import Path
from .source import Sources


class Findings:
    """Problems and warnings while a configuration is checked.

    What hangs on a part that is already known to be wrong is not reported: one mistake, one message.
    """

    def __init__(self, sources: Sources) -> None:
        self.sources = sources
        self.problems: list[Problem] = list(sources.problems)
        self.warnings: list[Problem] = []
        self._told: set[Problem] = set()
        self._faulty: set[Path] = set()
        self._around: set[Path] = set()

    def fault(self, path: Path, message: str, hint: str = "", *, at_key: bool = False) -> None:
        """A part that is wrong in itself; nothing more is said about it or what contains it."""
        self._faulty.add(path)
        self._around.update(path[:end] for end in range(len(path) + 1))
        self._add(self.sources.problem(path, message, hint, at_key=at_key))

    def error(self, path: Path, message: str, hint: str = "", *, at_key: bool = False) -> None:
        """A part that does not fit the others."""
        if not self.is_faulty(path):
            self._add(self.sources.problem(path, message, hint, at_key=at_key))

    def warn(self, path: Path, message: str, hint: str = "", *, at_key: bool = False) -> None:
        """Something that works but is probably not meant. What several routes have of their site is told once."""
        warning = self.sources.problem(path, message, hint, at_key=at_key, warning=True)
        if warning not in self.warnings:
            self.warnings.append(warning)

    def is_faulty(self, path: Path) -> bool:
        """Whether something at, in or around `path` is known to be wrong."""
        return path in self._around or any(path[:end] in self._faulty for end in range(len(path)))

    def close(self) -> None:
        """Raise ConfigError when there are problems, in the order of the files' lines."""
        if self.problems:
            order = {source.file: number for number, source in enumerate(self.sources.all)}
            raise ConfigError(sorted(self.problems, key=lambda p: (order.get(p.file, -1), p.line, p.column)))

    def _add(self, problem: Problem) -> None:
        if problem not in self._told:
            self._told.add(problem)
            self.problems.append(problem)
