"""Answers that the configuration holds."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapura.edge.replies import location
from gapura.edge.variables import quote_url

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


@pytest.mark.parametrize(
    ("kind", "found"),
    [
        ("text/html; charset=utf-8", b"&lt;b&gt;&quot;&#x27;&amp;"),
        ("image/svg+xml", b"&lt;b&gt;&quot;&#x27;&amp;"),
        ("application/json", b'\\u003cb\\u003e\\"\\u0027\\u0026'),
        ("text/javascript", b'\\u003cb\\u003e\\"\\u0027\\u0026'),
        ("text/plain", b"<b>\"'&"),
    ],
)
async def test_variables_in_a_body_are_escaped_for_its_type(edge: Edge, kind: str, found: bytes) -> None:
    await edge.start(f'[[sites."*".routes]]\npath = "/x/"\nrespond = {{ body = "[$rest] ${{dollar}}5", type = "{kind}" }}\n')
    answer = await (await edge.client()).ask("/x/%3Cb%3E%22%27%26")
    assert answer.body == b"[" + found + b"] $5"
    assert answer.get("x-content-type-options") == "nosniff"


async def test_groups_of_a_regex(edge: Edge) -> None:
    await edge.start(r"""
[[sites."*".routes]]
kind = "regex"
path = '^/(?<lang>[a-z]{2})/(.*)$'
redirect = { to = "https://$host/$2?lang=$lang", status = 301 }
[[sites."*".routes]]
kind = "regex"
path = '^/say/(.+)$'
respond = "$1!"
""")
    client = await edge.client()
    assert (await client.ask("/de/a%20b%2Fc?x")).get("location") == "https://a.example/a%20b%2Fc?lang=de"
    assert (await client.ask("/de//evil.example")).get("location") == "https://a.example//evil.example?lang=de"
    assert (await client.ask("/say/hi")).body == b"hi!"


TEXT = st.text(alphabet="/\\.%\r\n\t@:?#&=;<> aé\0", max_size=20).map(lambda text: text.encode())


@given(TEXT, st.sampled_from(["/$rest", "/new$uri", "$uri", "/x?$args", "/$1", "https://b.example/$rest", "https://b.example$uri"]))
def test_a_location_is_one_line_and_stays_on_its_host(path: bytes, to: str) -> None:
    path = b"/" + path
    match = re.match(rb"(?s)/(.*)", path)
    asked = SimpleNamespace(
        head=SimpleNamespace(path=path, target=b"/?" + quote_url(path)),
        groups=match,
        rewritten=b"",
        route=SimpleNamespace(prefix=b"/", regex=None),
    )
    found = location(to)(cast(Any, asked))
    assert all(0x21 <= byte < 0x7F for byte in found)
    if to.startswith("https"):
        assert urlsplit(found.decode()).netloc == "b.example"
    else:
        assert found.startswith(b"/")
        assert not found.startswith((b"//", b"/\\"))
