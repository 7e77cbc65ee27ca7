"""Answers that the configuration holds."""

from __future__ import annotations

import pytest

from .client import get
from .edge import Edge


async def test_respond(edge: Edge) -> None:
    await edge.start('[sites."*"]\nrespond = { status = 418, body = "teh", type = "text/x-tea" }\n')
    client = await edge.client()
    for method in ("GET", "HEAD", "POST"):
        answer = await client.ask(method=method)
        assert (answer.status, answer.get("content-type"), answer.get("content-length")) == (418, "text/x-tea", "3")
        assert answer.body == (b"" if method == "HEAD" else b"teh")


@pytest.mark.parametrize(
    ("location", "target", "found"),
    [
        ("/new/$rest", "/old/a/b?c=d", "/new/a/b"),
        ("/new/$rest?$query", "/old/a?c=d", "/new/a?c=d"),
        ("https://b.example$uri", "/old/x", "https://b.example/old/x"),
        ("https://$host/x", "/old/", "https://a.example/x"),
        ("/$rest", "/old//evil.example", "/evil.example"),
        ("/$rest", "/old/%2Fevil.example", "/%2Fevil.example"),
        ("/$rest", "/old/%5Cevil.example", "/%5Cevil.example"),
        ("/$rest", "/old/a%0d%0aX:%20y", "/a%0D%0AX:%20y"),
        ("/$rest", "/old/%3Fa%23b", "/%3Fa%23b"),
        ("/$rest", "/old/%2541", "/%2541"),
        ("/$rest", "/old/%E4%22", "/%E4%22"),
        ("$uri", "/old//..//evil", "/old//evil"),
    ],
)
async def test_redirect(edge: Edge, location: str, target: str, found: str) -> None:
    await edge.start(f'[[sites."*".routes]]\npath = "/old/"\nredirect = {{ to = "{location}", status = 308 }}\n')
    client = await edge.client()
    answer = await client.ask(target)
    assert (answer.status, answer.get("location"), answer.body) == (308, found, b"")
    assert answer.all("x") == []


async def test_a_body_before_a_fixed_answer_is_no_request(edge: Edge) -> None:
    await edge.start('[sites."*"]\nrespond = "hi"\n')
    client = await edge.client()
    client.send(get("/", method="POST", body=get("/smuggled")) + get("/"))
    assert [(await client.answer()).body for _ in range(2)] == [b"hi", b"hi"]
    client.eof()
    assert await client.end() == b""
