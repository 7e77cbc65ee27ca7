"""Durations and sizes as people write them, and as seconds and bytes."""

from __future__ import annotations

import math
import re
from typing import Annotated, Final

from pydantic import BeforeValidator, WithJsonSchema

from .words import shown, wrong

LONGEST: Final = 366 * 86400.0
"""Longest duration that makes sense here, in seconds."""
LARGEST: Final = 1 << 50
"""Largest size that makes sense here, in bytes."""

_SECONDS: Final = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_BYTES: Final = {"": 1, "b": 1, "k": 1024, "kb": 1024, "kib": 1024, "m": 1 << 20, "mb": 1 << 20, "mib": 1 << 20}
_BYTES_LARGE: Final = {"g": 1 << 30, "gb": 1 << 30, "gib": 1 << 30}
_QUANTITY: Final = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,9})?) ?([A-Za-z]{0,3})", re.ASCII)

_DURATION_HINT: Final = 'write seconds, or "500ms", "10s", "1m", "2h"'
_SIZE_HINT: Final = 'write bytes, or "500k", "10M", "1MiB", "1G"'


def seconds(value: object) -> float:
    """`10`, `0.5`, `"10s"`, `"500ms"`, `"1m"`, `"2h"`, `"1d"` in seconds. Raises PydanticCustomError."""
    if isinstance(value, str):
        match = _QUANTITY.fullmatch(value)
        unit = _SECONDS.get(match[2].lower()) if match else None
        if match is None or unit is None:
            raise wrong(f'"{shown(value)}" is not a duration', _DURATION_HINT)
        result = float(match[1]) * unit
    elif isinstance(value, int | float) and not isinstance(value, bool):
        result = float(value) if abs(value) <= LONGEST else math.inf
    else:
        raise wrong("a duration is a number of seconds or a text", _DURATION_HINT)
    if result < 0:
        raise wrong(f"a duration cannot be negative: {shown(value)}", _DURATION_HINT)
    if not result <= LONGEST:
        raise wrong("a duration is at most a year", _DURATION_HINT)
    return result


def positive_seconds(value: object) -> float:
    """Like `seconds`, but 0 is refused: a wait of no time would fail everything."""
    result = seconds(value)
    if result == 0:
        raise wrong("must be longer than 0", _DURATION_HINT)
    return result


def size(value: object) -> int:
    """`1048576`, `"500k"`, `"10M"`, `"1MiB"`, `"1.5G"` in bytes; units are powers of 1024, as in nginx and pm2.

    Raises PydanticCustomError."""
    if isinstance(value, str):
        match = _QUANTITY.fullmatch(value)
        unit = (_BYTES | _BYTES_LARGE).get(match[2].lower()) if match else None
        if match is None or unit is None:
            raise wrong(f'"{shown(value)}" is not a size', _SIZE_HINT)
        result = round(float(match[1]) * unit)
    elif isinstance(value, int) and not isinstance(value, bool):
        result = value
    else:
        raise wrong("a size is a number of bytes or a text", _SIZE_HINT)
    if result < 0:
        raise wrong("a size cannot be negative", _SIZE_HINT)
    if result > LARGEST:
        raise wrong("a size is at most 1024 TiB", _SIZE_HINT)
    return result


def positive_size(value: object) -> int:
    """Like `size`, but 0 is refused."""
    result = size(value)
    if result == 0:
        raise wrong("must be more than 0", _SIZE_HINT)
    return result


def size_or_none(value: object) -> int:
    """Like `size`; "none" says 0, which means no limit."""
    return 0 if value == "none" else size(value)


_DURATION_SCHEMA: Final = {
    "anyOf": [
        {"type": "number", "minimum": 0, "maximum": LONGEST},
        {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)? ?(ms|s|m|min|h|d)?$"},
    ]
}
_SIZE_PATTERN: Final = r"^[0-9]+(\.[0-9]+)? ?([kKmMgG]([iI]?[bB])?|[bB])?$"
_SIZE_SCHEMA: Final = {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": _SIZE_PATTERN}]}
_LIMIT_SCHEMA: Final = {"anyOf": [*_SIZE_SCHEMA["anyOf"], {"const": "none"}]}

Seconds = Annotated[float, BeforeValidator(seconds), WithJsonSchema(_DURATION_SCHEMA)]
PositiveSeconds = Annotated[float, BeforeValidator(positive_seconds), WithJsonSchema(_DURATION_SCHEMA)]
Bytes = Annotated[int, BeforeValidator(size), WithJsonSchema(_SIZE_SCHEMA)]
PositiveBytes = Annotated[int, BeforeValidator(positive_size), WithJsonSchema(_SIZE_SCHEMA)]
BytesOrNone = Annotated[int, BeforeValidator(size_or_none), WithJsonSchema(_LIMIT_SCHEMA)]
