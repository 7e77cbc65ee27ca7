"""Compressed answers, decoded by the libraries of browsers. What nginx does of it is compared in test_compress_nginx.py."""

from __future__ import annotations

import asyncio
import gzip
import random
import subprocess
import sys
import zlib
from collections.abc import Callable

import brotli
import pytest
from tests.conftest import peer

from gapura.edge.compress import MEMORY

from .backend import Answer, Backend, Request, Wire, saying
from .client import get
from .coded import ALL, DECODE, TEXT
from .edge import Edge, one_upstream

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd


async def behind(edge: Edge, answer: Answer, keys: str = "compress = true", log: str = "") -> Backend:
    """A compressing site in front of a backend."""
    backend = await edge.backend(answer)
    await edge.start(one_upstream([backend.address], site=keys), log)
    return backend


def page(body: bytes, *lines: str, status: str = "200 OK", kind: str = "text/html", length: bool = True) -> Answer:
    """A backend's answer; without `length` it is chunked."""

    async def answer(request: Request, wire: Wire) -> None:
        await request.read_body()
        head = [f"HTTP/1.1 {status}", f"Content-Type: {kind}", *lines]
        head.append(f"Content-Length: {len(body)}" if length else "Transfer-Encoding: chunked")
        wire.say("\r\n".join(head).encode() + b"\r\n\r\n")
        if request.method != "HEAD":
            wire.say(body if length else b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body))

    return answer


@pytest.mark.parametrize("coding", ["gzip", "zstd", "br"])
@pytest.mark.parametrize("size", [600, 5000, 70_000, 900_000])
@pytest.mark.parametrize("length", [True, False])
@pytest.mark.parametrize("version", ["1.1", "1.0"])
async def test_every_coding_size_and_framing(edge: Edge, coding: str, size: int, length: bool, version: str) -> None:
    await behind(edge, page(TEXT[:size], length=length))
    client = await edge.client()
    answer = await client.ask("/", f"Accept-Encoding: {coding}", version=version)
    assert answer.get("content-encoding") == coding
    assert DECODE[coding](answer.body) == TEXT[:size]
    assert answer.get("vary") == "Accept-Encoding"
    assert len(answer.body) < size


async def test_a_short_answer_keeps_an_exact_length(edge: Edge) -> None:
    await behind(edge, page(TEXT[:3000]))
    answer = await (await edge.client()).ask("/", ALL)
    assert answer.get("content-encoding") == "zstd"
    assert answer.get("content-length") == str(len(answer.body))


async def test_the_algorithms_of_the_site_in_its_order(edge: Edge) -> None:
    await behind(edge, page(TEXT[:3000]), 'compress = ["gzip", "br"]')
    client = await edge.client()
    assert (await client.ask("/", ALL)).get("content-encoding") == "gzip"
    assert (await client.ask("/", "Accept-Encoding: gzip;q=0.4, br;q=0.5")).get("content-encoding") == "br"
    assert (await client.ask("/", "Accept-Encoding: zstd")).get("content-encoding") is None


@pytest.mark.parametrize("keys", ["", "compress = false", "compress = []", "compress = { algorithms = [] }"])
async def test_off(edge: Edge, keys: str) -> None:
    await behind(edge, page(TEXT[:3000]), keys)
    answer = await (await edge.client()).ask("/", ALL)
    assert (answer.get("content-encoding"), answer.get("vary"), answer.body) == (None, None, TEXT[:3000])


UNCHANGED: list[tuple[str, Answer, str | None]] = [
    ("short", page(TEXT[:511]), None),
    ("empty", page(b""), None),
    ("a picture", page(TEXT[:3000], kind="image/png"), None),
    ("without a type", saying(b"HTTP/1.1 200 OK\r\nContent-Length: 3000\r\n\r\n" + TEXT[:3000]), None),
    ("compressed already", page(TEXT[:3000], "Content-Encoding: br"), None),
    ("compressed twice already", page(TEXT[:3000], "Content-Encoding: gzip, br", "Vary: Origin"), "Origin"),
    ("not to be transformed", page(TEXT[:3000], "Cache-Control: public, No-Transform"), None),
    ("a part", page(TEXT[:3000], "Content-Range: bytes 0-2999/9000", status="206 Partial Content"), "Accept-Encoding"),
    ("no such part", page(TEXT[:3000], "Content-Range: bytes */9000", status="416 Range Not Satisfiable"), None),
    ("gRPC", page(TEXT[:3000], kind="application/grpc", length=False), None),
]


@pytest.mark.parametrize(("answer", "vary"), [row[1:] for row in UNCHANGED], ids=[row[0] for row in UNCHANGED])
async def test_what_stays_as_it_is(edge: Edge, answer: Answer, vary: str | None) -> None:
    await behind(edge, answer)
    client = await edge.client()
    plain = await client.ask("/")
    accepted = await client.ask("/", ALL)
    assert accepted.body == plain.body
    assert accepted.get("content-encoding") == plain.get("content-encoding")
    assert accepted.get("content-length") == plain.get("content-length")
    assert accepted.get("vary") == plain.get("vary") == vary


async def test_a_client_that_accepts_none_is_told_that_others_get_another_answer(edge: Edge) -> None:
    await behind(edge, page(TEXT[:3000], 'ETag: "a"', "Vary: Origin", "Accept-Ranges: bytes"))
    client = await edge.client()
    for lines in ([], ["Accept-Encoding: deflate"], ["Accept-Encoding: gzip;q=0"]):
        answer = await client.ask("/", *lines)
        assert answer.body == TEXT[:3000]
        assert answer.get("vary") == "Origin, Accept-Encoding"
        assert answer.get("etag") == '"a"'
        assert answer.get("accept-ranges") == "bytes"


async def test_fields_that_are_about_the_bytes(edge: Edge) -> None:
    lines = ("Content-MD5: x", "Digest: x", "Repr-Digest: sha-256=:x:", "content-digest: sha-256=:x:", "ACCEPT-RANGES: bytes")
    await behind(edge, page(TEXT[:3000], 'etag: "a"', *lines, "X-Other: y", "Vary: *", "Content-Encoding: identity"))
    answer = await (await edge.client()).ask("/", "Accept-Encoding: gzip")
    names = {name for name, _ in answer.lines}
    assert not names & {"content-md5", "digest", "repr-digest", "content-digest", "accept-ranges"}
    assert answer.get("etag") == 'W/"a"'
    assert answer.get("x-other") == "y"
    assert answer.get("vary") == "*"
    assert answer.get("content-encoding") == "gzip"


@pytest.mark.parametrize("vary", ["Accept-Encoding", "Origin, accept-encoding"])
async def test_vary_that_says_it_already(edge: Edge, vary: str) -> None:
    await behind(edge, page(TEXT[:3000], 'ETag: W/"a"', f"Vary: {vary}"))
    answer = await (await edge.client()).ask("/", ALL)
    assert (answer.get("vary"), answer.get("etag")) == (vary, 'W/"a"')


async def test_a_client_that_refuses_plain_answers_gets_even_short_pictures_compressed(edge: Edge) -> None:
    await behind(edge, page(b"tiny", kind="image/png"))
    answer = await (await edge.client()).ask("/", "Accept-Encoding: gzip, identity;q=0")
    assert answer.get("content-encoding") == "gzip"
    assert gzip.decompress(answer.body) == b"tiny"


async def test_what_becomes_longer_is_left_alone(edge: Edge) -> None:
    noise = random.Random(1).randbytes(4000)
    await behind(edge, page(noise, 'ETag: "a"'))
    answer = await (await edge.client()).ask("/", ALL)
    assert (answer.body, answer.get("content-encoding"), answer.get("etag")) == (noise, None, '"a"')


@pytest.mark.parametrize("length", [True, False])
async def test_head_has_the_fields_of_get(edge: Edge, length: bool) -> None:
    await behind(edge, page(TEXT[:3000], 'ETag: "a"', length=length))
    client = await edge.client()
    answer = await client.ask("/", "Accept-Encoding: br", method="HEAD")
    other = await client.ask("/", "Accept-Encoding: br")
    assert answer.get("content-length") is None
    for name in ("content-encoding", "vary", "etag", "content-type"):
        assert answer.get(name) == other.get(name) is not None
    assert (await client.ask("/", method="HEAD")).get("content-length") == (str(3000) if length else None)


async def test_not_modified_names_the_weak_tag_that_the_client_has(edge: Edge) -> None:
    await behind(edge, saying(b'HTTP/1.1 304 Not Modified\r\nETag: "a"\r\n\r\n'))
    client = await edge.client()
    weak = await client.ask("/", ALL, 'If-None-Match: "b", W/"a"')
    assert (weak.status, weak.get("etag"), weak.get("vary")) == (304, 'W/"a"', "Accept-Encoding")
    strong = await client.ask("/", ALL, 'If-None-Match: "a"')
    assert (strong.status, strong.get("etag"), strong.get("vary")) == (304, '"a"', "Accept-Encoding")


async def test_no_content(edge: Edge) -> None:
    await behind(edge, saying(b"HTTP/1.1 204 No Content\r\nContent-Type: text/html\r\n\r\n"))
    answer = await (await edge.client()).ask("/", ALL)
    assert (answer.status, answer.get("content-encoding")) == (204, None)


async def test_errors_are_compressed_as_well(edge: Edge) -> None:
    await behind(edge, page(TEXT[:3000], status="500 Oh"))
    answer = await (await edge.client()).ask("/", ALL)
    assert (answer.status, answer.get("content-encoding")) == (500, "zstd")


async def test_types_and_minimum_and_level(edge: Edge) -> None:
    await behind(edge, page(TEXT[:3000], kind="Image/PNG; x=y"), 'compress = { types = "image/*", minimum = 3000, level = 9 }')
    answer = await (await edge.client()).ask("/", "Accept-Encoding: br")
    assert brotli.decompress(answer.body) == TEXT[:3000]


async def test_every_type(edge: Edge) -> None:
    await behind(edge, saying(b"HTTP/1.1 200 OK\r\nContent-Length: 3000\r\n\r\n" + TEXT[:3000]), 'compress = { types = "*" }')
    assert (await (await edge.client()).ask("/", ALL)).get("content-encoding") == "zstd"


class TestStreams:
    @pytest.mark.parametrize("kind", ["text/event-stream", "text/plain"])
    @pytest.mark.parametrize("coding", ["gzip", "zstd", "br"])
    async def test_an_event_arrives_before_the_next_is_sent(self, edge: Edge, kind: str, coding: str) -> None:
        """The backend says the next only when the client has the one before: without a flush this would never end."""
        go = asyncio.Event()

        async def answer(request: Request, wire: Wire) -> None:
            wire.say(f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
            for number in range(20):
                wire.say(b"%x\r\ndata: %02d\n\n\r\n" % (10, number))
                await go.wait()
                go.clear()
            wire.say(b"0\r\n\r\n")

        await behind(edge, answer)
        client = await edge.client()
        client.send(get("/", f"Accept-Encoding: {coding}"))
        assert (await client.head()).get("content-encoding") == coding
        decode = decoder(coding)
        for number in range(20):
            got = b""
            while len(got) < 10:
                got += decode(await client.chunk())
            assert got == b"data: %02d\n\n" % number
            go.set()
        last = await client.chunk()
        assert decode(last) == b""

    async def test_the_head_arrives_before_the_first_event(self, edge: Edge) -> None:
        done = asyncio.Event()

        async def answer(request: Request, wire: Wire) -> None:
            wire.say(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
            await done.wait()
            wire.say(b"0\r\n\r\n")

        await behind(edge, answer)
        client = await edge.client()
        client.send(get("/", ALL))
        assert (await client.head()).status == 200
        done.set()

    @pytest.mark.parametrize("coding", ["gzip", "zstd", "br"])
    async def test_byte_by_byte_with_trailers(self, edge: Edge, coding: str) -> None:
        async def answer(request: Request, wire: Wire) -> None:
            head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
            for byte in head + b"".join(b"1\r\n%c\r\n" % byte for byte in TEXT[:200]) + b"0\r\nX-Sum: 7\r\n\r\n":
                wire.say(bytes([byte]))
                await asyncio.sleep(0)

        await behind(edge, answer)
        client = await edge.client()
        found = await client.ask("/", f"Accept-Encoding: {coding}", "TE: trailers", "Connection: TE")
        assert DECODE[coding](found.body) == TEXT[:200]
        assert found.trailers == b"X-Sum: 7\r\n"

    @pytest.mark.parametrize("coding", ["gzip", "zstd", "br"])
    async def test_a_short_one_of_known_length_is_compressed_as_a_whole(self, edge: Edge, coding: str) -> None:
        async def answer(request: Request, wire: Wire) -> None:
            wire.say(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 60000\r\n\r\n" + TEXT[:10])
            for start in range(10, 60000, 10000):
                wire.say(TEXT[start : min(start + 10000, 60000)])
                await asyncio.sleep(0)

        backend = await behind(edge, answer)
        client = await edge.client()
        for _ in range(3):
            found = await client.ask("/", f"Accept-Encoding: {coding}")
            assert found.get("content-length") == str(len(found.body))
            assert DECODE[coding](found.body) == TEXT[:60000]
        assert len(backend.requests) == 3
        assert edge.worker.turns.memory == 0

    async def test_one_that_pauses_is_not_waited_for(self, edge: Edge) -> None:
        """The backend says the rest only when the client has the first part."""
        go = asyncio.Event()

        async def answer(request: Request, wire: Wire) -> None:
            wire.say(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 9000\r\n\r\n" + TEXT[:5000])
            await go.wait()
            wire.say(TEXT[5000:9000])

        await behind(edge, answer)
        client = await edge.client()
        client.send(get("/", "Accept-Encoding: gzip"))
        assert (await client.head()).get("transfer-encoding") == "chunked"
        decode = decoder("gzip")
        got = b""
        while len(got) < 5000:
            got += decode(await client.chunk())
        go.set()
        while len(got) < 9000:
            got += decode(await client.chunk())
        assert got == TEXT[:9000]

    async def test_a_client_that_leaves_while_an_answer_is_gathered(self, edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("gapura.edge.turns.SOON", 3600.0)

        async def answer(request: Request, wire: Wire) -> None:
            wire.say(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 9000\r\n\r\n" + TEXT[:5000])
            await wire.over.wait()

        await behind(edge, answer)
        client = await edge.client()
        client.send(get("/", ALL))
        await edge.until(lambda: edge.worker.turns.memory == 9000)
        client.reset()
        await edge.until(lambda: edge.worker.turns.memory == 0)

    async def test_an_answer_that_breaks_off_looks_broken_off(self, edge: Edge) -> None:
        await behind(
            edge, saying(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 9000\r\n\r\n" + TEXT[:5000], True)
        )
        found = await (await edge.client()).ask("/", "Accept-Encoding: gzip")
        assert not found.whole
        assert zlib.decompressobj(31).decompress(found.body) == TEXT[:5000][: len(zlib.decompressobj(31).decompress(found.body))]
        assert edge.worker.turns.memory == 0

    async def test_a_slow_reader_holds_up_the_server_and_gets_everything(self, edge: Edge) -> None:
        """Memory stays bounded: what cannot be compressed is not gathered in front of a client that takes nothing."""
        noise = random.Random(2).randbytes(1 << 20)
        total, sent = 16, 0

        async def answer(request: Request, wire: Wire) -> None:
            nonlocal sent
            wire.say(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n" % (total << 20))
            for _ in range(total):
                wire.say(noise)
                await wire.writer.drain()
                sent += 1

        await behind(edge, answer, 'compress = "gzip"')
        client = await edge.client(limit=1 << 12)
        client.send(get("/", ALL))
        before = -1
        while sent != before:
            before = sent
            await asyncio.sleep(0.1)
        assert sent < total
        found = await client.answer()
        assert gzip.decompress(found.body) == noise * total

    async def test_a_client_that_leaves_frees_what_was_held(self, edge: Edge) -> None:
        async def answer(request: Request, wire: Wire) -> None:
            wire.say(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
            await wire.over.wait()

        await behind(edge, answer)
        client = await edge.client()
        client.send(get("/", ALL))
        await client.head()
        assert edge.worker.turns.memory > 0
        client.reset()
        await edge.until(lambda: edge.worker.turns.memory == 0)

    async def test_beyond_the_memory_answers_are_plain(self, edge: Edge) -> None:
        await behind(edge, page(TEXT[:300_000]))
        edge.worker.turns.memory = MEMORY
        found = await (await edge.client()).ask("/", ALL)
        assert (found.body, found.get("content-encoding"), found.get("vary")) == (TEXT[:300_000], None, "Accept-Encoding")

    @pytest.mark.parametrize("turn", [0, 1, 50_000])
    async def test_many_at_once_with_hardly_any_time(self, edge: Edge, turn: int, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("gapura.edge.turns.TURN", turn or 1)
        await behind(edge, page(TEXT, 'ETag: "a"'))
        clients = [await edge.client() for _ in range(8)]
        codings = ["gzip", "br", "zstd"]
        found = await asyncio.gather(*(c.ask("/", f"Accept-Encoding: {codings[n % 3]}") for n, c in enumerate(clients)))
        for answer in found:
            assert DECODE[answer.get("content-encoding")](answer.body) == TEXT
            assert answer.get("content-encoding")
        assert edge.worker.turns.memory == 0

    async def test_short_ones_wait_for_their_turn_too(self, edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("gapura.edge.turns.TURN", 1)
        await behind(edge, page(TEXT[:3000]))
        clients = [await edge.client() for _ in range(8)]
        for client in clients:
            client.send(get("/", ALL) * 5)
        for client in clients:
            for _ in range(5):
                found = await client.answer()
                assert zstd.decompress(found.body) == TEXT[:3000]
                assert found.get("content-length")


def decoder(coding: str) -> Callable[[bytes], bytes]:
    """Decodes part by part."""
    if coding == "gzip":
        return zlib.decompressobj(31).decompress
    if coding == "br":
        return brotli.Decompressor().process  # type: ignore[no-any-return]
    return zstd.ZstdDecompressor().decompress


class TestLog:
    @pytest.mark.parametrize("size", [3000, 900_000])
    async def test_the_bytes_that_were_sent(self, edge: Edge, size: int) -> None:
        await behind(edge, page(TEXT[:size]), log="$body_bytes_sent")
        answer = await (await edge.client()).ask("/", ALL)
        await edge.until(lambda: edge.log.exists() and edge.log.read_text() != "")
        assert edge.log.read_text() == f"{len(answer.body)}\n"

    async def test_of_a_client_that_leaves(self, edge: Edge) -> None:
        go = asyncio.Event()

        async def answer(request: Request, wire: Wire) -> None:
            wire.say(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
            await go.wait()

        await behind(edge, answer, log="$body_bytes_sent")
        client = await edge.client()
        client.send(get("/", "Accept-Encoding: gzip"))
        await client.head()
        first = await client.chunk()
        client.reset()
        await edge.until(lambda: edge.log.exists() and edge.log.read_text() != "")
        assert edge.log.read_text() == f"{len(first)}\n"


async def test_a_websocket_passes_untouched(edge: Edge) -> None:
    async def answer(request: Request, wire: Wire) -> None:
        wire.say(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello")
        wire.say(await wire.reader.readexactly(4))

    await behind(edge, answer)
    client = await edge.client()
    client.send(get("/", ALL, "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: x") + b"ping")
    head = await client.head()
    assert (head.status, head.get("content-encoding"), head.get("vary")) == (101, None, None)
    assert await client.reader.readexactly(9) == b"helloping"


def test_workers_that_compress_nothing_import_nothing() -> None:
    code = "import sys, gapura.edge.worker; print([name for name in ('isal', 'brotli', 'backports.zstd') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout.strip() == "[]"


class TestCurl:
    """A real peer asks and decodes."""

    async def ask(self, edge: Edge, *arguments: str) -> bytes:
        command = [peer("curl"), "-s", "--compressed", *arguments, f"http://127.0.0.1:{edge.port}/"]
        return await asyncio.to_thread(lambda: subprocess.run(command, capture_output=True, check=True, timeout=10).stdout)

    @pytest.mark.parametrize("version", ["--http1.0", "--http1.1"])
    @pytest.mark.parametrize("size", [3000, 500_000])
    async def test_compressed(self, edge: Edge, version: str, size: int) -> None:
        backend = await behind(edge, page(TEXT[:size]))
        assert await self.ask(edge, version) == TEXT[:size]
        assert "gzip" in (backend.requests[0].get("accept-encoding") or "")

    async def test_twice_is_never_done(self, edge: Edge) -> None:
        body = gzip.compress(TEXT[:9000])
        await behind(edge, page(body, "Content-Encoding: gzip"))
        assert await self.ask(edge) == TEXT[:9000]
