"""Regular expressions of the configuration: Python's syntax on bytes, with nginx's `(?<name>…)` beside `(?P<name>…)`.

They see what visitors send, so that they are checked here: whether they can be read, and whether a visitor could make one run
for ever.
"""

from __future__ import annotations

import importlib
import re
import warnings
from collections.abc import Iterable
from typing import Any, Final

MAX_LENGTH: Final = 1000
"""Characters of one expression."""

_NAMED: Final = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\(\?<(?=[A-Za-z_])", re.ASCII | re.DOTALL)
_EVERY: Final = frozenset(range(256))


def translated(text: str) -> str:
    """nginx's (PCRE's) `(?<name>` as Python writes it."""
    return _NAMED.sub(lambda match: "(?P<" if match[0] == "(?<" else match[0], text)


def compiled(text: str) -> re.Pattern[bytes]:
    """The expression for bytes. Raises re.error, and ValueError for what is no ASCII or too long."""
    if len(text) > MAX_LENGTH:
        raise ValueError(f"the regex is longer than {MAX_LENGTH} characters")
    if not text.isascii():
        raise ValueError("the regex has letters beyond ASCII")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what Python may read otherwise one day is no news for the visitors
        try:
            return re.compile(translated(text).encode(), re.DOTALL)  # a line end in a path is a byte like others
        except (OverflowError, RecursionError):
            raise ValueError("the regex asks for too much") from None


def nested(text: str) -> bool:
    """Whether a repeat stands within a repeat so that the same text fits in very many ways, as in `(a+)+` (CWE-1333).

    It finds the usual ones, not all of them.
    """
    parser: Any = importlib.import_module("re._parser")  # there is no public way to look into an expression
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _nested(parser.parse(translated(text).encode()))


def _nested(tree: Iterable[tuple[Any, Any]]) -> bool:
    for op, value in tree:
        kind = str(op)
        if kind in ("MAX_REPEAT", "MIN_REPEAT"):
            if value[1] > 32 and any(_ambiguous(list(branch)) for branch in _branches(value[2])):
                return True
            if _nested(value[2]):
                return True
        elif kind == "SUBPATTERN":
            if _nested(value[3]):
                return True
        elif kind == "BRANCH" and any(_nested(branch) for branch in value[1]):
            return True
    return False


def _branches(tree: Iterable[tuple[Any, Any]]) -> list[Any]:
    """The alternatives of a repeated part, without the groups around them."""
    items = list(tree)
    if len(items) == 1:
        op, value = items[0]
        if str(op) == "SUBPATTERN":
            return _branches(value[3])
        if str(op) == "BRANCH":
            return [inner for branch in value[1] for inner in _branches(branch)]
    return [items]


def _ambiguous(items: list[tuple[Any, Any]]) -> bool:
    """A long repeat in it, and nothing beside that says where one turn ends and the next begins."""
    fixed: set[int] = set()
    repeated: list[frozenset[int]] = []
    for op, value in items:
        if str(op) in ("MAX_REPEAT", "MIN_REPEAT"):
            if value[1] > 32:
                repeated.append(_bytes_of(list(value[2])))
        else:
            fixed |= _bytes_of([(op, value)])
    return bool(repeated) and (not fixed or all(fixed & some == fixed for some in repeated))


def _bytes_of(items: list[tuple[Any, Any]]) -> frozenset[int]:
    """The bytes that a part may begin with, as far as that is easily said; else all."""
    found: set[int] = set()
    for op, value in items:
        kind = str(op)
        if kind == "LITERAL":
            found.add(value)
        elif kind == "NOT_LITERAL":
            found |= _EVERY - {value}
        elif kind == "IN":
            found |= _bytes_in(value)
        elif kind == "SUBPATTERN":
            found |= _bytes_of(list(value[3]))
        else:
            return _EVERY
    return frozenset(found)


def _bytes_in(members: list[tuple[Any, Any]]) -> frozenset[int]:
    found: set[int] = set()
    negated = False
    for op, value in members:
        kind = str(op)
        if kind == "NEGATE":
            negated = True
        elif kind == "LITERAL":
            found.add(value)
        elif kind == "RANGE":
            found.update(range(value[0], value[1] + 1))
        else:
            classes = {"CATEGORY_DIGIT": rb"\d", "CATEGORY_SPACE": rb"\s", "CATEGORY_WORD": rb"\w"}
            pattern = classes.get(str(value).replace("_NOT_", "_"), rb".")
            fits = {byte for byte in range(256) if re.match(pattern, bytes((byte,)))}
            found |= _EVERY - fits if "_NOT_" in str(value) else fits
    return frozenset(_EVERY - found if negated else found)
