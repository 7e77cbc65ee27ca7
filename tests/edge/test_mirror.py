"""Mirror: copies arrive whole, and whatever becomes of them the visitor does not notice."""

from __future__ import annotations

import asyncio

import pytest

from .backend import Backend, Request, Wire
from .client import get
from .edge import Edge


async def silent(request: Request, wire: Wire) -> None:
    """Reads, and never answers."""
    await request.read_body()
    await asyncio.sleep(3600)


async def broken(request: Request, wire: Wire) -> None:
    await request.read_body()
    wire.writer.transport.abort()


async def nonsense(request: Request, wire: Wire) -> None:
    await request.read_body()
    wire.say(b"no HTTP\r\n\r\n")
    wire.over.set()


async def endless(request: Request, wire: Wire) -> None:
    await request.read_body()
    wire.say(b"HTTP/1.1 200 OK\r\n\r\n")
    while not wire.writer.transport.is_closing():
        wire.say(b"x" * 65536)
        await asyncio.sleep(0)


async def mirrored(edge: Edge, answer: object = None, words: str = "", log: str = "", action: str = "") -> tuple[Backend, Backend]:
    """A site with a backend and a mirror of it."""
    backend = await edge.backend()
    shadow = await edge.backend(**({"answer": answer} if answer else {}))  # type: ignore[arg-type]
    mirror = f'{{ proxy = "shadow", {words} }}' if words else '"shadow"'
    await edge.start(
        f'[upstreams.u]\nservers = ["{backend.address}"]\nhealth = false\n'
        f'[upstreams.shadow]\nservers = ["{shadow.address}"]\nhealth = false\n'
        f'[sites."*"]\n{action or """proxy = "u" """}\nmirror = {mirror}\n',
        log,
    )
    return backend, shadow


async def test_a_copy_is_the_same_request(edge: Edge) -> None:
    backend, shadow = await mirrored(edge, log="$request_uri $status $upstream")
    client = await edge.client()
    answer = await client.ask("/a?b=c", "X-Own: 1", "Cookie: d=e", method="POST", body=b"f" * 100_000)
    assert (answer.status, answer.get("x-served-by")) == (200, backend.address)
    await edge.until(lambda: shadow.requests and shadow.requests[0].body)
    one, other = backend.requests[0], shadow.requests[0]
    assert (other.method, other.target, other.body) == ("POST", "/a?b=c", b"f" * 100_000)
    kept = ("host", "x-own", "cookie", "x-request-id", "x-forwarded-for", "content-length")
    assert [other.get(name) for name in kept] == [one.get(name) for name in kept]
    assert edge.lines() == ["/a?b=c 200 u"]


async def test_a_chunked_body_is_copied_whole(edge: Edge) -> None:
    _, shadow = await mirrored(edge)
    client = await edge.client()
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
    await asyncio.sleep(0)
    client.send(b"6\r\n world\r\n0\r\n\r\n")
    assert (await client.answer()).status == 200
    await edge.until(lambda: shadow.requests and shadow.requests[0].body)
    assert shadow.requests[0].body == b"hello world"


@pytest.mark.parametrize("answer", [silent, broken, nonsense, endless])
@pytest.mark.parametrize("body", [b"", b"x" * 100_000])
async def test_what_the_mirror_does_is_nobodys_business(edge: Edge, answer: object, body: bytes) -> None:
    _, shadow = await mirrored(edge, answer, 'timeout = "100ms"')
    client = await edge.client()
    for _ in range(5):
        assert (await client.ask(method="PUT", body=body)).status == 200
    await edge.until(lambda: shadow.requests)
    await edge.at_rest()


async def test_a_dead_mirror_is_asked_once_by_each_copy(edge: Edge, caplog: pytest.LogCaptureFixture) -> None:
    _, shadow = await mirrored(edge)
    await shadow.stop()
    client = await edge.client()
    assert [(await client.ask(method="POST", body=b"x")).status for _ in range(20)] == [200] * 20
    await edge.at_rest()
    assert len([record for record in caplog.records if "no connection" in record.getMessage()]) <= 20


async def test_no_more_at_once_than_allowed(edge: Edge) -> None:
    _, shadow = await mirrored(edge, silent, "at_once = 3")
    client = await edge.client()
    assert [(await client.ask()).status for _ in range(10)] == [200] * 10
    await edge.until(lambda: len(shadow.requests) == 3)
    assert edge.conns() == 3
    await shadow.stop()
    await edge.at_rest()


async def test_a_share_of_them(edge: Edge) -> None:
    _, shadow = await mirrored(edge, words="share = 25")
    client = await edge.client()
    for number in range(12):
        await client.ask(f"/{number}")
    await edge.until(lambda: len(shadow.requests) == 3)
    assert [request.target for request in shadow.requests] == ["/3", "/7", "/11"]


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_that_is_too_long_is_not_copied(edge: Edge, chunked: bool) -> None:
    _, shadow = await mirrored(edge, words='body = "1k", at_once = 1')
    client = await edge.client()
    if chunked:
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n800\r\n" + b"x" * 0x800 + b"\r\n0\r\n\r\n")
        assert (await client.answer()).status == 200
    else:
        assert (await client.ask(method="POST", body=b"x" * 2000)).status == 200
    assert (await client.ask("/short")).status == 200
    await edge.until(lambda: shadow.requests)
    assert [request.target for request in shadow.requests] == ["/short"]


async def test_a_client_that_leaves_in_the_middle_of_its_body(edge: Edge) -> None:
    backend, shadow = await mirrored(edge, words="at_once = 1")
    client = await edge.client()
    client.send(b"POST /half HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf")
    await edge.until(lambda: backend.wires)
    client.reset()
    await edge.forgotten()
    assert (await (await edge.client()).ask("/whole")).status == 200
    await edge.until(lambda: shadow.requests)
    assert [request.target for request in shadow.requests] == ["/whole"]


@pytest.mark.parametrize("action", ['files = "."', 'respond = "hi"', 'redirect = "/x"'])
async def test_other_actions_are_copied_too(edge: Edge, action: str) -> None:
    _, shadow = await mirrored(edge, words="at_once = 1", action=action)
    client = await edge.client()
    assert (await client.ask("/nothing-here")).status in (200, 302, 404)
    client.send(get("/post", method="POST", body=b"x" * 10))
    await client.answer()
    await client.ask("/after")
    await edge.until(lambda: len(shadow.requests) == 2)
    assert sorted(request.target for request in shadow.requests) == ["/after", "/nothing-here"]


async def test_files_from_memory_are_copied_too(edge: Edge) -> None:
    (edge.folder / "a.txt").write_text("a")
    _, shadow = await mirrored(edge, action=f'files = "{edge.folder}"')
    client = await edge.client()
    assert [(await client.ask("/a.txt")).status for _ in range(6)] == [200] * 6
    await edge.until(lambda: len(shadow.requests) == 6)
