"""Conditional requests (RFC 9110 §13): whether an answer is wanted as it is, is still good where it was kept, or must not be.

Pure functions on header lines; no file is looked at here.
"""

from __future__ import annotations

from typing import Final

from gapura.edge.date import parse_date
from gapura.wire.headers import OWS

PROCEED, NOT_MODIFIED, FAILED = 200, 304, 412
"""What the conditions come to: answer; 304; 412."""

_LISTS: Final = (b"if-match", b"if-none-match", b"accept-encoding", b"accept")
_SINGLE: Final = (b"if-modified-since", b"if-unmodified-since", b"if-range", b"range")
_ALL: Final = frozenset(b"aAiIrR")
CONDITIONS: Final = frozenset(b"iIrR")
"""First letters of the fields that a file is judged by which has one form only."""

Asked = dict[bytes, bytes]


def asked(lines: list[bytes], first: frozenset[int] = _ALL) -> Asked:
    """The fields that choose among the answers for a file, by lower-case name.

    `first`: with which letters the names begin that are asked for. Fields of lists are joined; one that may stand only once and
    does not counts as not sent (RFC 9110 §5.3).
    """
    found: Asked = {}
    for line in lines:
        if line[0] not in first:
            continue
        name, _, value = line.partition(b":")
        name = name.lower()
        if name in _LISTS:
            value = value.strip(OWS)
            found[name] = found[name] + b", " + value if name in found else value
        elif name in _SINGLE:
            found[name] = b"" if name in found else value.strip(OWS)
    return found


def judge(fields: Asked, etag: bytes, modified: int) -> int:
    """PROCEED, NOT_MODIFIED or FAILED for GET and HEAD of something with this ETag, changed at `modified` (s since 1970).

    The order is that of RFC 9110 §13.2.2.
    """
    match = fields.get(b"if-match")
    if match is not None:
        if not _named(match, etag, weakly=False):
            return FAILED
    elif since := fields.get(b"if-unmodified-since"):
        date = parse_date(since)
        if date is not None and modified > date:
            return FAILED
    none = fields.get(b"if-none-match")
    if none is not None:
        return NOT_MODIFIED if _named(none, etag, weakly=True) else PROCEED
    if since := fields.get(b"if-modified-since"):
        date = parse_date(since)
        if date is not None and modified <= date:
            return NOT_MODIFIED
    return PROCEED


def range_applies(fields: Asked, etag: bytes, modified: int) -> bool:
    """Whether If-Range lets the Range stand: only for exactly what the client has (RFC 9110 §13.1.5)."""
    condition = fields.get(b"if-range")
    if condition is None:
        return True
    if condition[:1] == b'"':
        return condition == etag
    # a date may stand for the file only when it tells it from a change in the same second, which a weak ETag does not
    return etag[:1] == b'"' and parse_date(condition) == modified


def _named(value: bytes, etag: bytes, weakly: bool) -> bool:
    """Whether a list of entity tags names `etag`, by weak or strong comparison (RFC 9110 §8.8.3.2)."""
    if value == b"*":
        return True
    if weakly:
        etag = etag.removeprefix(b"W/")
    elif etag[:1] != b'"':
        return False
    return any((tag.removeprefix(b"W/") if weakly else tag) == etag for tag in _tags(value))


def _tags(value: bytes) -> list[bytes]:
    """The entity tags of a list. A tag may hold commas, so quotes are what counts; the list ends where it is no list."""
    tags: list[bytes] = []
    rest = value
    while rest := rest.lstrip(b" \t,"):
        start = 3 if rest[:3] == b'W/"' else 1
        if start == 1 and rest[:1] != b'"':
            break
        end = rest.find(b'"', start)
        if end < 0:
            break
        tags.append(rest[: end + 1])
        rest = rest[end + 1 :]
    return tags
