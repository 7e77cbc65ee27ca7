"""What is wrong with a file that is no TOML, in plain words and at the right place."""

from __future__ import annotations

import re
import tomllib
from typing import Final

from ..errors import Problem
from .words import shown, shown_line

_PLACE: Final = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")
_ASSIGNMENT: Final = re.compile(r"\s*([A-Za-z0-9_.\"'-]+)\s*=\s*(.*?)[\s;]*$")
_NGINX: Final = re.compile(r"\s*(server|upstream|location|http|events|listen|server_name|proxy_pass|root)\b[^=]*[;{]?\s*$")

# what tomllib's message begins with: what is said instead, and what to do
_WORDS: Final = (
    ("Invalid value", "the value is missing or is not in quotes", 'texts stand in quotes: key = "text"'),
    ("Expected newline", "something stands behind the value", "one key = value on each line"),
    ("Expected '=' after a key", "there is no = after the key", 'write key = "value"'),
    ("Expected ']' at the end of a table", "the ] of the table's name is missing", 'write [apps.NAME] or [sites."HOST"]'),
    ("Expected ']]' at the end of an array", "the ]] of the table's name is missing", 'write [[sites."HOST".routes]]'),
    ("Unclosed array", "the list is not closed, or a comma is missing", "close it with ]"),
    ("Unclosed inline table", "the table is not closed, or a comma is missing", "close it with } on the same line"),
    ("Unterminated string", "a text is not closed", 'close it with " on the same line'),
    ("Illegal character '\\n'", "a text is not closed", 'close it with " on the same line'),
    ("Duplicate inline table key", "the key is written twice", "keep one of them"),
    ("Cannot overwrite", "the key is written twice", "keep one of them"),
    ("Cannot declare", "the table is written twice", "put all its keys into one"),
    ("Cannot mutate", "the table is already complete", "put all its keys into one"),
    ("Cannot redefine", "the table is already complete", "put all its keys into one"),
    ("Invalid initial character for a key", "this is no key", "a line is key = value or [table]"),
    ("Invalid statement", "this is no key", "a line is key = value or [table]"),
    ("Unescaped", "a \\ in a text", "write \\\\, or use 'single quotes'"),
    ("Illegal character", "a control character", "remove it"),
    ("Found invalid character", "a control character", "remove it"),
    ("Invalid hex value", "a wrong \\u in a text", "write \\u and four hexadecimal digits"),
    ("Escaped character", "a wrong \\u in a text", "write \\u and the digits of a character"),
    ("Invalid date", "this date does not exist", 'texts stand in quotes: key = "text"'),
)
MOST: Final = 20
"""So many mistakes are told at once."""
_SETTING: Final = re.compile(r"""\s*[A-Za-z0-9_.-]+\s*[=:]\s*(?:[^\[\]{}"']|"[^"]+"|'[^']+')*$""")
_AT_STATEMENT: Final = ("Cannot ", "Duplicate ")


def syntax_problems(file: str, text: str, message: str) -> list[Problem]:
    """The problem behind tomllib's `message`, and what is wrong besides in lines that stand for themselves."""
    problems = [_problem(file, text, message)]
    while len(problems) < MOST:
        lines = text.split("\n")
        number, column = problems[-1].line, problems[-1].column
        content = lines[number - 1]
        if not _SETTING.match(content) or column <= len(content) - len(content.lstrip()) + 1:
            break  # it may go on in other lines: what is said of these would follow from it
        lines[number - 1] = ""
        text = "\n".join(lines)
        try:
            tomllib.loads(text)
            break
        except tomllib.TOMLDecodeError as error:
            problems.append(_problem(file, text, str(error)))
        except (RecursionError, ValueError):
            break
    return problems


def _problem(file: str, text: str, message: str) -> Problem:
    lines = text.split("\n")
    match = _PLACE.search(message)
    plain = message[: match.start()] if match else message
    if match and match[1]:
        line, column = int(match[1]), int(match[2])
    else:
        line = max((number for number, content in enumerate(lines, 1) if content.strip()), default=1)
        column = len(lines[line - 1].rstrip()) + 1
    if column == 1 and plain.startswith("Unterminated") and line > 1:
        line, column = line - 1, len(lines[line - 2]) + 1
    content = lines[line - 1] if line <= len(lines) else ""
    width = 1
    if plain.startswith(_AT_STATEMENT):
        statement = content.partition("=")[0].rstrip() if not content.lstrip().startswith("[") else content.rstrip()
        column = len(statement) - len(statement.lstrip()) + 1
        width = max(1, len(statement) - column + 1)
    said, hint = next(((said, hint) for begin, said, hint in _WORDS if plain.startswith(begin)), (plain, ""))
    said, hint = _closer(plain, content, column, said, hint)
    column = min(column, len(content) + 1)
    return Problem(shown(said), file, line, column, shown_line(content, column), shown(hint, 200), width)


def _closer(plain: str, content: str, column: int, said: str, hint: str) -> tuple[str, str]:
    """Better words for mistakes that people who know nginx make, and for texts without quotes."""
    assignment = _ASSIGNMENT.match(content)
    rest = content[column - 1 :].strip()
    if plain.startswith("Invalid value") and assignment and re.fullmatch(r"[^\s\"'\[\]{},=#]+", assignment[2]):
        value = assignment[2]
        if value.lower() in ("true", "false"):
            return said, f"write {assignment[1]} = {value.lower()}"
        return "the value is not in quotes", f'write {assignment[1]} = "{shown(value)}"'
    if plain.startswith("Invalid value") and (content.lstrip().startswith("[") or content.rstrip().endswith(("[", ","))):
        return "a list above is not closed" if content.lstrip().startswith("[") else "the list is not closed", "close it with ]"
    if plain.startswith("Invalid initial") and content.rstrip().endswith((",", "{")):
        return "a table in { } goes on in the next line", "write it on one line"
    if plain.startswith("Expected newline") and rest.startswith(";"):
        return "a ; at the end of the line", "lines end without one"
    if plain.startswith("Expected newline") and assignment and rest:
        return said, f'one key = value on each line; texts stand in quotes: {assignment[1]} = "…"'
    if plain.startswith(("Expected '='", "Invalid statement", "Invalid initial")) and _NGINX.match(content):
        return said, 'this looks like nginx: here a line is key = "value" or [table]'
    return said, hint
