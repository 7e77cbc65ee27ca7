"""What a path becomes on its way to a server, and when other routes are looked up by it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapura.edge.rewrite import Rewrite, replace_prefix, strip_prefix
from gapura.edge.variables import quote_path
from gapura.errors import ClientError
from gapura.wire.target import resolve

from .edge import Edge


def exchange(target: bytes) -> Any:
    path, forwarded = resolve(target)
    return SimpleNamespace(
        head=SimpleNamespace(path=path, target=forwarded, lines=[]),
        groups=None,
        rewritten=b"",
        route=SimpleNamespace(prefix=b"/", regex=None),
    )


@pytest.mark.parametrize(
    ("prefix", "target", "found"),
    [
        (b"/api", b"/api/x", b"/x"),
        (b"/api", b"/api/", b"/"),
        (b"/api", b"/api", b"/"),
        (b"/api", b"/api?a=b", b"/?a=b"),
        (b"/api", b"/api/x?a=/api/y", b"/x?a=/api/y"),
        (b"/api", b"/apis", b"/apis"),
        (b"/api", b"/other", b"/other"),
        (b"/api", b"/%61pi/x%2Fy", b"/x%2Fy"),
        (b"/api", b"/%61pi?a", b"/?a"),
        (b"/api", b"/api%2Fx", b"/api%2Fx"),
        (b"/api", b"/api//evil", b"//evil"),
        (b"/api", b"/%61pi/%252e%252e", b"/%252e%252e"),
        (b"/a b", b"/a%20b/c%20d", b"/c%20d"),
    ],
)
def test_a_prefix_is_stripped(prefix: bytes, target: bytes, found: bytes) -> None:
    assert strip_prefix(prefix)(exchange(target)) == found


@pytest.mark.parametrize(
    ("target", "found"),
    [
        (b"/api/x%20y?z", b"/v%202/x%20y?z"),
        (b"/%61pi/x%2Fy?z", b"/v%202/x%2Fy?z"),
        (b"/api/", b"/v%202/"),
        (b"/api/../api/a", b"/v%202/a"),
    ],
)
def test_a_prefix_is_replaced(target: bytes, found: bytes) -> None:
    assert replace_prefix(b"/api/", b"/v%202/")(exchange(target)) == found


@pytest.mark.parametrize(
    ("match", "to", "target", "found"),
    [
        ("^/old/(.*)", "/new/$1", b"/old/a/b", b"/new/a/b"),
        ("^/old/(.*)", "/new/$1", b"/old/a?x=1", b"/new/a?x=1"),
        ("^/old/(.*)", "/new/$1?y=2", b"/old/a?x=1", b"/new/a?y=2"),
        ("^/old/(.*)", "/new/$1?y=2&$args", b"/old/a?x=1", b"/new/a?y=2&x=1"),
        ("^/old/(.*)", "/new/$1?y=2&$args", b"/old/a", b"/new/a?y=2"),
        ("^/old/(.*)", "/new/$1?", b"/old/a?x=1", b"/new/a"),
        ("^/old/(.*)", "/new?p=$1", b"/old/a&b=c", b"/new?p=a%26b%3Dc"),
        ("^/old/(?P<rest_of_it>.*)", "/new/${rest_of_it}x", b"/old/a", b"/new/ax"),
        ("^/(.)(.)?", "/$2/$1", b"/a", b"/a"),
        ("^/old/(.*)", "/new/$1", b"/old/a%2Fb", b"/new/a%2Fb"),
        ("^/old/(.*)", "/new/$1", b"/old/a%252Fb", b"/new/a%252Fb"),
        ("^/old/(.*)", "/new/$1", b"/old/a%252fb", b"/new/a%252fb"),
        ("^/old/(.*)", "/new/$1", b"/old/%2541", b"/new/%2541"),
        ("^/old/(.*)", "/new/$1", b"/old/%3Fa%23b", b"/new/%3Fa%23b"),
        ("^/old/(.*)", "/new/$1", b"/old/%0d%0aX:y", b"/new/%0D%0AX:y"),
        ("^/old/(.*)", "/new/$1", b"/old/%E4", b"/new/%E4"),
        ("^/old/(.*)", "$1", b"/old/a", b"/a"),
        ("^/old(.*)", "/$1", b"/old//evil", b"/evil"),
        ("", "/fixed", b"/whatever?q", b"/fixed?q"),
        ("", "$request_uri", b"/a?b", b"/a?b"),
        ("", "/x/$arg_p", b"/a?p=b", b"/x/b?p=b"),
        ("", "/x/$arg_p?", b"/a?p=%2e%2e/y", b"/y"),
        ("", "/x/$arg_p?", b"/a?p=%2e%2e%2fy", b"/x/%2e%2e%2fy"),
    ],
)
def test_a_regex(match: str, to: str, target: bytes, found: bytes) -> None:
    one = exchange(target)
    assert Rewrite({"match": match, "to": to, "reroute": False}).apply(one)
    assert one.rewritten == found
    assert one.groups is None


def test_what_does_not_fit_stays() -> None:
    one = exchange(b"/a")
    assert not Rewrite({"match": "^/b", "to": "/c", "reroute": False}).apply(one)
    assert (one.rewritten, one.head.path) == (b"", b"/a")


@pytest.mark.parametrize(
    ("to", "target", "status"),
    [
        ("/$arg_p?", b"/?p=../..", 400),
        ("/$arg_p?", b"/?p=%00", 400),
        ("/$arg_p?", b"/?p=%zz", 400),
        ("/$1$1$1$1$1?", b"/" + b"a" * 8000, 414),
    ],
)
def test_what_makes_no_target(to: str, target: bytes, status: int) -> None:
    with pytest.raises(ClientError) as caught:
        Rewrite({"match": "^/(.*)", "to": to, "reroute": False}).apply(exchange(target))
    assert caught.value.status == status


ESCAPES = st.sampled_from(b"/ . .. a %2F %2f %25 %252F %0d%0a %20 %3F %E4 2F %5C // ? &".split())


@given(st.lists(ESCAPES, max_size=12).map(b"".join))
def test_a_rewritten_target_is_safe_and_says_the_same(tail: bytes) -> None:
    try:
        one = exchange(b"/old/" + tail)
    except ClientError:
        return
    if not one.head.path.startswith(b"/old/"):
        return
    assert Rewrite({"match": "^/old/(.*)", "to": "/new/$1", "reroute": False}).apply(one)
    target = one.rewritten
    assert target.startswith(b"/new/")
    assert all(0x21 <= byte < 0x7F for byte in target)
    path = cast(bytes, one.head.target).partition(b"?")[0]
    assert unquote_to_bytes(target.partition(b"?")[0])[5:] == unquote_to_bytes(path)[5:]
    assert target.partition(b"?")[0].count(b"/") == path.count(b"/")


@given(st.lists(ESCAPES, max_size=12).map(b"".join))
def test_a_decoded_path_is_encoded_back_exactly(tail: bytes) -> None:
    try:
        path, target = resolve(b"/" + tail)
    except ClientError:
        return
    again = quote_path(path)
    assert unquote_to_bytes(again) == unquote_to_bytes(target.partition(b"?")[0])
    assert resolve(again)[0] == path


SITE = """
[upstreams.u]
servers = ["{address}"]
[[sites."*".routes]]
path = "/api/"
proxy = "u"
strip_prefix = "/api"
[[sites."*".routes]]
path = "^/users/(?<id>[0-9]+)$"
kind = "regex"
proxy = "u"
rewrite = "/user?id=$id"
[[sites."*".routes]]
path = "/old/"
rewrite = {{ match = "^/old/(.*)$", to = "/plain/$1", reroute = true }}
respond = "not rewritten"
[[sites."*".routes]]
path = "/plain/"
proxy = "u"
[[sites."*".routes]]
path = "/files/"
rewrite = [
  {{ match = "^/files/a$", to = "/page/$request_method", reroute = true }},
  {{ match = "b$", to = "/api/b?x", reroute = true }},
]
respond = "none"
[[sites."*".routes]]
path = "/page/"
respond = {{ body = "$uri $request_uri $rest $args" }}
[[sites."*".routes]]
path = "/page/"
match = {{ query = {{ new = true }} }}
respond = "by its new argument"
[[sites."*".routes]]
path = "/newly/"
rewrite = {{ to = "/page/x?new=1", reroute = true }}
respond = "never"
[[sites."*".routes]]
path = "/round"
rewrite = {{ to = "/round/about", reroute = true }}
respond = "never"
[[sites."*".routes]]
path = "/multi/"
proxy = "u"
rewrite = [{{ match = "^/multi/a/(.*)", to = "/A/$1" }}, {{ match = "^/multi/(.*)", to = "/rest/$1" }}]
"""


@pytest.mark.parametrize(
    ("target", "forwarded"),
    [
        ("/api/x?y", "/x?y"),
        ("/api/a%2Fb", "/a%2Fb"),
        ("/users/42?id=1", "/user?id=42"),
        ("/old/a%2fb?c", "/plain/a%2Fb?c"),
        ("/plain/../plain/x", "/plain/x"),
        ("/files/b?y", "/b?x"),
        ("/multi/a/z", "/A/z"),
        ("/multi/z/%61", "/rest/z/a"),
    ],
)
async def test_what_the_server_gets(edge: Edge, target: str, forwarded: str) -> None:
    backend = await edge.backend()
    await edge.start(SITE.format(address=backend.address), log='"$request" $uri')
    client = await edge.client()
    assert (await client.ask(target)).status == 200
    assert backend.requests[0].target == forwarded
    assert edge.lines()[0].split('"')[1].split()[1] == target.replace("/plain/../plain", "/plain")  # what was asked for is logged


async def test_another_route(edge: Edge) -> None:
    backend = await edge.backend()
    await edge.start(SITE.format(address=backend.address))
    client = await edge.client()
    assert (await client.ask("/files/a?q=1")).body == b"/page/GET /files/a?q=1 GET q=1"
    assert (await client.ask("/newly/?old=1")).body == b"by its new argument"
    assert (await client.ask("/files/c")).body == b"none"
    assert (await client.ask("/users/x")).status == 404
    answer = await client.ask("/round")
    assert answer.status == 500
    assert b"circles" in answer.body
    assert (await client.ask("/files/a")).status == 200
