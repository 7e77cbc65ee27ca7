"""Conditions of requests, as RFC 9110 §13 has them."""

from __future__ import annotations

import pytest

from gapura.edge.preconditions import FAILED, NOT_MODIFIED, PROCEED, asked, judge, range_applies

TAG = b'"5f-a"'
WEAK = b'W/"5f-a"'
THEN = b"Sun, 09 Sep 2001 01:46:40 GMT"
MODIFIED = 1_000_000_000
BEFORE = b"Sun, 09 Sep 2001 01:46:39 GMT"
AFTER = b"Sun, 09 Sep 2001 01:46:41 GMT"


@pytest.mark.parametrize(
    ("lines", "verdict"),
    [
        ([], PROCEED),
        ([b"If-None-Match: " + TAG], NOT_MODIFIED),
        ([b"if-none-match:" + WEAK], NOT_MODIFIED),
        ([b"If-None-Match: *"], NOT_MODIFIED),
        ([b'If-None-Match: "x", ' + TAG], NOT_MODIFIED),
        ([b'If-None-Match: "x,y",,W/"z" , ' + WEAK], NOT_MODIFIED),
        ([b'If-None-Match: "x"', b"If-None-Match: " + TAG], NOT_MODIFIED),
        ([b'If-None-Match: "x"'], PROCEED),
        ([b"If-None-Match: 5f-a"], PROCEED),
        ([b"If-None-Match: " + TAG[:-1]], PROCEED),
        ([b'If-None-Match: "x' + TAG], PROCEED),
        ([b"If-None-Match: "], PROCEED),
        # If-None-Match decides alone (§13.1.3)
        ([b'If-None-Match: "x"', b"If-Modified-Since: " + AFTER], PROCEED),
        ([b"If-Modified-Since: " + THEN], NOT_MODIFIED),
        ([b"If-Modified-Since: " + AFTER], NOT_MODIFIED),
        ([b"If-Modified-Since: " + BEFORE], PROCEED),
        ([b"If-Modified-Since: Sunday, 09-Sep-01 01:46:40 GMT"], NOT_MODIFIED),
        ([b"If-Modified-Since: Sun Sep  9 01:46:40 2001"], NOT_MODIFIED),
        ([b"If-Modified-Since: yesterday"], PROCEED),
        ([b"If-Modified-Since: " + THEN, b"If-Modified-Since: " + THEN], PROCEED),
        ([b"If-Match: " + TAG], PROCEED),
        ([b"If-Match: *"], PROCEED),
        ([b"If-Match: " + WEAK], FAILED),
        ([b'If-Match: "x"'], FAILED),
        ([b"If-Match: "], FAILED),
        # If-Match before If-Unmodified-Since, both before If-None-Match (§13.2.2)
        ([b"If-Match: " + TAG, b"If-Unmodified-Since: " + BEFORE], PROCEED),
        ([b'If-Match: "x"', b"If-None-Match: " + TAG], FAILED),
        ([b"If-Match: " + TAG, b"If-None-Match: " + TAG], NOT_MODIFIED),
        ([b"If-Unmodified-Since: " + BEFORE], FAILED),
        ([b"If-Unmodified-Since: " + THEN], PROCEED),
        ([b"If-Unmodified-Since: " + AFTER], PROCEED),
        ([b"If-Unmodified-Since: nonsense"], PROCEED),
        ([b"If-Unmodified-Since: " + THEN, b"If-Modified-Since: " + THEN], NOT_MODIFIED),
        ([b"If-Nothing: " + TAG, b"X-If-None-Match: " + TAG], PROCEED),
    ],
)
def test_conditions(lines: list[bytes], verdict: int) -> None:
    assert judge(asked(lines), TAG, MODIFIED) == verdict


def test_a_weak_tag_never_matches_strongly() -> None:
    assert judge(asked([b"If-Match: " + WEAK]), WEAK, MODIFIED) == FAILED
    assert judge(asked([b"If-Match: " + TAG]), WEAK, MODIFIED) == FAILED
    assert judge(asked([b"If-None-Match: " + TAG]), WEAK, MODIFIED) == NOT_MODIFIED
    assert judge(asked([b"If-Match: *"]), WEAK, MODIFIED) == PROCEED


@pytest.mark.parametrize(
    ("value", "applies"),
    [
        (None, True),
        (TAG, True),
        (WEAK, False),
        (b'"x"', False),
        (THEN, True),
        (BEFORE, False),
        (AFTER, False),
        (b"?", False),
        (b"", False),
    ],
)
def test_if_range(value: bytes | None, applies: bool) -> None:
    lines = [] if value is None else [b"If-Range: " + value]
    assert range_applies(asked(lines), TAG, MODIFIED) is applies
    assert range_applies(asked(lines), WEAK, MODIFIED) is (value is None)


def test_fields_that_may_stand_once_do_not_count_twice() -> None:
    assert asked([b"Range: bytes=0-1", b"RANGE: bytes=2-3"]) == {b"range": b""}
    assert asked([b"accept-encoding: gzip", b"Accept-Encoding:br"]) == {b"accept-encoding": b"gzip, br"}
