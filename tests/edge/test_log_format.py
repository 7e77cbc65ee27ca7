"""Lines in all formats: what they tell, and what they do not."""

from __future__ import annotations

import json

import pytest

from gapura.edge.exchange import Exchange
from gapura.edge.router import NEXT

from .edge import Edge

ADDRESS = "127.0.0.1"


@pytest.mark.parametrize(
    ("log", "more", "line"),
    [
        ("$request", "", "GET /a?token=***&b=1 HTTP/1.1"),
        ("$request_uri", "", "/a?token=***&b=1"),
        ("$args|$query", "", "token=***&b=1|token=***&b=1"),
        ("$http_referer", "", "http://r.example/?password=***"),
        ("$uri", "", "/a"),
        ("$request_uri", "mask = false", "/a?token=s3cret&b=1"),
        ("$request_uri", 'mask = ["b"]', "/a?token=s3cret&b=***"),
        ("$remote_addr", "", ADDRESS),
        ("$remote_addr", "anonymize = true", "127.0.0.0"),
    ],
)
async def test_secrets_in_a_format_of_ones_own(edge: Edge, log: str, more: str, line: str) -> None:
    words = f'path = "x.log", format = "{log}"' + (f", {more}" if more else "")
    await edge.start(f'[sites."*"]\nrespond = "hi"\naccess_log = {{ {words} }}\n')
    await (await edge.client()).ask("/a?token=s3cret&b=1", "Referer: http://r.example/?password=s3cret")
    edge.worker.logs.flush()
    assert (edge.folder / "x.log").read_text() == f"{line}\n"


@pytest.mark.parametrize("log", ["combined", "common", "json"])
@pytest.mark.parametrize("more", ["", ", mask = false, anonymize = true"])
async def test_secrets_in_ours(edge: Edge, log: str, more: str) -> None:
    await edge.start(f'[sites."*"]\nrespond = "hi"\naccess_log = {{ path = "x.log", format = "{log}"{more} }}\n')
    client = await edge.client()
    for _ in range(2):  # the second time from memory
        await client.ask("/a?token=s3cret", "Referer: http://r.example/?code=s3cret")
    edge.worker.logs.flush()
    text = (edge.folder / "x.log").read_text()
    assert text.count("s3cret") == (0 if not more else 2 if log == "common" else 4)
    assert text.count("***") == (0 if more else 2 if log == "common" else 4)
    assert text.count("127.0.0.0") == (2 if more else 0)


@pytest.mark.parametrize(
    ("user", "written"), [(b"bob", "bob"), (b'a b" [x', "a\\x20b\\x22\\x20[x"), (b"", "-"), (b"\xff\n", "\\xff\\x0a")]
)
@pytest.mark.parametrize("name", ["combined", "common"])
async def test_who_has_logged_in(edge: Edge, name: str, user: bytes, written: str) -> None:
    """The third word is the user, as in nginx; it cannot break the line."""
    hashed = "$apr1$lWZ3Zl5a$vWGTeE5wZ1Hh5jcGvGD8j/"
    site = f'[sites."*"]\nrespond = "hi"\naccess_log = {{ path = "x.log", format = "{name}" }}\n'
    await edge.start(f'{site}basic_auth = {{ users = {{ bob = "{hashed}" }} }}\n')
    route = edge.worker.snapshot.router.sites[0].routes[0]
    assert route.log is not None
    assert not route.log.short

    def login(exchange: Exchange) -> int:
        if user:
            exchange.user = user
        return NEXT

    route.steps = (login, route.steps[-1])
    await (await edge.client()).ask()
    edge.worker.logs.flush()
    (line,) = (edge.folder / "x.log").read_text().splitlines()
    assert line.startswith(f"127.0.0.1 - {written} [")


@pytest.mark.parametrize("name", ["combined", "json"])
async def test_fields_are_promised(edge: Edge, name: str) -> None:
    await edge.start('[sites."*"]\nrespond = "hi"\n', log=name)
    await (await edge.client()).ask("/x")
    (line,) = edge.lines()
    if name == "json":
        assert list(json.loads(line))[:18] == [
            *("time_iso8601", "remote_addr", "remote_user", "site", "request_method", "request_uri", "server_protocol", "status"),
            *("body_bytes_sent", "http_referer", "http_user_agent", "request_id", "upstream", "server", "upstream_addr", "tries"),
            *("request_time", "upstream_time"),
        ]
    else:
        assert len(line.split('"')[-1].split()) == 5
