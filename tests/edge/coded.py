"""A page, what asks for it compressed, and the libraries of browsers that decode it."""

from __future__ import annotations

import gzip
import sys
from collections.abc import Callable

import brotli

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

DECODE: dict[str | None, Callable[[bytes], bytes]] = {
    "gzip": gzip.decompress, "zstd": zstd.decompress, "br": brotli.decompress, None: bytes,
}  # fmt: skip
TEXT = b"".join(b"<li class=film><a href=/films/%d>%x</a></li>\n" % (number, number * 7919) for number in range(20000))
ALL = "Accept-Encoding: gzip, deflate, br, zstd"
