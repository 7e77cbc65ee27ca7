"""The exception tree, sorted by whose fault it is.

* `ConfigError`  – the user's file: carries every problem found, each with file, line and column.
* `ClientError`  – the client's request: carries the HTTP status that answers it.
* `ServerError`  – the server behind: carries the status (502 or 504) and whether the request may be tried again.
* `CommandError` – a command that cannot be carried out: says what to do and the process' exit status.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

EXIT_FAILURE = 1
EXIT_USAGE = 2
EXIT_CONFIG = 78
"""`EX_CONFIG` of sysexits(3): the configuration is wrong."""


class GapuraError(Exception):
    """Everything that Gapura raises on purpose."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong in a configuration file.

    `line` and `column` count from 1; 0 means unknown. `text` is the source line itself, `hint` what to do about it,
    `width` how many characters the caret underlines.
    """

    message: str
    file: str = ""
    line: int = 0
    column: int = 0
    text: str = ""
    hint: str = ""
    width: int = 1
    warning: bool = False

    def as_dict(self) -> dict[str, object]:
        """A plain dictionary, as it travels between processes."""
        return asdict(self)

    def render(self) -> str:
        """`file:line:column: message`, the line, a caret, the hint."""
        place = self.file
        if self.line:
            place += f":{self.line}"
            if self.column:
                place += f":{self.column}"
        kind = "warning: " if self.warning else ""
        out = [f"{place}: {kind}{self.message}" if place else f"{kind}{self.message}"]
        if self.text:
            out.append(f"    {self.text}")
            if self.column:
                out.append("    " + " " * (self.column - 1) + "^" * max(1, self.width))
        if self.hint:
            out.append(f"    {self.hint}")
        return "\n".join(out)


class ConfigError(GapuraError):
    """The configuration cannot be used. `problems` holds all that was found, not only the first."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(problem.render() for problem in problems))
        self.problems = problems


@dataclass(slots=True)
class CommandError(GapuraError):
    """A command that cannot be carried out. `code` tells programs why: "conflict" (it goes by what is no longer so), "forbidden",
    "missing" (there is none of that name), or "" for the rest.
    """

    message: str
    hint: str = ""
    exit_status: int = EXIT_FAILURE
    problems: list[Problem] = field(default_factory=list)
    code: str = ""

    def __str__(self) -> str:
        return self.message


class ClientError(GapuraError):
    """The client's request is refused; the connection is closed after the answer.

    `status` is the HTTP status (RFC 9110 §15), `reason` a plain sentence for the error page.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class ServerError(GapuraError):
    """The server behind failed. `status` is 502 or 504 (RFC 9110 §15.6)."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
