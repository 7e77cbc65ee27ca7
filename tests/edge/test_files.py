"""Files of a folder, and nothing outside of it."""

from __future__ import annotations

import errno
import json
import os
from functools import partial
from pathlib import Path

import pytest
from tests.conftest import descriptors

from gapura.edge.downstream import SENDING, Downstream

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
    assert isinstance(connection, Downstream)
    await edge.until(lambda: connection.phase == SENDING)
    assert connection.transport.get_write_buffer_size() == 0
    assert await client.reader.readexactly(size) == (www / "big").read_bytes()
    assert (await client.ask("/app.js")).body == b"1"
    assert edge.lines() == [f"200 {size}", "200 1"]


async def test_a_client_that_leaves_closes_the_file(edge: Edge, www: Path) -> None:
    (www / "big").write_bytes(b"x" * 30_000_000)
    await edge.start(SITE)
    before = descriptors()
    for _ in range(3):
        client = await edge.client(limit=1 << 12)
        client.send(get("/big"))
        await client.head()
        client.reset()
        await edge.forgotten()
    assert descriptors() <= before


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


OLD = 1_000_000_000
THEN = "Sun, 09 Sep 2001 01:46:40 GMT"


def put(folder: Path, name: str, text: str, when: float = OLD) -> None:
    (folder / name).write_text(text)
    os.utime(folder / name, (when, when))


async def test_conditions_and_ranges(edge: Edge, www: Path) -> None:
    put(www, "page.html", "0123456789")
    await edge.start(SITE)
    client = await edge.client()
    tag = '"3b9aca00-a"'
    answer = await client.ask("/page.html")
    assert (answer.get("etag"), answer.get("last-modified"), answer.get("accept-ranges")) == (tag, THEN, "bytes")
    kept = await client.ask("/page.html", f"If-None-Match: {tag}")
    assert (kept.status, kept.get("etag"), kept.get("last-modified"), kept.get("content-type")) == (304, tag, THEN, None)
    assert (await client.ask("/page.html", f"If-Modified-Since: {THEN}")).status == 304
    assert (await client.ask("/page.html", 'If-Match: "x"')).status == 412
    part = await client.ask("/page.html", "Range: bytes=2-4")
    assert (part.status, part.body, part.get("content-range")) == (206, b"234", "bytes 2-4/10")
    assert (await client.ask("/page.html", "Range: bytes=2-4", f"If-Range: {tag}")).status == 206
    assert (await client.ask("/page.html", "Range: bytes=2-4", 'If-Range: "x"')).body == b"0123456789"
    assert (await client.ask("/page.html", "Range: bytes=2-4", method="HEAD")).status == 200
    beyond = await client.ask("/page.html", "Range: bytes=10-")
    assert (beyond.status, beyond.get("content-range")) == (416, "bytes */10")
    several = await client.ask("/page.html", "Range: bytes=0-1,-1")
    assert several.status == 206
    assert (several.get("content-type") or "").startswith("multipart/byteranges; boundary=")
    assert b"Content-Range: bytes 9-9/10\r\n\r\n9\r\n" in several.body
    bomb = await client.ask("/page.html", "Range: bytes=" + ",".join(["0-"] * 15))
    assert (bomb.status, bomb.body) == (200, b"0123456789")


async def test_a_change_is_seen_within_a_second(edge: Edge, www: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(www, "page.html", "old")
    await edge.start(SITE)
    client = await edge.client()
    assert (await client.ask("/page.html")).body == b"old"
    put(www, "page.html", "newer")
    assert (await client.ask("/page.html")).body == b"old"
    (copy,) = edge.worker.file_memory._copies.values()
    copy.seen -= 1_000_000_000
    edge.worker.recall.clear()
    assert (await client.ask("/page.html")).body == b"newer"
    (www / "page.html").unlink()
    (copy,) = edge.worker.file_memory._copies.values()
    copy.seen -= 1_000_000_000
    edge.worker.recall.clear()
    assert (await client.ask("/page.html")).status == 404
    assert edge.worker.file_memory.used == 0


async def test_a_file_that_has_just_changed_is_read_again(edge: Edge, www: Path) -> None:
    """A change within the clock's last tick leaves no mark on the file; its tag is weak, and nobody relies on what was read."""
    (www / "page.html").write_text("one")
    info = (www / "page.html").stat()
    await edge.start(SITE)
    client = await edge.client()
    answer = await client.ask("/page.html")
    assert (answer.get("etag") or "").startswith('W/"')
    (www / "page.html").write_text("two")
    os.utime(www / "page.html", ns=(info.st_atime_ns, info.st_mtime_ns))
    (copy,) = edge.worker.file_memory._copies.values()
    copy.seen -= 1_000_000_000
    edge.worker.recall.clear()
    assert (await client.ask("/page.html")).body == b"two"


async def test_without_memory(edge: Edge, www: Path) -> None:
    await edge.start(SITE, limits={"file_memory": 0})
    client = await edge.client()
    for _ in range(2):
        assert (await client.ask("/app.js")).body == b"1"
    assert len(edge.worker.file_memory) == 0


@pytest.mark.parametrize(
    ("accepted", "coding", "body"),
    [
        ("br, gzip, zstd", "br", b"BR"),
        ("gzip, zstd", "zstd", b"ZST"),
        ("gzip", "gzip", b"GZ"),
        ("gzip;q=1, br;q=0.3", "gzip", b"GZ"),
        ("identity", None, b"plain"),
        ("gzip;q=0", None, b"plain"),
        ("deflate", None, b"plain"),
    ],
)
async def test_precompressed(edge: Edge, www: Path, accepted: str, coding: str | None, body: bytes) -> None:
    put(www, "page.html", "plain")
    for ending in ("br", "zst", "gz"):
        put(www, f"page.html.{ending}", ending.upper())
    await edge.start(SITE + "precompressed = true\n")
    client = await edge.client()
    for _ in range(2):
        answer = await client.ask("/page.html", f"Accept-Encoding: {accepted}")
        assert (answer.status, answer.body, answer.get("content-encoding")) == (200, body, coding)
        assert answer.get("content-type") == "text/html; charset=utf-8"
        assert answer.get("vary") == "Accept-Encoding"
    tag = answer.get("etag") or ""
    assert tag == ('"3b9aca00-5"' if coding is None else f'"3b9aca00-{len(body):x}-{body.decode().lower()}"')
    assert (await client.ask("/page.html", f"Accept-Encoding: {accepted}", f"If-None-Match: {tag}")).status == 304
    part = await client.ask("/page.html", f"Accept-Encoding: {accepted}", "Range: bytes=0-1")
    assert (part.status, part.body, part.get("content-encoding")) == (206, b"pl", None)


async def test_a_neighbour_that_is_older_or_no_file_does_not_count(edge: Edge, www: Path) -> None:
    put(www, "page.html", "plain")
    put(www, "page.html.br", "stale", OLD - 1)
    (www / "page.html.gz").mkdir()
    (www / "page.html.zst").symlink_to("../secret.txt")
    await edge.start(SITE + "precompressed = true\n")
    client = await edge.client()
    for _ in range(2):
        answer = await client.ask("/page.html", "Accept-Encoding: br, gzip, zstd")
        assert (answer.body, answer.get("content-encoding")) == (b"plain", None)


async def test_large_neighbours_go_by_the_kernel_too(edge: Edge, www: Path) -> None:
    put(www, "big.js", "x" * 3_000_000)
    put(www, "big.js.gz", "z" * 2_000_000)
    await edge.start(SITE + 'precompressed = "gz"\n')
    client = await edge.client()
    assert (await client.ask("/big.js", "Accept-Encoding: gzip")).body == b"z" * 2_000_000
    assert (await client.ask("/big.js")).body == b"x" * 3_000_000


async def test_cache_rules_and_types(edge: Edge, www: Path) -> None:
    for name in ("app.3f9a1c2b.js", "a.gpx", "b.css"):
        put(www, name, "x")
    extra = 'cache = { "*.html" = "no-cache", "*.css" = "1h must-revalidate" }\ntypes = { ".gpx" = "application/x-gpx" }\n'
    await edge.start(SITE + extra)
    client = await edge.client()
    assert (await client.ask("/index.html")).get("cache-control") == "no-cache"
    assert (await client.ask("/index.html", "If-None-Match: *")).get("cache-control") == "no-cache"
    assert (await client.ask("/b.css")).get("cache-control") == "max-age=3600, must-revalidate"
    assert (await client.ask("/app.3f9a1c2b.js")).get("cache-control") == "max-age=31536000, immutable"
    answer = await client.ask("/a.gpx")
    assert (answer.get("cache-control"), answer.get("content-type")) == (None, "application/x-gpx")


@pytest.mark.parametrize(
    ("tries", "target", "expected"),
    [
        (["$uri", "$uri.html", "=404"], "/about", b"about"),
        (["$uri", "$uri.html", "=404"], "/about.html", b"about"),
        (["$uri", "$uri.html", "=404"], "/missing", 404),
        (["$uri", "$uri.html", "=404"], "/dir", 404),
        (["$uri", "=410"], "/missing", 410),
        (["$uri", "$uri/", "/index.html"], "/dir/", b"<p>dir"),
        (["$uri", "$uri/", "/index.html"], "/dir", 301),
        (["$uri", "$uri/", "/index.html"], "/", b"<p>index"),
        (["$uri", "$uri/", "/index.html"], "/missing.js", b"<p>index"),
        (["$uri", "$uri/index.html"], "/dir", b"<p>dir"),
        (["$uri", "$uri/index.html"], "/", b"<p>index"),
        (["${uri}.html"], "/about/", 404),
        (["$uri.html"], "/.htpasswd", 404),
        (["/about.html"], "/..%2fsecret.txt", 404),
        (["/outside", "/fifo", "/dir", "/about.html"], "/x", b"about"),
    ],
)
async def test_try_files(edge: Edge, www: Path, tries: list[str], target: str, expected: int | bytes) -> None:
    put(www, "about.html", "about")
    await edge.start(f"{SITE}try_files = {json.dumps(tries)}\n")
    answer = await (await edge.client()).ask(target)
    if isinstance(expected, int):
        assert answer.status == expected
    else:
        assert (answer.status, answer.body) == (200, expected)


async def test_an_exact_path_is_a_file_of_the_folder(edge: Edge, www: Path) -> None:
    await edge.start('[[sites."*".routes]]\npath = "/app.js"\nkind = "exact"\nfiles = "www"\n')
    client = await edge.client()
    assert (await client.ask("/app.js")).body == b"1"
    assert (await client.ask("/index.html")).status == 404


async def test_what_cannot_be_read_or_opened_now(edge: Edge, www: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await edge.start(SITE + 'fallback = "/index.html"\n')
    client = await edge.client()
    for number, status in ((errno.EACCES, 403), (errno.EPERM, 403), (errno.EMFILE, 503), (errno.ENFILE, 503), (errno.ENOENT, 404)):
        with monkeypatch.context() as patched:
            patched.setattr(os, "open", partial(_fail, number))
            assert (await client.ask("/app.js")).status == status
    assert (await client.ask("/app.js")).body == b"1"


def _fail(number: int, *_: object) -> int:
    raise OSError(number, "no")


async def test_a_file_that_grows_while_it_is_read_is_not_kept(edge: Edge, www: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await edge.start(SITE)
    client = await edge.client()
    with monkeypatch.context() as patched:
        read = os.pread
        patched.setattr(os, "pread", lambda fd, size, first: read(fd, size, first) + b"more" * (size == 2))
        assert (await client.ask("/app.js")).body == b"1"
    assert len(edge.worker.file_memory) == 0
