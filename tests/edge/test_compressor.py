from __future__ import annotations

import gzip
import random
import sys
import zlib
from collections.abc import Callable
from typing import Any

import brotli
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gapura.edge.compressor import EVENTS, kind

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

CODINGS = ("gzip", "zstd", "br")
LEVELS = (EVENTS, *range(1, 10))
WHOLE: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.decompress, "zstd": zstd.decompress, "br": brotli.decompress}
TEXT = b"".join(b"<li class=film><a href=/films/%d>%x</a></li>\n" % (number, number * 7919) for number in range(6000))


class Decoder:
    """Decodes part by part, as a browser does."""

    def __init__(self, coding: str) -> None:
        made: Any = {"gzip": lambda: zlib.decompressobj(31), "zstd": zstd.ZstdDecompressor, "br": brotli.Decompressor}[coding]()
        self.decode: Callable[[bytes], bytes] = made.process if coding == "br" else made.decompress


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("coding", CODINGS)
class TestEveryLevel:
    def test_parts(self, coding: str, level: int) -> None:
        made = kind(coding, level)
        one = made.new()
        out = b"".join(one.compress(TEXT[start : start + made.piece]) for start in range(0, len(TEXT), made.piece)) + one.finish()
        assert WHOLE[coding](out) == TEXT
        assert len(out) < len(TEXT) / 3

    def test_whole_and_again(self, coding: str, level: int) -> None:
        made = kind(coding, level)
        for body in (TEXT[: made.piece], b"x", random.Random(1).randbytes(5000), TEXT[:700]):
            assert WHOLE[coding](made.whole(body)) == body

    def test_what_was_flushed_can_be_decoded(self, coding: str, level: int) -> None:
        one, decoder = kind(coding, level).new(), Decoder(coding)
        for number in range(50):
            event = b"data: %d\n\n" % number
            assert decoder.decode(one.compress(event) + one.flush()) == event
        assert decoder.decode(one.finish()) == b""


@pytest.mark.parametrize("coding", CODINGS)
@settings(max_examples=40, deadline=None)
@given(parts=st.lists(st.tuples(st.binary(max_size=300), st.booleans()), max_size=12), level=st.sampled_from((0, 1, 2, 4, 6)))
def test_any_parts_and_flushes(coding: str, parts: list[tuple[bytes, bool]], level: int) -> None:
    one = kind(coding, level).new()
    out = b"".join(one.compress(data) + (one.flush() if flushed else b"") for data, flushed in parts) + one.finish()
    assert WHOLE[coding](out) == b"".join(data for data, _ in parts)


def test_equal_answers_are_equal() -> None:
    for coding in CODINGS:
        assert kind(coding, 2).whole(TEXT[:5000]) == kind(coding, 2).whole(TEXT[:5000])


def test_gzip_is_about_as_small_as_the_fastest_of_zlib() -> None:
    """nginx compresses at zlib's level 1."""
    fastest = zlib.compressobj(1, zlib.DEFLATED, 31)
    assert len(kind("gzip", 2).whole(TEXT)) < 1.1 * len(fastest.compress(TEXT) + fastest.flush())


def test_the_window_of_zstd_is_one_that_browsers_take() -> None:
    for level in LEVELS:
        one = kind("zstd", level).new()
        head = one.compress(TEXT) + one.flush()
        assert zstd.get_frame_info(head) is not None
        decoder = zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: 23})  # RFC 9659
        assert decoder.decompress(head) == TEXT
