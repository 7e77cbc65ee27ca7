from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from gapura.config.plan import Plan
from gapura.edge import error_pages

from .client import Answer, get
from .edge import Edge

TEXT = """
[sites."a.example"]
{keys}
routes = [{{ path = "/api/", respond = "api" }}]
[sites."b.example"]
respond = "b"
"""


async def serve(edge: Edge, keys: str = "", until: float = 0, message: str = "", **more: Any) -> None:
    """Serve with a.example in maintenance, as the master would have it."""
    error_pages.page.cache_clear()
    made = edge.plan

    def closed(text: str) -> Plan:
        plan = made(text)
        plan["sites"][0]["closed"] = {"since": time.time(), "until": until, "message": message}
        return plan

    edge.plan = closed  # type: ignore[method-assign]
    await edge.start(TEXT.format(keys=keys), **more)


async def ask(edge: Edge, target: str = "/", *lines: str, host: str = "a.example", method: str = "GET") -> Answer:
    client = await edge.client()
    client.send(get(target, *lines, host=host, method=method))
    return await client.answer(method)


@pytest.mark.parametrize("target", ["/", "/api/", "/api/x", "/none"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
async def test_every_request_is_told(edge: Edge, target: str, method: str) -> None:
    await serve(edge)
    answer = await ask(edge, target, method=method)
    assert answer.status == 503
    assert answer.get("retry-after") == "600"
    assert answer.get("cache-control") == "no-store"
    if method != "HEAD":
        assert answer.body.startswith(b"503 Back soon. This site is being worked on and will be back soon. Try again in 10 min.")


async def test_other_sites_are_open(edge: Edge) -> None:
    await serve(edge)
    assert (await ask(edge, host="b.example")).body == b"b"


@pytest.mark.parametrize(
    ("language", "said"),
    [("en-GB,en;q=0.9", "<h1>Back soon</h1>"), ("id-ID,id;q=0.9,en;q=0.5", "<h1>Segera kembali</h1>")],
)
async def test_browsers_get_a_page_in_their_language_that_looks_again(edge: Edge, language: str, said: str) -> None:
    await serve(edge)
    answer = await ask(edge, "/", "Accept: text/html", f"Accept-Language: {language}")
    assert answer.get("content-type") == "text/html; charset=utf-8"
    assert said in answer.body.decode()
    assert 'http-equiv="refresh" content="60"' in answer.body.decode()


async def test_a_message_is_shown_and_cannot_be_markup(edge: Edge) -> None:
    await serve(edge, message="New <shop>, €uro & all")
    assert "New &lt;shop&gt;, €uro &amp; all" in (await ask(edge, "/", "Accept: text/html")).body.decode()
    assert "New <shop>, €uro & all. Try again" in (await ask(edge)).body.decode()


async def test_a_known_end(edge: Edge) -> None:
    await serve(edge, until=time.time() + 100)
    assert 90 <= int((await ask(edge)).get("retry-after") or 0) <= 100


async def test_an_end_that_has_come(edge: Edge) -> None:
    await serve(edge, until=time.time() - 1)
    assert (await ask(edge, "/api/")).body == b"api"


async def test_the_page_of_the_site(edge: Edge, tmp_path: Path) -> None:
    (tmp_path / "soon.html").write_text("<p>$status soon</p>")
    await serve(edge, 'maintenance = { page = "soon.html", retry_after = "90s" }')
    answer = await ask(edge)
    assert (answer.status, answer.body, answer.get("retry-after")) == (503, b"<p>503 soon</p>", "90")
    assert answer.get("content-type") == "text/html; charset=utf-8"


async def test_without_the_page_there_is_another(edge: Edge) -> None:
    await serve(edge, 'maintenance = "soon.html"')
    assert b"Back soon" in (await ask(edge)).body


async def test_who_is_allowed_sees_the_site(edge: Edge) -> None:
    await serve(edge, 'maintenance = { allow = ["127.0.0.0/8", "fd00::/8"] }')
    assert (await ask(edge, "/api/")).body == b"api"


async def test_the_address_behind_a_trusted_proxy_counts(edge: Edge) -> None:
    await serve(edge, 'maintenance = { allow = ["10.0.0.0/8"] }', trusted_proxies=["127.0.0.1"])
    assert (await ask(edge, "/api/", "X-Forwarded-For: 10.1.2.3")).body == b"api"
    assert (await ask(edge, "/api/", "X-Forwarded-For: 192.0.2.1")).status == 503
    assert (await ask(edge, "/api/")).status == 503


async def test_who_is_not_cannot_say_so(edge: Edge) -> None:
    await serve(edge, 'maintenance = { allow = ["10.0.0.0/8"] }')
    assert (await ask(edge, "/api/", "X-Forwarded-For: 10.1.2.3")).status == 503


async def test_certificates_are_renewed_all_the_same(edge: Edge) -> None:
    await serve(edge)
    assert (await ask(edge, "/.well-known/acme-challenge/x")).status == 404
    for more in ("", "x/y", "..%2f..%2fapi%2f", "x;/y", "%5cx", "x%0a"):  # what a server behind may take for another path
        assert (await ask(edge, f"/.well-known/acme-challenge/{more}")).status == 503


async def test_a_body_that_nobody_reads(edge: Edge) -> None:
    await serve(edge)
    client = await edge.client()
    client.send(get("/", method="POST", body=b"x" * 5000))
    assert (await client.answer()).status == 503
    client.send(get("/"))
    assert (await client.answer()).status == 503
