"""How a wrong word is answered: a sentence for people, a hint, and the nearest right word."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Final

from pydantic_core import PydanticCustomError

SHOWN: Final = 160
"""So much of a line is shown in a message."""


def nearest(word: str, words: Iterable[str]) -> str:
    """The one of `words` that was probably meant, or ""."""
    by_lower = {item.lower(): item for item in words}
    found = difflib.get_close_matches(word.lower()[:100], by_lower, n=1, cutoff=0.6)
    return by_lower[found[0]] if found else ""


def did_you_mean(word: str, words: Iterable[str], *, label: str = "known") -> str:
    """A hint for a word that does not exist: the nearest one, or all of them when there are few."""
    known = sorted(words)
    if found := nearest(word, known):
        return f'did you mean "{found}"?'
    return f"{label}: {', '.join(known)}" if known else ""


def shown(value: object, limit: int = 60) -> str:
    """A value as it may stand in a message: one line, no control characters, not too long."""
    text = value if isinstance(value, str) else str(value)
    text = text if len(text) <= limit else text[: limit - 1] + "…"
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)


def shown_line(line: str, column: int) -> str:
    """A line as it is shown above a caret: one character for each, or "" when the place would be out of sight."""
    text = "".join(c if c.isprintable() else " " for c in line.rstrip("\r\n"))
    if len(text) <= SHOWN:
        return text.rstrip()
    return text[:SHOWN] + "…" if column <= SHOWN else ""


def wrong(message: str, hint: str = "") -> PydanticCustomError:
    """What a validator raises: a message that is complete as it stands, with a hint."""
    return PydanticCustomError("gapura", "{message}", {"message": message, "hint": hint})
