"""Media types by ending."""

from __future__ import annotations

import pytest

from gapura.edge.media_types import DEFAULT, TYPES, media_type


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        (b"index.html", b"text/html; charset=utf-8"),
        (b"a/B.JS", b"text/javascript; charset=utf-8"),
        (b"a.svg", b"image/svg+xml; charset=utf-8"),
        (b"a.json", b"application/json; charset=utf-8"),
        (b"a.tar.gz", b"application/gzip"),
        (b"a.wasm", b"application/wasm"),
        (b"html", DEFAULT),
        (b"a.html/b", DEFAULT),
        (b"a.", DEFAULT),
        (b"a.nothing", DEFAULT),
        (b"\xff.png", b"image/png"),
    ],
)
def test_the_table(name: bytes, kind: bytes) -> None:
    assert media_type(name) == kind


def test_a_table_of_ones_own_counts_first() -> None:
    own = {b"html": b"text/x", b"tar.gz": b"application/x-tgz", b"gpx": b"application/gpx"}
    assert media_type(b"a.html", own) == b"text/x"
    assert media_type(b"a.tar.gz", own) == b"application/x-tgz"
    assert media_type(b"tar.gz", own) == b"application/gzip"
    assert media_type(b"a.css", own) == TYPES[b"css"]
