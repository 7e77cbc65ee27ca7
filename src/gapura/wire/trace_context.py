"""`traceparent`: which trace a request belongs to (W3C Trace Context, level 1, §3.2).

Strict, because whoever reads it further on is: what is not exactly as the standard says is no parent.
"""

from __future__ import annotations

from typing import Final, NamedTuple

SAMPLED: Final = 1
"""The flag with which a caller says that it records the trace (§3.2.2.5.1)."""

_LENGTH: Final = 55
_HEX: Final = b"0123456789abcdef"
_DASHES: Final = (2, 35, 52)
_NO_TRACE: Final = b"0" * 32
_NO_PARENT: Final = b"0" * 16


class Parent(NamedTuple):
    """What a caller says about the trace: ids as lower-case hexadecimal, as they stand in the header."""

    trace: bytes  # 32 digits, not all 0
    span: bytes  # 16 digits, not all 0: the caller's own part of the trace
    sampled: bool


def parse_traceparent(value: bytes) -> Parent | None:
    """The parent that a header names, None when it is not valid.

    A later version may have more behind a dash (§3.2.4); what is known of it is read as of version 00.
    """
    if len(value) < _LENGTH or any(value[place] != 0x2D for place in _DASHES):
        return None
    version, trace, span, flags = value[:2], value[3:35], value[36:52], value[53:55]
    if (version + trace + span + flags).translate(None, _HEX) or version == b"ff":
        return None
    if len(value) > _LENGTH and (version == b"00" or value[_LENGTH] != 0x2D):
        return None
    if trace == _NO_TRACE or span == _NO_PARENT:
        return None
    return Parent(trace, span, bool(int(flags, 16) & SAMPLED))


def span_of(first: int, number: int) -> bytes:
    """The id of the span that is `number` after the first one, never all 0 (64 bits, in hexadecimal)."""
    return b"%016x" % ((first + number) % (1 << 64) or 1 << 63)


def traceparent(trace: bytes, span: bytes, sampled: bool) -> bytes:
    """The header's value, of version 00."""
    return b"00-%b-%b-%b" % (trace, span, b"01" if sampled else b"00")
