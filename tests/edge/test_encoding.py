from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapura.edge.encoding import Negotiation
from gapura.edge.weights import MEMBERS

OFFERED = ("zstd", "br", "gzip")


@pytest.mark.parametrize(
    ("accepted", "coding", "must"),
    [
        (None, "", False),  # RFC 9110 §12.5.3: it may be anything, but who says nothing often cannot
        ("", "", False),
        ("gzip", "gzip", False),
        ("GZIP", "gzip", False),
        ("x-gzip", "gzip", False),
        ("gzip, deflate, br", "br", False),
        ("gzip, deflate, br, zstd", "zstd", False),
        ("deflate", "", False),
        ("gzip;q=1.0, br;q=0.5", "gzip", False),
        ("gzip;q=0.5, br;q=0.500", "br", False),
        ("gzip ; q=0.8 ,br; Q=0.9", "br", False),
        ("gzip;q=0", "", False),
        ("gzip;q=0.0, br", "br", False),
        ("*", "zstd", False),
        ("*;q=0.1, gzip", "gzip", False),
        ("zstd;q=0, *", "br", False),
        ("*;q=0", "", False),
        ("gzip, *;q=0", "gzip", True),
        ("identity", "", False),
        ("identity;q=0", "", False),  # it wants what we do not have: it gets it plain
        ("identity;q=0, gzip", "gzip", True),
        ("identity;q=0.5, gzip;q=0.3", "", False),
        ("identity;q=0.3, gzip;q=0.5", "gzip", False),
        ("identity, gzip", "gzip", False),
        ("gzip;q=x", "", False),
        ("gzip;q=2", "", False),
        ("gzip;q=-1", "", False),
        ("gzip;q=0.0001", "", False),
        ("gzip;level=9", "", False),
        ("gzip;q=1;level=9", "", False),
        ("gzip;q=0, gzip", "", False),  # the first counts
        (", ,gzip,,", "gzip", False),
        ("gzip\x00", "", False),
        ("gzipp", "", False),
        ("x" * 9000 + ", gzip", "gzip", False),
        ("a," * MEMBERS + "gzip", "", False),
    ],
)
def test_choice(accepted: str | None, coding: str, must: bool) -> None:
    lines = [b"Host: a"] + ([] if accepted is None else [b"Accept-Encoding: " + accepted.encode("latin-1")])
    for _ in range(2):  # looked up, and remembered
        assert Negotiation(OFFERED).choose(lines) == (coding, must)


def test_several_lines_are_one_list() -> None:
    lines = [b"accept-encoding: gzip;q=0.1", b"Accept: */*", b"ACCEPT-ENCODING: br;q=0.2"]
    assert Negotiation(OFFERED).choose(lines).coding == "br"


def test_only_what_is_offered() -> None:
    assert Negotiation(("gzip",)).choose([b"Accept-Encoding: br, gzip;q=0.1, zstd"]).coding == "gzip"


def test_a_flood_of_different_values_is_not_kept() -> None:
    negotiation = Negotiation(OFFERED)
    for number in range(2000):
        assert negotiation.choose([b"Accept-Encoding: gzip, x%d" % number]).coding == "gzip"
    assert len(negotiation._known) <= 256


CODINGS = st.sampled_from(["gzip", "br", "zstd", "identity", "*", "deflate", "x-gzip"])
WEIGHTS = st.integers(0, 1000)


@given(st.dictionaries(CODINGS, WEIGHTS, max_size=7), st.randoms())
def test_a_chosen_coding_is_accepted_and_none_is_liked_better(said: dict[str, int], random: object) -> None:
    if "x-gzip" in said and "gzip" in said:
        del said["x-gzip"]
    value = ", ".join(f"{name};q={weight / 1000:.3f}" for name, weight in said.items())
    coding, must = Negotiation(OFFERED).choose([b"Accept-Encoding: " + value.encode()])
    if "x-gzip" in said:
        said["gzip"] = said.pop("x-gzip")

    def weight(name: str) -> int:
        return said.get(name, said.get("*", 0))

    best = max(map(weight, OFFERED))
    if coding:
        assert weight(coding) == best > 0
        assert said.get("identity", 0) <= best
    else:
        assert best == 0 or said.get("identity", 0) > best
        assert not must
    if must:
        assert weight("identity") == 0


@given(st.binary(max_size=80))
def test_anything_is_read_without_harm(value: bytes) -> None:
    assert Negotiation(OFFERED).choose([b"Accept-Encoding:" + value]).coding in ("", *OFFERED)


def test_long_values_are_not_remembered() -> None:
    """Or a client could fill the memory with them."""
    negotiation = Negotiation(OFFERED)
    for value in (b"gzip", b"gzip," + b"a" * 30_000):
        assert negotiation.choose([b"Accept-Encoding:" + value]).coding == "gzip"
    assert list(negotiation._known) == [b"gzip"]
