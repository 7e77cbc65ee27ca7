"""Which compressed neighbour a client wants."""

from __future__ import annotations

import pytest

from gapura.edge.precompressed import wanted

ALL = [b"br", b"zst", b"gz"]


@pytest.mark.parametrize(
    ("accepted", "endings"),
    [
        (b"gzip, deflate, br, zstd", [b"br", b"zst", b"gz"]),
        (b"gzip", [b"gz"]),
        (b"x-gzip", [b"gz"]),
        (b"gzip;q=1, br;q=0.5", [b"gz", b"br"]),
        (b"gzip;q=0, br", [b"br"]),
        (b"*", [b"br", b"zst", b"gz"]),
        (b"*;q=0.1, br;q=0", [b"zst", b"gz"]),
        (b"identity", []),
        (b"identity, gzip;q=0.5", []),
        (b"identity;q=0.5, gzip", [b"gz"]),
        (b"", []),
        (b"deflate", []),
        (b"gzip;q=nonsense", []),
    ],
)
def test_wanted(accepted: bytes, endings: list[bytes]) -> None:
    assert wanted(accepted, ALL) == endings
