"""Hosts and paths lead to one route, or to a plain refusal."""

from __future__ import annotations

import pytest

from .client import get
from .edge import Edge


def site(host: str, *routes: str) -> str:
    return f'[sites."{host}"]\nrespond = "{host}"\n' + "".join(f'[[sites."{host}".routes]]\n{route}\n' for route in routes)


SITES = site("a.example") + site("*.b.example") + site("*.c.b.example")


@pytest.mark.parametrize(
    ("host", "body"),
    [
        ("a.example", "a.example"),
        ("A.Example:8080", "a.example"),
        ("a.example.", "a.example"),
        ("x.b.example", "*.b.example"),
        ("x.y.b.example", "*.b.example"),
        ("x.c.b.example", "*.c.b.example"),
        ("c.b.example", "*.b.example"),
    ],
)
async def test_hosts(edge: Edge, host: str, body: str) -> None:
    await edge.start(SITES)
    client = await edge.client()
    for _ in range(2):  # the second time from memory
        client.send(get("/", host=host))
        assert (await client.answer()).body.decode() == body


@pytest.mark.parametrize("host", ["b.example", "z.example", "127.0.0.1", "aexample", "xb.example"])
async def test_an_unknown_host_is_421_never_another_site(edge: Edge, host: str) -> None:
    await edge.start(SITES)
    client = await edge.client()
    client.send(get("/", host=host))
    answer = await client.answer()
    assert answer.status == 421
    assert host in answer.body.decode()
    client.send(b"GET / HTTP/1.0\r\n\r\n")
    assert (await client.answer()).status == 421


async def test_a_site_for_all_the_rest(edge: Edge) -> None:
    await edge.start(SITES + site("*"))
    client = await edge.client()
    for host, body in (("z.example", b"*"), ("a.example", b"a.example")):
        client.send(get("/", host=host))
        assert (await client.answer()).body == body
    client.send(b"GET / HTTP/1.0\r\n\r\n")
    assert (await client.answer()).body == b"*"


async def test_the_host_of_an_absolute_target_counts(edge: Edge) -> None:
    await edge.start(SITES)
    client = await edge.client()
    client.send(get("http://x.b.example/", host="a.example"))
    assert (await client.answer()).body == b"*.b.example"


@pytest.mark.parametrize(
    ("target", "body"),
    [
        ("/", b"a.example"),
        ("/x", b"exact"),
        ("/x?y", b"exact"),
        ("/%78", b"exact"),
        ("/x/", b"a.example"),
        ("/api/", b"api"),
        ("/api/v1/z", b"v1"),
        ("/api/v1/../z", b"api"),
        ("/api/..", b"a.example"),
        ("/api", b"a.example"),
        ("/api%2Fv1/", b"a.example"),
    ],
)
async def test_paths(edge: Edge, target: str, body: bytes) -> None:
    routes = [
        'path = "/x"\nkind = "exact"\nrespond = "exact"',
        'path = "/api/"\nrespond = "api"',
        'path = "/api/v1/"\nrespond = "v1"',
    ]
    await edge.start(site("a.example", *routes))
    assert (await (await edge.client()).ask(target)).body == body


async def test_no_route_is_404(edge: Edge) -> None:
    await edge.start('[[sites."*".routes]]\npath = "/x"\nrespond = "x"\n')
    client = await edge.client()
    assert (await client.ask("/y")).status == 404
    assert (await client.ask("/x")).status == 200
