"""Range requests (RFC 9110 §14): which parts of a file are asked for, and how several of them are sent.

What would cost more than the whole file is answered with the whole file, as nginx does: more parts than MAX_RANGES, or parts that
overlap so much that they are longer together.
"""

from __future__ import annotations

import re
from typing import Final

MAX_RANGES: Final = 16
_SPEC: Final = re.compile(rb"([0-9]*)[ \t]*-[ \t]*([0-9]*)\Z")
_MAX_DIGITS: Final = 19
"""More than any file's size has; longer numbers are clamped without being computed."""

Range = tuple[int, int]
"""First byte and length."""


def parse(value: bytes, size: int) -> list[Range] | None:
    """The ranges of a Range field that a file of this size can satisfy.

    None: the field does not count, the whole file is the answer. An empty list: 416, also for what is no list of ranges (nginx).
    """
    unit, equals, specs = value.partition(b"=")
    if not equals or unit.strip(b" \t").lower() != b"bytes":
        return None
    if not size or not specs:
        return None  # nothing to choose from, or nothing asked for
    parts = specs.split(b",", 4 * MAX_RANGES + 1)
    if len(parts) > 4 * MAX_RANGES:
        return None
    found: list[Range] = []
    count = total = 0
    for part in parts:
        part = part.strip(b" \t")
        if not part:
            continue  # an empty element of a list counts for nothing (RFC 9110 §5.6.1)
        count += 1
        one = _one(part, size)
        if one is None:
            return []
        if one[1]:
            found.append(one)
            total += one[1]
    if count > MAX_RANGES or (len(found) > 1 and total > size):
        return None
    return found


def _one(spec: bytes, size: int) -> Range | None:
    """First byte and length of one range; a length of 0 cannot be satisfied; None is no range."""
    match = _SPEC.match(spec)
    if match is None or match.group() == b"-" or not (match[1] or match[2]):
        return None
    if not match[1]:  # the last so many bytes
        length = min(_number(match[2]), size)
        return size - length, length
    first = _number(match[1])
    last = _number(match[2]) if match[2] else size - 1
    if match[2] and last < first:
        return None
    if first >= size:
        return 0, 0
    return first, min(last, size - 1) - first + 1


def _number(digits: bytes) -> int:
    digits = digits.lstrip(b"0")
    return int(digits) if digits and len(digits) <= _MAX_DIGITS else 1 << 62 if digits else 0


def content_range(part: Range, size: int) -> bytes:
    """The header line that says which part of the file this is."""
    return b"Content-Range: bytes %d-%d/%d" % (part[0], part[0] + part[1] - 1, size)


def multipart(parts: list[Range], size: int, content_type: bytes, boundary: bytes) -> list[bytes | Range]:
    """What is sent for several parts, in order: bytes as they are, and pieces of the file (RFC 9110 §14.6)."""
    pieces: list[bytes | Range] = []
    for part in parts:
        lines = (b"--" + boundary, b"Content-Type: " + content_type, content_range(part, size), b"", b"")
        pieces += (b"\r\n" + b"\r\n".join(lines), part)
    pieces.append(b"\r\n--" + boundary + b"--\r\n")
    return pieces


def length_of(pieces: list[bytes | Range]) -> int:
    """Bytes that the pieces make."""
    return sum(len(piece) if isinstance(piece, bytes) else piece[1] for piece in pieces)
