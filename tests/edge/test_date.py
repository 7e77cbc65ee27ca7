"""The Date field."""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapura.edge import date


def test_the_date_is_now_in_the_only_format_that_may_be_sent() -> None:
    name, _, value = date.date_line().partition(b": ")
    assert name == b"Date"
    assert value.endswith(b" GMT")
    assert abs(parsedate_to_datetime(value.decode()).timestamp() - time.time()) < 2


def test_it_changes_with_the_second(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 1_000_000_000.9)
    first = date.date_line()
    assert first == b"Date: Sun, 09 Sep 2001 01:46:40 GMT"
    assert date.date_line() is first
    monkeypatch.setattr(time, "time", lambda: 1_000_000_001.0)
    assert date.date_line() == b"Date: Sun, 09 Sep 2001 01:46:41 GMT"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (b"Sun, 06 Nov 1994 08:49:37 GMT", 784111777),
        (b"Sunday, 06-Nov-94 08:49:37 GMT", 784111777),
        (b"Sun Nov  6 08:49:37 1994", 784111777),
        (b"Sun Nov 16 08:49:37 1994", 784975777),
        (b"Thu, 01 Jan 1970 00:00:00 GMT", 0),
        (b"Sat, 31 Dec 2016 23:59:60 GMT", 1483228800),
        (b"Sun, 06 Nov 1994 08:49:37", None),
        (b"Sun, 06 Nov 1994 08:49:37 CET", None),
        (b"Sun, 6 Nov 1994 08:49:37 GMT", None),
        (b"Sun, 06 Foo 1994 08:49:37 GMT", None),
        (b"Sun, 00 Nov 1994 08:49:37 GMT", None),
        (b"Sun, 32 Nov 1994 08:49:37 GMT", None),
        (b"Sun, 06 Nov 1994 24:49:37 GMT", None),
        (b"Sun, 06 Nov 1994 08:60:37 GMT", None),
        (b"Sun, 06 Nov 1994 08:49:61 GMT", None),
        (b"Sun, 06 Nov 0000 08:49:37 GMT", None),
        (b"784111777", None),
        (b"", None),
    ],
)
def test_dates_of_clients(text: bytes, seconds: int | None) -> None:
    assert date.parse_date(text) == seconds


def test_a_year_of_two_digits_is_at_most_fifty_years_ahead() -> None:
    this = time.gmtime().tm_year
    for ahead in (0, 1, 49, 51, 99):
        found = date.parse_date(b"Sunday, 06-Nov-%02d 08:49:37 GMT" % ((this + ahead) % 100))
        assert found is not None
        assert this - 50 <= time.gmtime(found).tm_year <= this + 50


@given(st.integers(0, 253402300799))
def test_what_is_written_can_be_read(seconds: int) -> None:
    assert date.parse_date(date.format_date(seconds)) == seconds
