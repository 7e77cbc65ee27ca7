"""Answers that go on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from gapura.control.api import streams


class Pieces:
    """Two pieces, then silence; `ended` when nobody listens any more."""

    def __init__(self, *pieces: bytes, silent: bool = True) -> None:
        self.pieces = pieces
        self.silent = silent
        self.ended = False

    async def __call__(self) -> AsyncIterator[bytes]:
        try:
            for piece in self.pieces:
                yield piece
            if self.silent:
                await asyncio.Event().wait()
        finally:
            self.ended = True


async def take(pieces: Pieces, count: int) -> list[bytes]:
    stream = streams._limited(pieces())
    found = [await anext(stream) for _ in range(count)]
    await stream.aclose()  # type: ignore[attr-defined]
    return found


def test_pieces_come_as_they_are_and_whoever_leaves_ends_them() -> None:
    pieces = Pieces(b"a", b"b")
    assert asyncio.run(take(pieces, 3)) == [streams.OPEN.encode(), b"a", b"b"]
    assert pieces.ended


def test_in_silence_there_is_a_comment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "QUIET", 0.001)
    pieces = Pieces()
    assert asyncio.run(take(pieces, 3))[1:] == [b":\n\n", b":\n\n"]
    assert pieces.ended


def test_a_stream_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    async def drain(pieces: Pieces) -> list[bytes]:
        return [piece async for piece in streams._limited(pieces())]

    assert asyncio.run(drain(Pieces(b"a", silent=False))) == [streams.OPEN.encode(), b"a"]
    monkeypatch.setattr(streams, "QUIET", 0.001)
    monkeypatch.setattr(streams, "LIFE", 0.01)
    pieces = Pieces(b"a")
    assert asyncio.run(drain(pieces))[:2] == [streams.OPEN.encode(), b"a"]
    assert pieces.ended


def test_whoever_is_cut_off_ends_the_pieces() -> None:
    async def cut() -> bool:
        pieces = Pieces()
        stream = streams._limited(pieces())
        await anext(stream)
        waiting = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait({waiting})
        return pieces.ended

    assert asyncio.run(cut())
