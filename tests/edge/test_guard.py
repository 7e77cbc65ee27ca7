"""The order in which a request is judged, and limits that hold while it is."""

from __future__ import annotations

import asyncio

import pytest

from gapura.edge import basic_auth, guard
from gapura.edge.router import Step

from .backend import Request, Wire
from .client import get
from .edge import Edge

SHA = "{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ="  # secret
LOGIN = "Authorization: Basic YWxpY2U6c2VjcmV0"
USERS = f'basic_auth = {{ users = {{ alice = "{SHA}" }} }}'


def names(edge: Edge) -> list[str]:
    """The steps of the only route, by the names of their classes or functions."""

    def name(step: Step) -> str:
        inner = getattr(step, "func", step)
        return getattr(inner, "__name__", type(inner).__name__)

    return [name(step) for step in edge.worker.snapshot.router.site(b"a")[1].only.steps]  # type: ignore[union-attr]


async def test_a_plain_route_has_no_step_more(edge: Edge) -> None:
    await edge.start('[sites."*"]\nrespond = "x"\n')
    assert len(names(edge)) == 1


async def test_the_order(edge: Edge) -> None:
    (edge.folder / "key").write_text("x" * 40)
    await edge.start(
        f"""
        [sites."*"]
        proxy = "127.0.0.1:9"
        {USERS}
        jwt = {{ keys = "key", header = "X-Token" }}
        forward_auth = {{ to = "127.0.0.1:9", headers = "Remote-User" }}
        allow = "private"
        cors = true
        security_headers = true
        """
    )
    found = names(edge)
    assert found[:-1] == [
        "SecurityHeaders", "dress", "_network", "preflight", "_strip", "BasicAuth", "Tokens", "ForwardAuth",
    ]  # fmt: skip


async def test_all_must_be_satisfied(edge: Edge) -> None:
    (edge.folder / "key").write_text("x" * 40)
    await edge.start(f'[sites."*"]\nrespond = "x"\n{USERS}\njwt = {{ keys = "key", header = "X-Token" }}\n')
    client = await edge.client()
    assert (await client.ask("/", LOGIN)).status == 401
    assert (await client.ask("/", "X-Token: x")).status == 401
    assert basic_auth.AUTHORIZATION


@pytest.mark.parametrize("more", ["", USERS])
async def test_the_body_limit_of_a_route_holds(edge: Edge, more: str) -> None:
    """Announced or in chunks, and also while the request waits for a decision."""
    backend = await edge.backend()
    site = f'[sites."*"]\nproxy = "{backend.address}"\n{more}\nbody_limit = 10\n'
    await edge.start(site + '[[sites."*".routes]]\npath = "/large"\nproxy = "' + backend.address + '"\nbody_limit = "none"\n')
    small, large = b"x" * 10, b"x" * 11

    async def send(target: str, body: bytes, chunked: bool) -> int:
        client = await edge.client()
        if chunked:
            head = get(target, LOGIN, "Transfer-Encoding: chunked", method="POST")
            client.send(head + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body))
        else:
            client.send(get(target, LOGIN, method="POST", body=body))
        return (await client.answer()).status

    for chunked in (False, True):
        assert await send("/", small, chunked) == 200
        assert await send("/", large, chunked) == 413
        assert await send("/large", large * 1000, chunked) == 200
    assert {len(request.body) for request in backend.requests if len(request.body) <= 11} <= {0, 10}


async def test_pipelined_requests_are_judged_in_turn(edge: Edge) -> None:
    await edge.start(f'[sites."*"]\nrespond = "in"\n{USERS}\n')
    client = await edge.client()
    client.send(get("/", LOGIN) + get("/", method="POST", body=b"abc") + get("/", LOGIN, method="POST", body=b"x" * 9) + get("/"))
    assert [(await client.answer()).status for _ in range(4)] == [200, 401, 200, 401]


async def test_a_client_that_has_said_all_still_gets_its_answer(edge: Edge) -> None:
    await edge.start(f'[sites."*"]\nrespond = "in"\n{USERS}\n')
    client = await edge.client()
    client.send(get("/", LOGIN))
    client.eof()
    assert (await client.answer()).body == b"in"
    assert await client.end() == b""


async def test_an_upgrade_passes_all_of_it(edge: Edge) -> None:
    async def auth(request: Request, wire: Wire) -> None:
        wire.reply(b"", "200 OK", "Remote-User: alice", "Set-Cookie: s=1")

    async def app(request: Request, wire: Wire) -> None:
        wire.say(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nX-Powered-By: x\r\n\r\nhello")
        wire.say(await wire.reader.readexactly(3))

    decides, behind = await edge.backend(auth), await edge.backend(app)
    await edge.start(
        f"""
        [sites."*"]
        proxy = "{behind.address}"
        {USERS}
        forward_auth = {{ to = "{decides.address}", headers = "Remote-User", answer_headers = "Set-Cookie" }}
        allow = "private"
        cors = {{ origins = "https://a.example", credentials = true }}
        security_headers = true
        """
    )
    client = await edge.client()
    client.send(get("/", LOGIN, "Connection: Upgrade", "Upgrade: websocket", "Origin: https://a.example"))
    head = await client.head()
    assert (head.status, head.get("upgrade"), head.get("set-cookie")) == (101, "websocket", "s=1")
    assert (head.get("access-control-allow-origin"), head.get("x-powered-by")) == ("https://a.example", None)
    assert await client.reader.readexactly(5) == b"hello"
    client.send(b"abc")
    assert await client.reader.readexactly(3) == b"abc"
    assert behind.requests[0].get("remote-user") == "alice"


async def test_a_long_body_waits_in_the_kernel(edge: Edge) -> None:
    """Not in the worker: while somebody decides, no more is read than what came along."""
    let = asyncio.Event()

    async def auth(request: Request, wire: Wire) -> None:
        await let.wait()
        wire.reply(b"", "204 No Content", length=False)

    decides, behind = await edge.backend(auth), await edge.backend()
    text = f'[sites."*"]\nproxy = "{behind.address}"\nbody_limit = "none"\nforward_auth = {{ to = "{decides.address}" }}\n'
    await edge.start(text)
    client = await edge.client()
    body = b"x" * 8_000_000
    client.send(get("/", method="POST", body=body))
    await edge.until(lambda: decides.requests)
    [connection] = edge.worker.connections
    await edge.until(lambda: connection.body_paused)
    held = sum(map(len, connection.exchange.handler._parts))  # type: ignore[union-attr]
    assert held < 1_000_000
    let.set()
    assert (await client.answer()).status == 200
    assert behind.requests[0].body == body


def test_nothing_is_asked_for_nothing_is_done() -> None:
    plan: guard.AccessPlan = {
        "networks": None, "satisfy": "all", "basic_auth": None, "forward_auth": None, "jwt": None, "cors": None,
        "security_headers": None,
    }  # fmt: skip
    assert (guard.steps(plan), guard.dressing(plan)) == ([], [])


async def test_the_path_without_its_slash_is_guarded_too(edge: Edge) -> None:
    """An application that reads /admin and /admin/ alike would answer it by the route for /."""
    backend = await edge.backend()
    site = f'proxy = "{backend.address}"\n[[sites."*".routes]]\npath = "/admin/"\nproxy = "{backend.address}"\n{USERS}\n'
    await edge.start(f'[sites."*"]\n{site}')
    client = await edge.client()
    assert (await client.ask("/admin")).status == 401
    answer = await client.ask("/admin?a=b", LOGIN)
    assert (answer.status, answer.get("location")) == (301, "/admin/?a=b")
    assert backend.requests == []
    assert (await client.ask("/administrator")).status == 200
