"""Lists with weights, as Accept fields have them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapura.edge.weights import MEMBERS, weights


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (b"gzip", {b"gzip": 1000}),
        (b"id-ID;q=0.8 , EN ; Q = 0.5", {b"id-id": 800, b"en": 500}),
        (b"br;q=1.000,br;q=0", {b"br": 1000}),
        (b"x-gzip;q=0.25", {b"gzip": 250}),
        (
            b"a;q=1.1, b;q=nan, c;q=inf, d;q=-1, e;q=, f;level=1, g;q=1;h",
            dict.fromkeys((b"a", b"b", b"c", b"d", b"e", b"f", b"g"), 0),
        ),
        (b", ,;q=1,*;q=0.", {b"*": 0}),
    ],
)
def test_what_is_said(value: bytes, said: dict[bytes, int]) -> None:
    assert weights(value) == said


def test_a_list_without_end() -> None:
    assert len(weights(b",".join(b"x%d" % number for number in range(1000)))) == MEMBERS


@given(st.dictionaries(st.sampled_from([b"gzip", b"br", b"*", b"text/html", b"id-id"]), st.integers(0, 1000)))
def test_there_and_back(said: dict[bytes, int]) -> None:
    assert weights(b",".join(b"%b;q=%.3f" % (name, weight / 1000) for name, weight in said.items())) == said


@given(st.binary(max_size=80))
def test_anything_is_read_without_harm(value: bytes) -> None:
    assert all(0 <= weight <= 1000 for weight in weights(value).values())
