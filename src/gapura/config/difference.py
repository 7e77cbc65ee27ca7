"""How the text of a configuration differs from the one in use, as `diff -u` says it. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Mapping


def difference(before: Mapping[str, str], after: Mapping[str, str]) -> str:
    """A unified diff over all files, "" when there is none. A file that is in one of them only is compared with nothing."""
    parts = []
    for file in dict.fromkeys((*before, *after)):
        one, other = before.get(file, ""), after.get(file, "")
        if one != other:
            lines = difflib.unified_diff(_lines(one), _lines(other), f"{file} (running)", f"{file}", n=3)
            parts.append("".join(lines))
    return "".join(parts)


def _lines(text: str) -> list[str]:
    """Lines with their ends; a last one without is marked as `diff` marks it."""
    *lines, rest = text.split("\n")
    return [line + "\n" for line in lines] + ([f"{rest}\n\\ No newline at end of file\n"] if rest else [])
