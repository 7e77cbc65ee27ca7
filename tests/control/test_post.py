from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import pytest
from tests.authority import Authority
from tests.control.receiver import Receiver, dribble, run, silence

from gapura.control.post import LARGEST_HEAD, Outcome, post


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", Outcome()),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", Outcome()),
        (b"HTTP/1.0 202\r\n\r\n", Outcome()),
        (b"HTTP/1.1 500 Oops\r\n\r\n", Outcome("it answered with status 500", again=True)),
        (b"HTTP/1.1 404 Not Found\r\n\r\n", Outcome("it answered with status 404")),
        (b"HTTP/1.1 401 No\r\n\r\n", Outcome("it answered with status 401")),
        (b"HTTP/1.1 429 Slow\r\nRetry-After: 7\r\n\r\n", Outcome("it answered with status 429", again=True, wait=7.0)),
        (b"HTTP/1.1 503 No\r\nretry-after: Sun, 22 Nov\r\n\r\n", Outcome("it answered with status 503", again=True)),
        (
            b"HTTP/1.1 302 Found\r\nLocation: http://evil.example/\r\n\r\n",
            Outcome("it redirects (status 302) to 'http://evil.example/': write that URL, if it is right"),
        ),
        (
            b"HTTP/1.1 308 P\r\nLocation: /x\r\n\r\n",
            Outcome("it redirects (status 308) to '/x': write that URL, if it is right"),
        ),
        (b"", Outcome("what it answers is not HTTP/1", again=True)),
        (b"SSH-2.0-OpenSSH\r\n\r\n", Outcome("what it answers is not HTTP/1", again=True)),
        (b"HTTP/1.1 abc\r\n\r\n", Outcome("what it answers is not HTTP/1", again=True)),
        (b"HTTP/1.1 200 OK\r\nX: " + b"a" * (2 * LARGEST_HEAD) + b"\r\n\r\n", Outcome("what it answers is not HTTP/1", again=True)),
        (b"HTTP/1.1 200 OK\r\n", Outcome("what it answers is not HTTP/1", again=True)),
    ],
)
def test_what_an_answer_means(answer: bytes, outcome: Outcome) -> None:
    async def journey() -> None:
        async with Receiver(answer) as receiver:
            assert await post(receiver.url, {"X-A": "b"}, b"body", 20.0, None) == outcome
            assert len(receiver.posts) == 1
            assert receiver.posts[0].body == b"body"
            assert receiver.posts[0].head.startswith(
                f"POST /hook?a=b HTTP/1.1\r\nHost: localhost:{receiver.port}\r\nUser-Agent: Gapura/"
            )

    run(journey())


def test_whoever_does_not_answer_is_left_in_time() -> None:
    async def journey() -> None:
        for way in (silence, dribble):
            async with Receiver(way) as receiver:
                outcome = await post(receiver.url, {}, b"", 0.2, None)
                assert outcome.again
                assert outcome.problem in ("no answer within 0.2 s", "what it answers is not HTTP/1")

    run(journey())


@pytest.mark.parametrize("url", ["http:///x", "http://[::1/", "http://a:b/", "http://a:99999/"])
def test_what_is_no_url_does_no_harm(url: str) -> None:
    async def journey() -> None:
        assert (await post(url, {}, b"", 20.0, None)).problem

    run(journey())


def test_a_redirect_is_not_followed() -> None:
    async def journey() -> None:
        async with Receiver() as other:
            location = f"HTTP/1.1 307 T\r\nLocation: http://127.0.0.1:{other.port}/\r\n\r\n".encode()
            async with Receiver(location) as receiver:
                assert "redirects" in (await post(receiver.url, {"Authorization": "secret"}, b"x", 20.0, None)).problem
            await asyncio.sleep(0)
            assert other.posts == []

    run(journey())


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1/", "http://no-such-host.invalid/", "http://[::1]:1/", f"http://{'a' * 80}.test/"]
)
def test_nobody_there(url: str) -> None:
    async def journey() -> None:
        outcome = await post(url, {}, b"", 20.0, None)
        assert outcome.again
        assert outcome.problem.startswith("no connection to ")

    run(journey())


def test_a_certificate_is_verified(tmp_path: Path) -> None:
    authority = Authority(tmp_path)

    def server(*names: str) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*authority.issue(*names, file=names[0]))
        return context

    async def journey() -> None:
        trusting = ssl.create_default_context(cafile=str(authority.file))
        async with Receiver(tls=server("localhost")) as receiver:
            assert await post(receiver.url, {}, b"x", 20.0, trusting) == Outcome()
            stranger = await post(receiver.url, {}, b"x", 20.0, ssl.create_default_context())
            assert stranger.problem.startswith("the certificate of localhost is not valid")
        async with Receiver(tls=server("other.example")) as receiver:
            wrong = await post(receiver.url, {}, b"x", 20.0, trusting)
            assert "it is for other names" in wrong.problem
            assert receiver.posts == []

        def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            writer.close()

        plain = await asyncio.start_server(refuse, "127.0.0.1", 0)
        async with plain:
            port = plain.sockets[0].getsockname()[1]
            outcome = await post(f"https://localhost:{port}/", {}, b"x", 20.0, trusting)
            assert outcome.problem == "localhost does not speak TLS on this port"

    run(journey())
