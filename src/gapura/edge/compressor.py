"""The compressors: gzip by ISA-L up to level 3 and by zlib above, zstd and brotli, each with settings that suit answers.

Their modules are imported by the workers whose configuration asks for them, when it is prepared. Levels mean the same for all: 1 is
the fastest, 9 the smallest; a piece is what takes about a millisecond.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from typing import Any, Final, NamedTuple, Protocol

EVENTS: Final = 0
"""The level of streams that live long and say little: server-sent events. It needs little memory."""


class Compressor(Protocol):
    """One answer being compressed. What each returns is to be sent."""

    def compress(self, data: bytes | memoryview) -> bytes: ...
    def flush(self) -> bytes:
        """All that was given so far, so that the client can decode it now."""

    def finish(self) -> bytes: ...


class Kind(NamedTuple):
    """One way to compress. `piece`: bytes that take about a millisecond; `memory`: bytes that one compressor holds (measured).

    `whole` compresses what is all there.
    """

    new: Callable[[], Compressor]
    whole: Callable[[bytes], bytes]
    piece: int
    memory: int


class _Deflate:
    """gzip of zlib or ISA-L, whose objects are alike. Streams get no time stamp, so that equal answers are equal."""

    __slots__ = ("compress", "_flush")

    def __init__(self, module: Any, level: int, window: int, memory: int) -> None:
        made = module.compressobj(level, 8, window | 16, memory)
        self.compress: Callable[[bytes | memoryview], bytes] = made.compress
        self._flush: Callable[..., bytes] = made.flush

    def flush(self) -> bytes:
        return self._flush(2)  # Z_SYNC_FLUSH

    def finish(self) -> bytes:
        return self._flush()


class _Zstd:
    """RFC 8878. Windows stay far below the 8 MB that browsers accept (RFC 9659)."""

    __slots__ = ("_made",)

    def __init__(self, module: Any, options: dict[int, int]) -> None:
        self._made = module.ZstdCompressor(options=options)

    def compress(self, data: bytes | memoryview) -> bytes:
        return self._made.compress(data)  # type: ignore[no-any-return]

    def flush(self) -> bytes:
        return self._made.flush(self._made.FLUSH_BLOCK)  # type: ignore[no-any-return]

    def finish(self) -> bytes:
        return self._made.flush()  # type: ignore[no-any-return]


class _Brotli:
    """RFC 7932."""

    __slots__ = ("compress", "flush", "finish")

    def __init__(self, module: Any, quality: int, window: int) -> None:
        made = module.Compressor(quality=quality, lgwin=window)
        self.compress: Callable[[bytes | memoryview], bytes] = made.process
        self.flush: Callable[[], bytes] = made.flush
        self.finish: Callable[[], bytes] = made.finish


def kind(coding: str, level: int) -> Kind:
    """The compressor of a content coding and a level (1 to 9, EVENTS). Imports what it needs."""
    return {"gzip": _gzip, "zstd": _zstd, "br": _brotli}[coding](level)


_FASTEST: Final = 256 << 10
_FAST: Final = 128 << 10
_MEDIUM: Final = 64 << 10
_SLOW: Final = 16 << 10


def _gzip(level: int) -> Kind:
    if 1 <= level <= 3:
        isal = importlib.import_module("isal.isal_zlib")
        return _made(lambda: _Deflate(isal, level, 15, 8), _FASTEST if level < 3 else _FAST, 200_000)
    zlib = importlib.import_module("zlib")
    if level == EVENTS:
        return _made(lambda: _Deflate(zlib, 6, 12, 5), _SLOW, 40_000)
    return _made(lambda: _Deflate(zlib, level, 15, 8), _SLOW, 260_000)


_ZSTD_SHAPES: Final = (  # by level: its own level, window, hash and chain (0: its own), memory
    (3, 12, 10, 10, 60_000), (1, 17, 0, 0, 350_000), (3, 17, 14, 14, 420_000), (3, 18, 16, 15, 800_000),
    (5, 17, 16, 15, 600_000), (6, 17, 16, 15, 600_000), (6, 18, 17, 16, 1_100_000),
)  # fmt: skip
_ZSTD_NUMBERS: Final = (100, 101, 102, 103)
"""ZSTD_c_compressionLevel, windowLog, hashLog, chainLog (zstd.h)."""


def _zstd(level: int) -> Kind:
    zstd = importlib.import_module("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd")
    *shape, memory = _ZSTD_SHAPES[min(level, 6)]
    options = {zstd.CompressionParameter(number): value for number, value in zip(_ZSTD_NUMBERS, shape, strict=True) if value}
    kept = zstd.ZstdCompressor(options=options)  # making one costs more than a small answer does
    return Kind(
        lambda: _Zstd(zstd, options), lambda body: kept.compress(body, kept.FLUSH_FRAME), _FAST if level <= 3 else _SLOW, memory
    )


_BROTLI_SHAPES: Final = (  # by level: quality, window, memory
    (1, 12, 20_000), (1, 17, 310_000), (2, 17, 660_000), (3, 17, 660_000), (4, 17, 950_000), (5, 17, 1_800_000),
)  # fmt: skip


def _brotli(level: int) -> Kind:
    brotli = importlib.import_module("brotli")
    quality, window, memory = _BROTLI_SHAPES[min(level, 5)]
    return _made(lambda: _Brotli(brotli, quality, window), (_FAST, _FAST, _MEDIUM)[level] if level <= 2 else _SLOW, memory)


def _made(new: Callable[[], Compressor], piece: int, memory: int) -> Kind:
    def whole(body: bytes) -> bytes:
        one = new()
        return one.compress(body) + one.finish()

    return Kind(new, whole, piece, memory)
