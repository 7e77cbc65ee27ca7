"""Old addresses, and header fields of whatever answers: sites and routes together."""

from __future__ import annotations

import pytest

from .edge import Edge

SITE = """
[upstreams.u]
servers = ["{address}"]
[sites."*"]
respond = {{ status = 404, body = "nothing at $uri" }}
response_headers = {{ set = {{ X-Site = "site $site", X-Both = "of the site", X-Frame-Options = "DENY" }}, remove = ["Server"] }}
redirects = [
  {{ match = "^/blog/(?<year>[0-9]+)/(.*)$", to = "https://blog.example/$year-$2", status = 301 }},
  {{ path = "/old.html", to = "/new.html?$args", status = 308 }},
  {{ path = "/a%20b", to = "/ab" }},
  {{ match = "^/go(.*)", to = "/$1" }},
]
[[sites."*".routes]]
path = "/api/"
proxy = "u"
response_headers = {{ set = {{ X-Both = "of the route" }}, add = {{ Set-Cookie = ["x=1", "y=2"] }}, remove = "X-Frame-Options" }}
request_headers = {{ set = {{ X-Real-IP = "$remote_addr" }}, remove = ["Cookie", "X-Secret"] }}
[[sites."*".routes]]
path = "/own/"
redirects = [{{ path = "/own/x", to = "/y" }}]
respond = "own"
"""


async def started(edge: Edge) -> None:
    backend = await edge.backend()
    await edge.start(SITE.format(address=backend.address))


@pytest.mark.parametrize(
    ("target", "status", "location"),
    [
        ("/old.html", 308, "/new.html?"),
        ("/old.html?a=b", 308, "/new.html?a=b"),
        ("/old%2Ehtml", 308, "/new.html?"),
        ("/a%20b", 302, "/ab"),
        ("/blog/2024/x%20y?z", 301, "https://blog.example/2024-x%20y"),
        ("/api/../old.html", 308, "/new.html?"),
        ("/go//evil.example", 302, "/evil.example"),
        ("/go/%5Cevil.example", 302, "/%5Cevil.example"),
        ("/go%0d%0aSet-Cookie:%20a=b", 302, "/%0D%0ASet-Cookie:%20a=b"),
        ("/blog/x/y", 404, None),
        ("/own/x", 302, "/y"),
        ("/own/old.html", 200, None),
    ],
)
async def test_redirects(edge: Edge, target: str, status: int, location: str | None) -> None:
    await started(edge)
    answer = await (await edge.client()).ask(target)
    assert (answer.status, answer.get("location")) == (status, location)
    assert answer.get("x-site") == "site *"
    assert answer.all("set-cookie") == []


async def test_header_fields_of_site_and_route(edge: Edge) -> None:
    await started(edge)
    client = await edge.client()
    answer = await client.ask("/api/x", "Cookie: a=b", "X-Secret: 1", "X-Real-IP: 6.6.6.6")
    assert (answer.get("x-site"), answer.get("x-both"), answer.get("x-frame-options")) == ("site *", "of the route", None)
    assert answer.all("set-cookie") == ["x=1", "y=2"]
    request = edge.backends[0].requests[0]
    assert (request.get("x-real-ip"), request.get("cookie"), request.get("x-secret")) == ("127.0.0.1", None, None)
    answer = await client.ask("/else")
    assert (answer.get("x-both"), answer.get("x-frame-options")) == ("of the site", "DENY")
    assert answer.body == b"nothing at /else"


async def test_errors_have_the_header_fields_too(edge: Edge) -> None:
    await started(edge)
    await edge.backends[0].stop()
    answer = await (await edge.client()).ask("/api/x", method="POST", body=b"x")
    assert answer.status in (502, 503)
    assert (answer.get("x-site"), answer.get("x-both")) == ("site *", "of the route")


async def test_what_is_refused_before_all_steps_has_them_too(edge: Edge) -> None:
    await edge.start('[sites."*"]\nrespond = "x"\nbody_limit = 3\nresponse_headers = { set = { X-A = "$status" } }\n')
    answer = await (await edge.client()).ask("/", method="POST", body=b"four")
    assert (answer.status, answer.get("x-a")) == (413, "413")


async def test_a_path_without_a_route(edge: Edge) -> None:
    await edge.start("""
[sites."*"]
redirects = [{ path = "/old", to = "/a/new" }]
response_headers = { set = { X-A = "$status" } }
[[sites."*".routes]]
path = "/a/"
respond = "a"
""")
    client = await edge.client()
    assert (await client.ask("/old")).get("location") == "/a/new"
    answer = await client.ask("/else", "Accept: text/html")
    assert (answer.status, answer.get("x-a")) == (404, "404")
    assert b"There is no page" in answer.body
    assert (await client.ask("/a/")).body == b"a"


async def test_another_method_than_those_of_the_route(edge: Edge) -> None:
    await edge.start('[[sites."*".routes]]\nmethods = "PUT"\nrespond = "x"\nresponse_headers = { set = { X-A = "$status" } }\n')
    answer = await (await edge.client()).ask("/")
    assert (answer.status, answer.get("x-a"), answer.get("allow")) == (405, "405", "PUT")
