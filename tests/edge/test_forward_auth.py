"""Another server decides: what it is asked, what its answers mean, and that nobody comes in when it is silent."""

from __future__ import annotations

import pytest

from .backend import Answer, Backend, Request, Wire
from .client import get
from .edge import Edge

LOGIN = (
    b"HTTP/1.1 302 Found\r\nLocation: https://login.example/?rd=x\r\n"
    b"Set-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 2\r\n\r\nno"
)
GOOD = (
    b"HTTP/1.1 204 No Content\r\nRemote-User: alice\r\nremote-groups: a\r\nRemote-Groups: b\r\n"
    b"X-Other: no\r\nSet-Cookie: s=1\r\n\r\n"
)


def says(answer: bytes) -> Answer:
    async def say(request: Request, wire: Wire) -> None:
        await request.read_body()
        wire.say(answer)

    return say


async def start(
    edge: Edge, answer: Answer, more: str = "", keys: str = "", log: str = "", **settings: object
) -> tuple[Backend, Backend]:
    """(the server that decides, the application)."""
    auth, app = await edge.backend(answer), await edge.backend()
    await edge.start(
        f"""
        [upstreams.auth]
        servers = ["{auth.address}"]
        hold = 0
        [sites."*"]
        proxy = "{app.address}"
        forward_auth = {{ to = "auth", path = "/verify?x=1", headers = ["Remote-User", "Remote-Groups"]{keys} }}
        {more}
        """,
        log,
        **settings,
    )
    return auth, app


async def test_let_in(edge: Edge) -> None:
    auth, app = await start(edge, says(GOOD), keys=', answer_headers = "Set-Cookie"', log="$remote_user $status")
    client = await edge.client()
    lines = (
        "Cookie: a=1",
        "Remote-User: admin",
        "remote-user: root",
        "X-Forwarded-Uri: /open",
        "X-Original-URL: /open",
        "If-None-Match: x",
    )
    answer = await client.ask("/secret?q=1", *lines, "Content-Type: text/plain", method="POST", body=b"x" * 70_000)
    assert (answer.status, answer.all("set-cookie")) == (200, ["s=1"])
    [asked] = auth.requests
    assert (asked.method, asked.target, asked.body) == ("GET", "/verify?x=1", b"")
    told = {name: asked.all(name) for name, _ in asked.lines}
    assert told["x-forwarded-method"] == ["POST"]
    assert told["x-forwarded-uri"] == ["/secret?q=1"]
    assert told["x-forwarded-for"] == ["127.0.0.1"]
    assert told["x-forwarded-proto"] == ["http"]
    assert told["x-forwarded-host"] == told["host"] == ["a.example"]
    assert told["cookie"] == ["a=1"]
    assert not told.keys() & {
        "content-type",
        "content-length",
        "transfer-encoding",
        "x-original-url",
        "if-none-match",
        "remote-user",
    }
    [request] = app.requests
    assert request.all("remote-user") == ["alice"]
    assert request.all("remote-groups") == ["a", "b"]
    assert (request.all("x-other"), request.body) == ([], b"x" * 70_000)
    assert request.get("x-request-id") == asked.get("x-request-id")
    assert edge.lines() == ["alice 200"]


@pytest.mark.parametrize("version", ["1.1", "1.0"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
async def test_any_other_answer_goes_to_the_visitor(edge: Edge, method: str, version: str) -> None:
    _, app = await start(edge, says(LOGIN))
    client = await edge.client()
    answer = await client.ask("/", method=method, version=version, body=b"abc" if method == "POST" else b"")
    assert (answer.status, answer.get("location")) == (302, "https://login.example/?rd=x")
    assert answer.all("set-cookie") == ["a=1", "b=2"]
    assert answer.body == (b"" if method == "HEAD" else b"no")
    assert answer.get("x-request-id")
    assert app.requests == []


@pytest.mark.parametrize("status", [b"401 Who", b"403 No", b"500 Broken", b"503 Later", b"404 Nothing"])
async def test_errors_of_the_server_are_no_yes(edge: Edge, status: bytes) -> None:
    _, app = await start(edge, says(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n"))
    client = await edge.client()
    assert (await client.ask()).status == int(status[:3])
    assert app.requests == []


@pytest.mark.parametrize(
    "answer",
    [
        b"", b"nonsense\r\n\r\n", b"HTTP/1.1 304 Not Modified\r\n\r\n", b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab", b"HTTP/1.1 200 OK\r\nRemote-User: a\rb\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9999999\r\n\r\n" + b"x" * 300_000, b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    ],
)  # fmt: skip
async def test_a_server_that_talks_nonsense_lets_nobody_in(edge: Edge, answer: bytes) -> None:
    async def broken(request: Request, wire: Wire) -> None:
        wire.say(answer)
        wire.close()

    _, app = await start(edge, broken)
    client = await edge.client()
    assert (await client.ask()).status == 502
    assert app.requests == []


async def test_a_server_that_is_gone_lets_nobody_in(edge: Edge) -> None:
    auth, app = await start(edge, says(b""))
    await auth.stop()
    client = await edge.client()
    for _ in range(2):
        assert (await client.ask()).status == 502
    assert app.requests == []


async def silent(request: Request, wire: Wire) -> None:
    await wire.over.wait()


async def test_a_silent_server_lets_nobody_in(edge: Edge) -> None:
    _, app = await start(edge, silent, keys=', timeout = "50ms"')
    client = await edge.client()
    assert (await client.ask(method="POST", body=b"abc")).status == 504
    assert app.requests == []
    await edge.at_rest()


async def test_a_visitor_who_leaves_takes_the_question_along(edge: Edge) -> None:
    auth, app = await start(edge, silent)
    client = await edge.client()
    client.send(get("/"))
    await edge.until(lambda: auth.requests)
    client.reset()
    await edge.forgotten()
    assert app.requests == []


async def test_a_body_is_not_asked_for_before_the_decision(edge: Edge) -> None:
    _, app = await start(edge, says(LOGIN))
    client = await edge.client()
    client.send(get("/", "Content-Length: 3", "Expect: 100-continue", method="POST"))
    assert (await client.head()).status == 302
    assert app.requests == []


async def test_an_upgrade_is_decided_on_too(edge: Edge) -> None:
    auth, app = await start(edge, says(LOGIN))
    client = await edge.client()
    answer = await client.ask("/", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: x")
    assert answer.status == 302
    assert app.requests == []
    assert auth.requests[0].all("upgrade") == []


async def test_whoever_is_not_asked_about_says_nothing_about_himself(edge: Edge) -> None:
    """`satisfy = "any"`: the known address comes in, and still is not whom it says."""
    auth, app = await start(edge, says(LOGIN), 'satisfy = "any"\nallow = "127.0.0.1"')
    client = await edge.client()
    assert (await client.ask("/", "Remote-User: admin")).status == 200
    assert (auth.requests, app.requests[0].all("remote-user")) == ([], [])


async def test_what_trusted_proxies_tell_is_passed_on(edge: Edge) -> None:
    auth, _ = await start(edge, says(LOGIN), trusted_proxies=["127.0.0.1"])
    client = await edge.client()
    await client.ask("/", "X-Forwarded-For: 9.9.9.9", "X-Forwarded-Proto: https", "X-Forwarded-Host: b.example")
    [asked] = auth.requests
    assert (asked.get("x-forwarded-for"), asked.get("x-forwarded-proto")) == ("9.9.9.9, 127.0.0.1", "https")
    assert asked.get("x-forwarded-host") == "b.example"


async def test_a_route_on_which_nobody_decides(edge: Edge) -> None:
    more = '[[sites."*".routes]]\npath = "/login"\nrespond = "please"\nforward_auth = false\n'
    auth, _ = await start(edge, says(LOGIN), more)
    client = await edge.client()
    assert (await client.ask("/login")).body == b"please"
    assert auth.requests == []
