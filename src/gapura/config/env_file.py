"""Files of environment variables: lines `NAME=value`."""

from __future__ import annotations

from ..errors import ConfigError, Problem
from .schema_app import VARIABLE
from .source import read_text
from .words import shown_line


def read_env_file(file: str) -> dict[str, str]:
    """The variables of a file: `NAME=value`, `export NAME=value`, quotes around a value, `#` comments. Raises ConfigError.

    Nothing is substituted: what stands in single or double quotes is taken as it is, but \\n and \\" in double quotes.
    """
    result: dict[str, str] = {}
    problems: list[Problem] = []
    for number, line in enumerate(read_text(file).split("\n"), 1):
        text = line.strip().removeprefix("export ").lstrip()
        if not text or text.startswith("#"):
            continue
        name, equals, value = text.partition("=")
        name = name.rstrip()
        if not equals or not VARIABLE.fullmatch(name):
            problems.append(Problem("this is no NAME=value", file, number, 1, shown_line(line, 1), "one variable on each line"))
        elif "\0" in value:
            problems.append(Problem(f"{name} has a NUL character", file, number))
        else:
            result[name] = _unquoted(value.strip())
    if problems:
        raise ConfigError(problems)
    return result


def _unquoted(value: str) -> str:
    if len(value) > 1 and value[0] == value[-1] == '"':
        return value[1:-1].replace("\\n", "\n").replace('\\"', '"').replace("\\\\", "\\")
    if len(value) > 1 and value[0] == value[-1] == "'":
        return value[1:-1]
    return value.partition(" #")[0].rstrip()
