"""The generation of the configuration as an entity tag: who changes something says which one was looked at (RFC 9110 §13.1.1)."""

from __future__ import annotations

import re
from typing import Final

from gapura.control.api.context import Context
from gapura.control.api.problem import Refusal

_TAG: Final = re.compile(r'"([0-9]{1,15})"', re.ASCII)


def tag(generation: int) -> str:
    """The `ETag` of a generation."""
    return f'"{generation}"'


def expected(context: Context, if_match: str | None, required: bool = False) -> int | None:
    """The generation that a change is meant for, None for any.

    Raises `Refusal` 428 when it must be said and is not, 412 when another one is served by now.
    """
    now = context.generation
    if if_match is None:
        if required:
            raise Refusal(428, "which configuration was looked at?", f"send If-Match with its ETag; it is {tag(now)} now")
        return None
    if if_match.strip() == "*":
        return None
    tags = [_TAG.fullmatch(item.strip()) for item in if_match.split(",")]
    if now not in [int(found[1]) for found in tags if found]:
        raise Refusal(412, "the configuration has changed since", f"look at it again; its ETag is {tag(now)} now")
    return now
