"""Hosts and paths lead to one route, or to a plain refusal."""

from __future__ import annotations

import pytest

from gapura.edge.router import read_otherwise

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


RULES = """
[[sites."*".routes]]
path = "/"
respond = "all"
[[sites."*".routes]]
path = "\\\\.php$"
kind = "regex"
respond = "php"
[[sites."*".routes]]
path = "^/(?<what>[a-z]+)/(\\\\d+)$"
kind = "regex"
respond = "$what $2 $1"
[[sites."*".routes]]
path = "/static/"
before_regex = true
respond = "static"
[[sites."*".routes]]
path = "/exact.php"
kind = "exact"
respond = "exact"
[[sites."*".routes]]
path = "/long/er/"
respond = "longer"
[[sites."*".routes]]
path = "/m/"
methods = ["POST", "PUT"]
respond = "written"
[[sites."*".routes]]
path = "/m/"
methods = "GET"
match = { header = { X-Beta = true } }
respond = "beta"
[[sites."*".routes]]
path = "/n/"
respond = "n"
[[sites."*".routes]]
path = "/n/"
match = { query = { v = "2" } }
respond = "n2"
[[sites."*".routes]]
path = "/n/"
match = { query = { v = "2" }, cookie = { a = "b" } }
respond = "never: the one before takes them"
[[sites."*".routes]]
path = "/o/deep/"
match = { header = { X-Beta = true } }
respond = "deep beta"
[[sites."*".routes]]
path = "/o/"
methods = "GET"
respond = "o"
[[sites."*".routes]]
path = "/a%20b/%2Fc"
respond = "escaped"
""".replace("\\\\\\\\", "\\\\")


@pytest.mark.parametrize(
    ("request_line", "lines", "status", "body"),
    [
        ("GET /x", [], 200, "all"),
        ("GET /x.php", [], 200, "php"),
        ("GET /x.phpx", [], 200, "all"),
        ("GET /x%2ephp", [], 200, "php"),
        ("GET /exact.php", [], 200, "exact"),
        ("GET /static/x.php", [], 200, "static"),
        ("GET /long/er/x.php", [], 200, "php"),
        ("GET /long/er/x", [], 200, "longer"),
        ("GET /users/42", [], 200, "users 42 users"),
        ("GET /users/42/", [], 200, "all"),
        ("POST /m/", [], 200, "written"),
        ("GET /m/", ["X-Beta: 1"], 200, "beta"),
        ("HEAD /m/", ["X-Beta: 1"], 200, ""),
        ("GET /m/", [], 405, "GET"),
        ("DELETE /m/", [], 405, "DELETE"),
        ("GET /n/", [], 200, "n"),
        ("GET /n/?v=2", ["Cookie: a=b"], 200, "n2"),
        ("GET /n/?v=3", [], 200, "n"),
        ("GET /o/deep/", ["X-Beta: 1"], 200, "deep beta"),
        ("GET /o/deep/", [], 200, "o"),
        ("POST /o/deep/", [], 405, None),
        ("GET /a%20b/%2fc", [], 200, "escaped"),
        ("GET /a%20b//c", [], 200, "all"),
    ],
)
async def test_rules(edge: Edge, request_line: str, lines: list[str], status: int, body: str | None) -> None:
    await edge.start(RULES)
    client = await edge.client()
    method, target = request_line.split()
    answer = await client.ask(target, *lines, method=method)
    assert answer.status == status
    if status == 405:
        assert answer.get("allow") in ("POST, PUT", "GET, HEAD")
    else:
        assert answer.body.decode() == body


async def test_a_method_that_no_route_of_the_path_takes(edge: Edge) -> None:
    routes = (f'[[sites."*".routes]]\npath = "/m"\nmethods = ["{one}"]\nrespond = "{one}"\n' for one in ("PUT", "GET", "QUERY"))
    await edge.start("".join(routes))
    client = await edge.client()
    for method in ("PUT", "GET", "QUERY"):
        assert (await client.ask("/m", method=method)).body.decode() == method
    answer = await client.ask("/m", method="POST", body=b"x")
    assert (answer.status, answer.get("allow")) == (405, "GET, HEAD, PUT, QUERY")
    assert (await client.ask("/other", method="POST")).status == 404


GUARDED = """
[[sites."*".routes]]
path = "/private/"
files = "private"
deny = "all"
[[sites."*".routes]]
path = "/closed/"
respond = { status = 404 }
[[sites."*".routes]]
path = "/plain/"
respond = "open"
[[sites."*".routes]]
path = "/"
files = "."
"""


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/private/x", 403),
        ("//private/x", 400),
        ("/.//private/x", 400),
        ("/a/..//private/x", 400),
        ("/private%2Fx", 400),
        ("/%2fprivate/x", 400),
        ("/private%252Fx", 400),
        ("/a/..%2fprivate/x", 400),
        ("/private;a/x", 400),
        ("/a/..;/private/x", 400),
        ("/%5cprivate/x", 400),
        ("/private%5cx", 400),
        ("http://a//private/x", 400),
        ("/private//x", 403),
        ("/private/a%2Fb", 403),
        ("/a//x", 404),
        ("/a%2Fx;b=c", 404),
        ("//plain/x", 404),
        ("//closed/x", 400),
        ("/index.html;/private", 404),
    ],
)
async def test_a_path_that_reads_otherwise_passes_no_rule_by(edge: Edge, path: str, status: int) -> None:
    """Files, and many servers, take // for / and more: what would be refused in that reading is not answered in this one."""
    (edge.folder / "private").mkdir()
    (edge.folder / "private" / "x").write_text("secret")
    await edge.start(GUARDED)
    client = await edge.client()
    client.send(get(path))
    assert (await client.answer()).status == status


@pytest.mark.parametrize(
    ("path", "read"),
    [
        (b"/a/b", None), (b"/", None), (b"//", b"/"), (b"//a", b"/a"), (b"/a//", b"/a/"), (b"/a;b/c;d", b"/a/c"),
        (b"/a/..;x", b"/"), (b"/a%2F..%2Fb", b"/b"), (b"/a%252Fb", b"/a/b"), (b"/\\a", b"/a"), (b"/b\\..\\a", b"/a"),
        (b"/..;/..;/a/", b"/a/"), (b"/a/..;/..;/..;/b/..;", b"/"), (b"/a/b/..;", b"/a/"),
    ],
)  # fmt: skip
def test_how_others_read_a_path(path: bytes, read: bytes | None) -> None:
    assert read_otherwise(path) == read
