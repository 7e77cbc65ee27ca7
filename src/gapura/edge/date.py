"""Dates of HTTP (RFC 9110 §5.6.7): the Date field of answers that originate here (§6.6.1), and reading what clients send."""

from __future__ import annotations

import re
import time
from calendar import timegm
from email.utils import formatdate
from typing import Final

_LAST_SECOND: Final = 253402300799
"""Of the year 9999."""

_second = 0
_line = b""

_MONTHS: Final = {name: number for number, name in enumerate(b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(), 1)}
_IMF: Final = re.compile(rb"[A-Z][a-z]{2}, (\d\d) ([A-Z][a-z]{2}) (\d{4}) (\d\d):(\d\d):(\d\d) GMT\Z")
_RFC850: Final = re.compile(rb"[A-Z][a-z]{5,8}, (\d\d)-([A-Z][a-z]{2})-(\d\d) (\d\d):(\d\d):(\d\d) GMT\Z")
_ASCTIME: Final = re.compile(rb"[A-Z][a-z]{2} ([A-Z][a-z]{2}) ([ \d]\d) (\d\d):(\d\d):(\d\d) (\d{4})\Z")


def date_line() -> bytes:
    """`Date: Sun, 22 Nov 2026 14:03:07 GMT`."""
    global _second, _line
    now = int(time.time())
    if now != _second:
        _second, _line = now, b"Date: " + format_date(now)
    return _line


def format_date(seconds: int) -> bytes:
    """`Sun, 22 Nov 2026 14:03:07 GMT` for seconds since 1970."""
    return formatdate(seconds, usegmt=True).encode()


def dated(seconds: float) -> int:
    """Seconds since 1970 as a date can say them: the time of a file may be any number."""
    return int(min(max(seconds, 0), _LAST_SECOND))


def parse_date(text: bytes) -> int | None:
    """Seconds since 1970 of a date in one of the three forms of RFC 9110 §5.6.7; None when it is none."""
    if match := _IMF.match(text):
        day, month, year, *clock = match.groups()
        number = int(year)
    elif match := _RFC850.match(text):
        day, month, year, *clock = match.groups()
        this = time.gmtime().tm_year
        number = this - this % 100 + int(year)
        if number > this + 50:  # what looks more than 50 years ahead is of the past century
            number -= 100
    elif match := _ASCTIME.match(text):
        month, day, *clock, year = match.groups()
        number = int(year)
    else:
        return None
    hour, minute, second = map(int, clock)
    if month not in _MONTHS or not 1 <= int(day) <= 31 or hour > 23 or minute > 59 or second > 60 or number < 1:
        return None
    return timegm((number, _MONTHS[month], int(day), hour, minute, second))
