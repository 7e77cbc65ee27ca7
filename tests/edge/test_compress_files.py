"""Bodies that lie ready: files, and answers that are the same for everybody."""

from __future__ import annotations

import json
import os
from pathlib import Path

import brotli
import pytest

from gapura.edge.lasting import Lasting

from .coded import ALL, DECODE, TEXT
from .edge import Edge


class TestFiles:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        folder = tmp_path / "public"
        folder.mkdir()
        (folder / "a.html").write_bytes(TEXT[:20_000])
        (folder / "big.js").write_bytes(TEXT)
        (folder / "a.png").write_bytes(TEXT[:5000])
        return folder

    async def start(self, edge: Edge, folder: Path) -> None:
        await edge.start(f'[sites."*"]\nfiles = {json.dumps(str(folder))}\ncompress = true\n')

    @pytest.mark.parametrize("name", ["a.html", "big.js"])
    @pytest.mark.parametrize("coding", ["gzip", "zstd", "br"])
    async def test_files(self, edge: Edge, folder: Path, name: str, coding: str) -> None:
        await self.start(edge, folder)
        client = await edge.client()
        for _ in range(2):
            answer = await client.ask(f"/{name}", f"Accept-Encoding: {coding}")
            assert DECODE[answer.get("content-encoding")](answer.body) == (folder / name).read_bytes()
            assert answer.get("content-encoding") == coding
            assert answer.get("accept-ranges") is None

    async def test_small_ones_in_memory_are_compressed_once(self, edge: Edge, folder: Path) -> None:
        (folder / "b.html").write_bytes(TEXT[:100_000])
        os.utime(folder / "b.html", (1e9, 1e9))
        await self.start(edge, folder)
        client = await edge.client()
        first, second = [await client.ask("/b.html", "Accept-Encoding: br") for _ in range(2)]
        assert first.get("transfer-encoding") == "chunked"  # more than is done at once
        assert second.get("content-length") == str(len(second.body))
        assert brotli.decompress(first.body) == brotli.decompress(second.body) == TEXT[:100_000]

    async def test_pictures(self, edge: Edge, folder: Path) -> None:
        await self.start(edge, folder)
        answer = await (await edge.client()).ask("/a.png", ALL)
        assert (answer.body, answer.get("content-encoding"), answer.get("vary")) == (TEXT[:5000], None, None)

    async def test_a_weakened_tag_still_answers_304(self, edge: Edge, folder: Path) -> None:
        await self.start(edge, folder)
        client = await edge.client()
        tag = (await client.ask("/a.html", ALL)).get("etag")
        assert tag is not None
        assert tag.startswith("W/")
        again = await client.ask("/a.html", ALL, f"If-None-Match: {tag}")
        assert (again.status, again.get("etag"), again.get("vary")) == (304, tag, "Accept-Encoding")

    async def test_a_part_is_never_compressed(self, edge: Edge, folder: Path) -> None:
        await self.start(edge, folder)
        answer = await (await edge.client()).ask("/a.html", ALL, "Range: bytes=0-999")
        assert (answer.status, answer.body, answer.get("content-encoding")) == (206, TEXT[:1000], None)
        assert answer.get("vary") == "Accept-Encoding"


class TestForms:
    """Bodies that are sent again and again are compressed once."""

    @pytest.mark.parametrize("size", [3000, 40_000])
    async def test_once(self, edge: Edge, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
        text = TEXT[:size].decode()
        made: list[Lasting] = []

        class Noted(Lasting):
            def __new__(cls, body: bytes) -> Noted:
                self = super().__new__(cls, body)
                made.append(self)
                return self

        monkeypatch.setattr("gapura.edge.replies.Lasting", Noted)
        await edge.start(f'[sites."*"]\nrespond = {json.dumps(text)}\ncompress = {{ level = 4 }}\n')
        client = await edge.client()
        for coding in ("gzip", "br", "gzip"):
            answer = await client.ask("/", f"Accept-Encoding: {coding}")
            assert DECODE[coding](answer.body) == text.encode()
        assert {coding for coding, _ in made[0].forms} == {"gzip", "br"}
        assert answer.body == made[0].forms["gzip", 4]
        assert answer.get("content-length") == str(len(answer.body))

    async def test_what_is_not_shorter_is_remembered_too(self, edge: Edge) -> None:
        await edge.start('[sites."*"]\nrespond = "x"\ncompress = { minimum = 0 }\n')
        client = await edge.client()
        for _ in range(2):
            answer = await client.ask("/", ALL)
            assert (answer.body, answer.get("content-encoding")) == (b"x", None)
