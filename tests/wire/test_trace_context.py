"""traceparent, after the W3C's own list of what must be refused (trace-context/test/test.py) and some more."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapura.wire.trace_context import Parent, parse_traceparent, traceparent

TRACE = b"0af7651916cd43dd8448eb211c80319c"
SPAN = b"b7ad6b7169203331"


@pytest.mark.parametrize(
    ("value", "sampled"),
    [
        (b"00-%b-%b-01", True),
        (b"00-%b-%b-00", False),
        (b"00-%b-%b-03", True),
        (b"00-%b-%b-fe", False),  # flags that are not known are no reason to refuse
        (b"cc-%b-%b-01", True),  # a later version
        (b"cc-%b-%b-01-what-the-future-will-be-like", True),
        (b"01-%b-%b-01-", True),
    ],
)
def test_a_valid_parent_is_believed(value: bytes, sampled: bool) -> None:
    assert parse_traceparent(value % (TRACE, SPAN)) == Parent(TRACE, SPAN, sampled)


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"00",
        b"00-" + TRACE,
        b"00-%b-%b" % (TRACE, SPAN),
        b"00-%b-%b-" % (TRACE, SPAN),
        b"00-%b-%b-1" % (TRACE, SPAN),
        b"00-%b-%b-001" % (TRACE, SPAN),
        b"00-%b-%b-01." % (TRACE, SPAN),
        b"00-%b-%b-01-more" % (TRACE, SPAN),  # version 00 has nothing behind
        b"cc-%b-%b-01.what-the-future-will-be-like" % (TRACE, SPAN),
        b"ff-%b-%b-01" % (TRACE, SPAN),
        b"0-%b-%b-01" % (TRACE, SPAN),
        b"000-%b-%b-01" % (TRACE, SPAN),
        b".0-%b-%b-01" % (TRACE, SPAN),
        b"0.-%b-%b-01" % (TRACE, SPAN),
        b"00-%b-%b-.0" % (TRACE, SPAN),
        b"00-%b-%b-0x" % (TRACE, SPAN),
        b"00-%b-%b-+1" % (TRACE, SPAN),
        b"00-%b-%b-01" % (b"0" * 32, SPAN),
        b"00-%b-%b-01" % (TRACE, b"0" * 16),
        b"00-%b-%b-01" % (TRACE.upper(), SPAN),
        b"00-%b-%b-01" % (TRACE, SPAN.upper()),
        b"00-%b-%b-01" % (TRACE[:-1] + b".", SPAN),
        b"00-%b-%b-01" % (TRACE[:-1], SPAN),
        b"00-%b-%b-01" % (TRACE + b"0", SPAN),
        b"00_%b_%b_01" % (TRACE, SPAN),
        b"00-%b-%b-01, 00-%b-%b-01" % (TRACE, SPAN, TRACE, SPAN),
        b" 00-%b-%b-01" % (TRACE, SPAN),
    ],
)
def test_what_is_not_exactly_so_is_no_parent(value: bytes) -> None:
    assert parse_traceparent(value) is None


@given(st.binary(max_size=80))
def test_nothing_makes_it_raise(value: bytes) -> None:
    parse_traceparent(value)


@given(st.binary(min_size=16, max_size=16).filter(any), st.binary(min_size=8, max_size=8).filter(any), st.booleans())
def test_what_is_written_is_read_again(trace: bytes, span: bytes, sampled: bool) -> None:
    written = traceparent(trace.hex().encode(), span.hex().encode(), sampled)
    assert parse_traceparent(written) == Parent(trace.hex().encode(), span.hex().encode(), sampled)
