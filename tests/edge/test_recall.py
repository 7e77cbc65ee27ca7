"""Requests answered again without being read again: nobody can tell."""

from __future__ import annotations

import asyncio
import os
import re
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gapura.config.plan_tls import SiteTlsPlan
from gapura.edge import recall
from gapura.edge.downstream import Downstream
from gapura.edge.exchange import Exchange

from .client import get
from .edge import Edge

SITE = '[sites."*"]\nfiles = "www"\nprecompressed = true\ncache = { "*.html" = "no-cache" }\n'
TLS: SiteTlsPlan = {
    "auto": False, "local": False, "names": [], "certificate": "", "key": "", "client_ca": "", "client_auth": "", "redirect": -1,
    "hsts": "",
}  # fmt: skip
_VARYING = re.compile(rb"(?<=\r\nDate: )[^\r]+|(?<=\r\nX-Request-Id: )[^\r]+|\b[0-9a-f]{24}\b")


@pytest.fixture
def www(tmp_path: Path) -> Path:
    """A few files that have been as they are for long."""
    folder = tmp_path / "www"
    folder.mkdir()
    for name, size in {"index.html": 500, "app.js": 3_000, "app.js.gz": 900, "empty": 0, "big": 300_000}.items():
        (folder / name).write_bytes(bytes(range(33, 83)) * (size // 50))
        os.utime(folder / name, (1e9, 1e9))
    return folder


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The targets for which an exchange was made: recalled answers have none."""
    targets: list[bytes] = []
    begin = Exchange.begin

    def noted(exchange: Exchange) -> None:
        targets.append(exchange.head.target)
        begin(exchange)

    monkeypatch.setattr(Exchange, "begin", noted)
    return targets


class Everything(set[int]):
    """Every request was heard before."""

    def __contains__(self, mark: object) -> bool:
        return True


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remember a request when it comes for the first time."""
    monkeypatch.setattr(recall, "set", Everything, raising=False)


def entries(edge: Edge) -> int:
    return sum(map(len, edge.worker.recall.answers.values()))


def connections(edge: Edge) -> list[Downstream]:
    return [each for each in edge.worker.connections if isinstance(each, Downstream)]


async def still(edge: Edge) -> None:
    """Wait for the beginning of a second, so that what is remembered stays remembered for the test."""
    await edge.until(lambda: time.time() % 1 < 0.3)


async def test_what_comes_twice_is_remembered(edge: Edge, www: Path, made: list[bytes]) -> None:
    await edge.start(SITE)
    client = await edge.client()
    await still(edge)
    for count, kept in ((1, 0), (2, 1), (2, 1)):
        await client.ask("/app.js")
        assert (len(made), entries(edge)) == (count, kept)
    for number in range(2 * recall.MOST + 50):
        edge.worker.recall.heard.add(number)
    await client.ask("/index.html")
    assert len(edge.worker.recall.heard) < 10


@pytest.mark.usefixtures("eager")
async def test_the_second_one_is_recalled(edge: Edge, www: Path, made: list[bytes]) -> None:
    await edge.start(SITE, log="combined")
    client, other = await edge.client(), await edge.client()
    await still(edge)
    first = await client.ask("/app.js")
    again = [await client.ask("/app.js"), await other.ask("/app.js"), await client.ask("/app.js")]
    assert made == [b"/app.js"]
    for answer in again:
        assert answer.body == first.body
        assert [line for line in answer.lines if line[0] != "x-request-id"] == [
            line for line in first.lines if line[0] != "x-request-id"
        ]
    identities = {answer.get("x-request-id") for answer in [first, *again]}
    assert len(identities) == 4
    lines = edge.lines()
    assert len(lines) == 4
    assert len({re.sub(r"\[[^]]*\]|\b[0-9a-f]{24}\b|\b\d+\.\d\d\d\b", "", line) for line in lines}) == 1
    assert [line.split('" ')[-1].split()[0] for line in lines] == [answer.get("x-request-id") for answer in [first, *again]]


@pytest.mark.usefixtures("eager")
async def test_it_lasts_less_than_a_second_and_no_longer_than_the_generation(edge: Edge, www: Path, made: list[bytes]) -> None:
    await edge.start(SITE)
    client = await edge.client()
    await still(edge)
    await client.ask("/app.js")
    await client.ask("/app.js")
    assert (len(made), entries(edge)) == (1, 1)
    await edge.until(lambda: not entries(edge))  # the sweep
    await client.ask("/app.js")
    assert len(made) == 2
    (www / "other").mkdir()
    (www / "other" / "app.js").write_text("other")
    await still(edge)
    await client.ask("/app.js")
    await edge.serve('[edge]\naccess_log = false\n[sites."*"]\nfiles = "www/other"\n')
    assert (await client.ask("/app.js")).body == b"other"


@pytest.mark.parametrize(
    ("request_bytes", "kept"),
    [
        (get("/app.js"), True),
        (get("/app.js", "Cookie: a=b", "User-Agent: x"), True),
        (get("/app.js", method="HEAD"), True),
        (get("/app.js", "If-None-Match: *"), True),
        (get("/app.js", "Range: bytes=1-2"), True),
        (get("/app.js", "Accept-Encoding: gzip"), True),
        (get("/empty"), True),
        (b"\r\n" + get("/app.js"), True),
        (get("/app.js", "X-Request-Id: mine"), False),
        (get("/app.js", "X-Request-Id: "), True),
        (get("/app.js", "Content-Length: 0"), False),
        (get("/app.js", "X: " + "y" * 5000), False),
        (get("/app.js", version="1.0"), False),
        (get("/app.js", "Connection: keep-alive", version="1.0"), False),
        (get("/app.js") + get("/index.html"), False),
        (get("/app.js") + b"GET", False),
        (get("/big"), False),
        (get("/none"), False),
        (get("/app.js", "If-Match: x"), False),
        (get("/app.js", "Range: bytes=999999-"), False),
        (get("/app.js", method="POST"), False),
    ],
)
@pytest.mark.usefixtures("eager")
async def test_what_is_remembered(edge: Edge, www: Path, request_bytes: bytes, kept: bool) -> None:
    await edge.start(SITE)
    client = await edge.client()
    await still(edge)
    client.send(request_bytes)
    await client.head()
    await edge.until(lambda: all(connection.exchange is None for connection in connections(edge)))
    assert entries(edge) == kept


@pytest.mark.usefixtures("eager")
async def test_a_request_in_pieces_is_not(edge: Edge, www: Path) -> None:
    await edge.start(SITE)
    client = await edge.client()
    whole = get("/app.js")
    for cut in (1, 20, len(whole) - 2):
        client.send(whole[:cut])
        await edge.until(lambda: any(each.reader.buffer for each in connections(edge)))
        client.send(whole[cut:])
        assert (await client.answer()).status == 200
    assert entries(edge) == 0


@pytest.mark.parametrize("way", ["trusted", "sampled", "json", "draining", "step", "mirror", "client", "maintenance", "tls"])
@pytest.mark.usefixtures("eager")
async def test_where_it_would_be_seen(edge: Edge, www: Path, way: str, made: list[bytes]) -> None:
    keys: dict[str, dict[str, Any]] = {
        "trusted": {"trusted_proxies": ["127.0.0.1"]},
        "sampled": {"access_log": {"path": "access.log", "sample": {"rate": 0.5}}},
        "json": {"access_log": {"path": "access.log", "format": "json"}},
    }
    more = {
        "step": 'limit = "1000/s"\n',
        "mirror": 'mirror = "127.0.0.1:1"\n',
        "client": '[[sites."*".routes]]\nmatch = { client = "10.0.0.0/8" }\nrespond = "for others"\n',
    }
    await edge.start(SITE + more.get(way, ""), **keys.get(way, {}))
    (site,) = edge.worker.snapshot.router.sites
    if way == "maintenance":
        cast(Any, site.plan)["closed"] = {"until": 0.0, "message": ""}  # whom it lets in is not a matter of the request
    elif way == "tls":
        site.plan["tls"] = TLS  # a redirect follows as soon as there is a certificate
    client = await edge.client()
    await client.ask("/app.js")
    if way == "draining":
        edge.worker.recall.clear()
        edge.say({"type": "drain", "limit": 60})
        await edge.until(lambda: edge.worker.draining)
    answer = await client.ask("/app.js")
    assert answer.status == 200
    assert answer.get("connection") == ("close" if way == "draining" else None)
    assert (len(made), entries(edge)) == (2, 0)


@pytest.mark.usefixtures("eager")
async def test_a_connection_for_another_name_gets_its_own(edge: Edge, www: Path, made: list[bytes]) -> None:
    """By TLS a connection belongs to the name that it was begun with."""
    await edge.start(SITE)
    client = await edge.client()
    await still(edge)
    for name, count in ((b"a", 1), (b"a", 1), (b"b", 2), (b"b", 2), (b"a", 3)):
        await edge.until(lambda: connections(edge))
        connections(edge)[0].tls = cast(Any, SimpleNamespace(server_name=name, accepted_at=1))
        await client.ask("/app.js")
        assert len(made) == count


async def test_without_files_nothing_is_kept(edge: Edge) -> None:
    await edge.start('[sites."*"]\nrespond = "x"\n')
    client = await edge.client()
    await client.ask("/")
    (connection,) = connections(edge)
    assert connection.recall is None
    assert connection.raw == b""


@pytest.mark.usefixtures("eager")
async def test_it_does_not_grow(edge: Edge, www: Path) -> None:
    await edge.start(SITE)
    client = await edge.client()
    for number in range(0, recall.MOST + 100, 50):
        for one in range(number, number + 50):
            client.send(get(f"/empty?{one}"))
            await client.answer()
    assert entries(edge) <= recall.MOST


names = st.sampled_from(["/", "/index.html", "/app.js", "/empty", "/none", "/app.js?x=1", "/x/../app.js"])
fields = st.sampled_from(
    [
        "Accept-Encoding: gzip", 'If-None-Match: "3b9aca00-bb8"', "If-None-Match: *", "If-Match: *", "Range: bytes=0-9",
        "Range: bytes=0-1,5-6", "Range: bytes=-5", "If-Modified-Since: Sun, 09 Sep 2001 01:46:40 GMT", "Connection: keep-alive",
        "Connection: close", "Referer: http://a/", 'User-Agent: "x"', "Content-Length: 0",
    ]
)  # fmt: skip
asked = st.lists(
    st.tuples(st.sampled_from(["GET", "HEAD", "GET", "OPTIONS"]), names, st.lists(fields, max_size=3, unique=True)),
    min_size=1,
    max_size=12,
)


async def conversation(edge: Edge, requests: list[tuple[str, str, list[str]]]) -> list[bytes]:
    """The bytes of all answers, without what differs between any two; each request is sent three times."""
    answers = []
    client = await edge.client()
    for method, target, lines in requests:
        for _ in range(3):
            client.send(get(target, *lines, method=method))
            head = await client.reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"Content-Length: (\d+)", head)
            body = await client.reader.readexactly(int(length[1])) if length and method != "HEAD" else b""
            answers.append(_VARYING.sub(b"?", head + body))
            if b"Connection: close" in head:
                assert await client.end() == b""
                client = await edge.client()
    client.close()
    return answers


def test_with_and_without(edge: Edge, www: Path, loop: asyncio.AbstractEventLoop) -> None:
    """The same conversation gets the same bytes and the same lines in the log, whether answers are remembered or not."""
    loop.run_until_complete(edge.start(SITE, log="combined"))
    worker = edge.worker

    @settings(max_examples=40)
    @given(asked)
    def same(requests: list[tuple[str, str, list[str]]]) -> None:
        found = []
        for closed in (True, False):
            worker.recall.clear()
            worker.recall.closed = closed
            edge.log.write_bytes(b"")
            answers = loop.run_until_complete(conversation(edge, requests))
            found.append((answers, [re.sub(r"\[[^]]*\]|\b[0-9a-f]{24}\b|\b\d+\.\d\d\d\b", "", line) for line in edge.lines()]))
        assert found[0] == found[1]
        assert len(found[0][1]) == 3 * len(requests)

    same()
