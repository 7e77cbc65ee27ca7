"""Files of a folder, and nothing outside of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gapura.edge.downstream import SENDING

from .client import get
from .edge import Edge

SITE = '[sites."*"]\nfiles = "www"\n'


@pytest.fixture
def www(tmp_path: Path) -> Path:
    """A folder with a bit of everything, beside a secret."""
    folder = tmp_path / "www"
    (folder / "dir" / "empty").mkdir(parents=True)
    (folder / ".well-known").mkdir()
    for name, text in {
        "index.html": "<p>index", "app.js": "1", "a b.txt": "space", "none": "", "dir/index.html": "<p>dir", "x.unknown": "?",
        ".htpasswd": "secret", ".well-known/x": "known", "dir/.hidden": "secret",
    }.items():  # fmt: skip
        (folder / name).write_text(text)
    (tmp_path / "secret.txt").write_text("secret")
    (folder / "inside").symlink_to("app.js")
    (folder / "outside").symlink_to("../secret.txt")
    (folder / "outside-dir").symlink_to("..")
    os.mkfifo(folder / "fifo")
    return folder


@pytest.mark.parametrize(
    ("target", "body", "kind"),
    [
        ("/", b"<p>index", "text/html; charset=utf-8"),
        ("/index.html?x", b"<p>index", "text/html; charset=utf-8"),
        ("/dir/", b"<p>dir", "text/html; charset=utf-8"),
        ("/app.js", b"1", "text/javascript; charset=utf-8"),
        ("/a%20b.txt", b"space", "text/plain; charset=utf-8"),
        ("/none", b"", "application/octet-stream"),
        ("/x.unknown", b"?", "application/octet-stream"),
        ("/inside", b"1", "application/octet-stream"),
        ("/.well-known/x", b"known", "application/octet-stream"),
        ("/x/../app.js", b"1", "text/javascript; charset=utf-8"),
        ("//app.js", b"1", "text/javascript; charset=utf-8"),
    ],
)
async def test_a_file(edge: Edge, www: Path, target: str, body: bytes, kind: str) -> None:
    await edge.start(SITE)
    client = await edge.client()
    for method in ("GET", "HEAD", "GET"):
        answer = await client.ask(target, method=method)
        assert (answer.status, answer.get("content-type"), answer.get("content-length")) == (200, kind, str(len(body)))
        assert answer.body == (b"" if method == "HEAD" else body)
        assert answer.get("x-content-type-options") == "nosniff"
        assert (answer.get("last-modified") or "").endswith("GMT")


@pytest.mark.parametrize(
    "target",
    [
        "/missing", "/.htpasswd", "/dir/.hidden", "/dir/empty/", "/outside", "/outside-dir/secret.txt", "/fifo",
        "/app.js/", "/app.js/x",
        "/..%2fsecret.txt", "/%2e%2e%2fsecret.txt", "/dir%2findex.html", "/..%5csecret.txt", "/" + "a" * 300, "/" + "a/" * 200,
        "/%2e./x%2f",
        "/outside-dir/", "/%ff",
    ],
)  # fmt: skip
async def test_what_is_not_served(edge: Edge, www: Path, target: str) -> None:
    await edge.start(SITE)
    client = await edge.client()
    answer = await client.ask(target)
    assert answer.status in (404, 400)
    assert b"secret" not in answer.body
    if answer.status == 404:
        assert (await client.ask("/app.js")).body == b"1"


@pytest.mark.parametrize(
    ("target", "location"),
    [("/dir", "/dir/"), ("/dir?a=b", "/dir/?a=b"), ("//dir", "/dir/"), ("/x/..//dir", "/dir/"), ("/outside-dir/..//dir", "/dir/")],
)
async def test_a_folder_without_its_slash(edge: Edge, www: Path, target: str, location: str) -> None:
    """The place is a path of this host, never "//host"."""
    await edge.start(SITE)
    answer = await (await edge.client()).ask(target)
    assert (answer.status, answer.get("location")) == (301, location)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
async def test_other_methods(edge: Edge, www: Path, method: str) -> None:
    await edge.start(SITE)
    client = await edge.client()
    answer = await client.ask(method=method, body=b"x")
    assert (answer.status, answer.get("allow")) == (405, "GET, HEAD")
    assert (await client.ask("/app.js")).body == b"1"


@pytest.mark.parametrize(
    ("target", "status"),
    [("/user/7", 200), ("/user/7.html", 200), ("/", 200), ("/missing.js", 404), ("/dir/missing.png", 404), ("/.env", 404)],
)
async def test_the_fallback_is_for_pages(edge: Edge, www: Path, target: str, status: int) -> None:
    await edge.start(SITE + 'fallback = "/index.html"\n')
    answer = await (await edge.client()).ask(target)
    assert (answer.status, answer.body == b"<p>index") == (status, status == 200)


async def test_a_fallback_that_leaves_the_folder_is_none(edge: Edge, www: Path) -> None:
    await edge.start(SITE + 'fallback = "/outside"\n')
    assert (await (await edge.client()).ask("/user/7")).status == 404


async def test_below_a_path(edge: Edge, www: Path) -> None:
    await edge.start('[[sites."*".routes]]\npath = "/static/"\nfiles = "www"\nindex = ["nothing", "app.js"]\n')
    client = await edge.client()
    assert (await client.ask("/static/app.js")).body == b"1"
    assert (await client.ask("/static/")).body == b"1"
    assert (await client.ask("/static/dir")).get("location") == "/static/dir/"
    assert (await client.ask("/app.js")).status == 404


async def test_a_large_file_goes_to_a_slow_client_in_pieces(edge: Edge, www: Path) -> None:
    size = 30_000_000
    (www / "big").write_bytes(os.urandom(1000) * (size // 1000))
    await edge.start(SITE, log="$status $body_bytes_sent")
    client = await edge.client(limit=1 << 12)
    client.send(get("/big"))
    assert (await client.head()).get("content-length") == str(size)
    (connection,) = edge.worker.connections
    await edge.until(lambda: connection.phase == SENDING)
    assert connection.transport.get_write_buffer_size() == 0
    assert await client.reader.readexactly(size) == (www / "big").read_bytes()
    assert (await client.ask("/app.js")).body == b"1"
    assert edge.lines() == [f"200 {size}", "200 1"]


async def test_a_client_that_leaves_closes_the_file(edge: Edge, www: Path) -> None:
    (www / "big").write_bytes(b"x" * 30_000_000)
    await edge.start(SITE)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        client = await edge.client(limit=1 << 12)
        client.send(get("/big"))
        await client.head()
        client.reset()
        await edge.forgotten()
    assert len(os.listdir("/proc/self/fd")) <= before


async def test_a_file_that_shrinks_meanwhile_is_broken_off(edge: Edge, www: Path) -> None:
    big = www / "big"
    big.write_bytes(b"x" * 30_000_000)
    await edge.start(SITE)
    client = await edge.client(limit=1 << 12)
    client.send(get("/big"))
    await client.head()
    os.truncate(big, 1000)
    rest = await client.end()
    assert len(rest) < 30_000_000
    await edge.forgotten()


async def test_a_body_on_get_is_no_request(edge: Edge, www: Path) -> None:
    await edge.start(SITE)
    client = await edge.client()
    client.send(get("/app.js", body=get("/none")) + get("/dir/"))
    assert [(await client.answer()).body for _ in range(2)] == [b"1", b"<p>dir"]
