"""The Date field."""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime

import pytest

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
