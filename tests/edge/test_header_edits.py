"""Header fields: what is added, taken away, and never gets in."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapura.edge.header_edits import MAX_VALUE, clean, compile_edit

from .backend import Request, Wire, saying
from .client import get
from .edge import Edge


def exchange(**known: Any) -> Any:
    return SimpleNamespace(groups=None, rewritten=b"", **known)


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (b"a", b"a"),
        (b" a\tb ", b"ab"),
        (b"a\r\nSet-Cookie: x=y", b"aSet-Cookie: x=y"),
        (b"a\nb", b"ab"),
        (b"\0\x7f\x1b", b""),
        (b"\xe4", b"\xe4"),
        (b"x" * 9000, b"x" * MAX_VALUE),
    ],
)
def test_a_value_is_one_line(value: bytes, found: bytes) -> None:
    assert clean(value) == found


@given(st.binary(max_size=50))
def test_nothing_ends_a_line(value: bytes) -> None:
    edit = compile_edit({"remove": ["x-a"], "add": [["X-A", "<$uri>"], ["X-B", "$uri"]]})
    lines = edit(exchange(head=SimpleNamespace(path=value)), [b"X-a: old", b"Y: z"])
    assert lines[0] == b"Y: z"
    assert len(lines) == (3 if clean(value) else 2)
    for line in lines:
        assert not set(line) & {*range(0x20), 0x7F}


async def test_what_a_server_gets(edge: Edge) -> None:
    backend = await edge.backend()
    await edge.start(f"""
[upstreams.u]
servers = ["{backend.address}"]
[[sites."*".routes]]
path = "^/(?<who>[^/]*)/(.*)$"
kind = "regex"
proxy = "u"
host_header = "inner.example"
[sites."*".routes.request_headers.set]
X-Who = "$who"
X-Rest = "$2"
X-Forwarded-Proto = "https"
X-Empty = "$arg_nothing"
Authorization = "Basic abc"
X-Lang = "$http_accept_language"
X-Arg = "$arg_a"
X-Cookie = "$cookie_c"
X-Type = "$content_type;$content_length"
X-Ports = "${{server_port}}"
X-Query = "$uri$is_args$args"
X-Dollar = "${{dollar}}5"
[sites."*".routes.request_headers.add]
Via = ["1.1 a", "1.1 b"]
""")
    client = await edge.client()
    target = "/tom%0d%0aX-Evil:%201/r?a=1&b=2"
    lines = ["Accept-Language: de", "X-Who: me", "X-Empty: x", "Cookie: c=d; e=f", "Via: 1.0 c", "Content-Type: text/x"]
    client.send(get(target, *lines, "Authorization: Basic mine", "Connection: keep-alive", method="PUT", body=b"body"))
    assert (await client.answer()).status == 200
    request = backend.requests[0]
    assert request.body == b"body"
    assert request.get("host") == "inner.example"
    assert request.get("x-who") == "tomX-Evil: 1"
    assert request.get("x-evil") is None
    assert request.get("x-rest") == "r"
    assert request.get("x-forwarded-proto") == "https"
    assert request.get("x-forwarded-for") == "127.0.0.1"
    assert request.get("x-empty") is None
    assert request.get("authorization") == "Basic abc"
    assert request.get("x-lang") == "de"
    assert (request.get("x-arg"), request.get("x-cookie"), request.get("x-type")) == ("1", "d", "text/x;4")
    assert request.get("x-ports") == str(edge.port)
    assert request.get("x-query") == "/tomX-Evil: 1/r?a=1&b=2"
    assert request.get("x-dollar") == "$5"
    assert request.all("via") == ["1.0 c", "1.1 a", "1.1 b"]


ANSWER = b"HTTP/1.1 200 OK\r\nServer: x/1\r\nX-Powered-By: PHP\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 2\r\n\r\nok"


async def test_what_a_client_gets(edge: Edge) -> None:
    backend = await edge.backend(saying(ANSWER))
    await edge.start(f"""
[upstreams.u]
servers = ["{backend.address}"]
[sites."*"]
proxy = "u"
[sites."*".response_headers]
remove = ["server", "X-POWERED-BY"]
set = {{ X-From = "$upstream_addr $status $upstream", X-Path = "$uri" }}
add = {{ Set-Cookie = "c=$remote_addr" }}
""")
    client = await edge.client()
    for target in ("/", "/a%0d%0aX-Evil:%201"):
        answer = await client.ask(target)
        assert answer.body == b"ok"
        assert (answer.get("server"), answer.get("x-powered-by"), answer.get("x-evil")) == (None, None, None)
        assert answer.get("x-from") == f"{backend.address} 200 u"
        assert answer.all("set-cookie") == ["a=1", "b=2", "c=127.0.0.1"]
    assert (await client.ask("/", method="HEAD")).get("x-path") == "/"


async def test_an_upgrade_has_them_too(edge: Edge) -> None:
    async def switch(request: Request, wire: Wire) -> None:
        wire.say(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        await wire.over.wait()

    backend = await edge.backend(switch)
    await edge.start(f'[sites."*"]\nproxy = "{backend.address}"\nresponse_headers = {{ set = {{ X-A = "$status" }} }}\n')
    client = await edge.client()
    client.send(get("/", "Connection: Upgrade", "Upgrade: websocket"))
    head = await client.head()
    assert (head.status, head.get("x-a"), head.get("upgrade")) == (101, "101", "websocket")
    client.reset()
