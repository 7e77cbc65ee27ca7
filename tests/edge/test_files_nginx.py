"""The same request for the same files, asked of nginx and of us: the same status, and the headers that matter.

Where we differ on purpose the table says so, with the reason.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.conftest import peer

from .client import Answer, Client, get
from .edge import Edge

CONFIGURATION = """
daemon off; master_process off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 64; }}
http {{
    include /etc/nginx/mime.types; default_type application/octet-stream; access_log off; sendfile on;
    client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u;
    scgi_temp_path {folder}/s;
    server {{
        listen 127.0.0.1:{port}; root {www}; absolute_redirect off;
        location / {{ gzip_static on; gzip_vary on; }}
        location /listed/ {{ autoindex on; autoindex_format json; }}
        location /tried/ {{ try_files $uri $uri.html $uri/ /page.html; }}
        location /strict/ {{ try_files $uri $uri.txt =404; }}
    }}
}}
"""
OURS = """
[sites."*"]
files = "www"
precompressed = "gz"
[[sites."*".routes]]
path = "/listed/"
files = "www/listed"
listing = true
[[sites."*".routes]]
path = "/tried/"
files = "www"
try_files = ["/tried/$uri", "/tried/$uri.html", "/tried/$uri/", "/page.html"]
[[sites."*".routes]]
path = "/strict/"
files = "www/strict"
try_files = ["$uri", "$uri.txt", "=404"]
"""
TAG = '"3b9aca00-64"'
THEN = "Sun, 09 Sep 2001 01:46:40 GMT"
BEFORE = "Sun, 09 Sep 2001 01:46:39 GMT"
AFTER = "Sun, 09 Sep 2001 01:46:41 GMT"

SAME: list[tuple[str, ...]] = [
    ("/",), ("/page.html",), ("/page.html?query",), ("/missing",), ("/missing/",), ("/page.html/",), ("/page.html/x",),
    ("/dir",), ("/dir?a=b",), ("/dir/",), ("/dir/../page.html",), ("/./page.html",), ("/dir/%2e%2e/page.html",), ("//page.html",),
    ("/space%20name.txt",), ("/%70age.html",), ("/%zz",), ("/a%00b",), ("/../x",), ("/empty.txt",), ("/picture.png",),
    ("/nothing.known",), ("/data.json",), ("/vector.svg",),
    # conditions
    ("/page.html", f"If-None-Match: {TAG}"), ("/page.html", f"If-None-Match: W/{TAG}"), ("/page.html", "If-None-Match: *"),
    ("/page.html", 'If-None-Match: "x"'), ("/page.html", f'If-None-Match: "x", {TAG}'),
    ("/page.html", f"If-Modified-Since: {THEN}"),
    ("/page.html", f"If-Modified-Since: {BEFORE}"), ("/page.html", "If-Modified-Since: Sunday, 09-Sep-01 01:46:40 GMT"),
    ("/page.html", "If-Modified-Since: Sun Sep  9 01:46:40 2001"), ("/page.html", "If-Modified-Since: nonsense"),
    ("/page.html", f"If-Unmodified-Since: {THEN}"), ("/page.html", f"If-Unmodified-Since: {BEFORE}"),
    ("/page.html", f"If-Unmodified-Since: {AFTER}"), ("/page.html", f"If-Match: {TAG}"), ("/page.html", "If-Match: *"),
    ("/page.html", 'If-Match: "x"'), ("/page.html", f"If-Match: W/{TAG}"), ("/page.html", f'If-Match: "x",{TAG}'),
    ("/page.html", 'If-Match: "x"', f"If-None-Match: {TAG}"), ("/page.html", f"If-None-Match: {TAG}", f"If-Modified-Since: {THEN}"),
    ("/page.html", f"If-Unmodified-Since: {BEFORE}", f"If-None-Match: {TAG}"),
    # ranges
    ("/page.html", "Range: bytes=0-0"), ("/page.html", "Range: bytes=10-19"), ("/page.html", "Range: bytes=90-"),
    ("/page.html", "Range: bytes=90-1000"), ("/page.html", "Range: bytes=-10"), ("/page.html", "Range: bytes=-1000"),
    ("/page.html", "Range: bytes=100-"), ("/page.html", "Range: bytes=9-8"), ("/page.html", "Range: bytes=x"),
    ("/page.html", "Range: bytes="), ("/page.html", "Range: bytes=-"), ("/page.html", "Range: items=0-1"),
    ("/page.html", "Range: 0-1"),
    ("/page.html", "Range: bytes=0-9,20-29"), ("/page.html", "Range: bytes=0-9,200-300"), ("/page.html", "Range: bytes=200-,300-"),
    ("/page.html", "Range: bytes=0-99,0-99"), ("/page.html", "Range: bytes=0-60,50-99"),
    ("/page.html", "Range: bytes=20-29, 0-9 ,-1"),
    ("/page.html", "Range: bytes=0-9", f"If-Range: {TAG}"),
    ("/page.html", "Range: bytes=0-9", 'If-Range: "x"'), ("/page.html", "Range: bytes=0-9", f"If-Range: {THEN}"),
    ("/page.html", "Range: bytes=0-9", f"If-Range: {BEFORE}"), ("/page.html", "Range: bytes=0-9", f"If-Range: {AFTER}"),
    ("/page.html", "Range: bytes=0-9", f"If-None-Match: {TAG}"), ("/empty.txt", "Range: bytes=0-"),
    # compressed already
    ("/script.js", "Accept-Encoding: gzip"), ("/script.js",), ("/script.js", "Accept-Encoding: gzip;q=0"),
    ("/script.js", "Accept-Encoding: identity"), ("/script.js", "Accept-Encoding: deflate, gzip;q=0.5"),
    # looking for several
    ("/tried/page",), ("/tried/none",), ("/tried/dir/",), ("/tried/dir",), ("/strict/a",), ("/strict/a.txt",), ("/strict/none",),
    ("/listed",),
]  # fmt: skip

DIFFERENT: list[tuple[tuple[str, ...], tuple[int, int], str]] = [
    (("/page.html", f"If-Modified-Since: {AFTER}"), (200, 304), "RFC 9110 §13.1.3: not changed since; nginx wants the very date"),
    (("/page.html", "Range: bytes=0-9", f"If-Range: W/{TAG}"), (200, 200), "both take the whole file"),
    (("/page.html", "Range: bytes=0-18446744073709551615"), (416, 206), "RFC 9110 §14.1.2: to the end; nginx knows no such number"),
    (("/empty-dir/",), (403, 404), "nobody needs to know that there is a folder without an index"),
    (("/.hidden",), (200, 404), "hidden files are not for visitors"),
    (("/outside",), (200, 404), "symbolic links do not lead out of the folder"),
    (("/dir%2fpage.html",), (404, 404), "an encoded slash is none: not to nginx' root either"),
    (("/page.html", "Range: bytes=" + ",".join(f"{n}-{n}" for n in range(17))), (206, 200), "at most 16 ranges"),
]  # fmt: skip
METHODS = ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"]
HEADERS = ("location", "content-range", "last-modified", "etag", "accept-ranges", "content-encoding")


@pytest.fixture(scope="module")
def www(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("nginx") / "www"
    for name in ("dir", "empty-dir", "listed/sub", "tried/dir", "strict"):
        (folder / name).mkdir(parents=True)
    for name in (
        "index.html", "page.html", "dir/index.html", "space name.txt", "picture.png", "nothing.known", "data.json", "vector.svg",
        "script.js", ".hidden", "tried/page.html", "tried/dir/index.html", "strict/a.txt", "listed/b.txt", "listed/a.txt",
    ):  # fmt: skip
        (folder / name).write_bytes(bytes(range(100)))
    (folder / "empty.txt").write_bytes(b"")
    (folder / "script.js.gz").write_bytes(b"compressed")
    (folder.parent / "secret").write_text("secret")
    (folder / "outside").symlink_to("../secret")
    for path in folder.rglob("*"):
        if path.is_file():
            os.utime(path, (1e9, 1e9))
    for path in (folder.parent, *folder.parent.parents):
        if os.access(path, os.W_OK) and path.stat().st_uid == os.geteuid() and path != Path("/"):
            path.chmod(path.stat().st_mode | 0o011)  # nginx' worker may be somebody else
    return folder


@pytest.fixture(scope="module")
def nginx(www: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of an nginx that serves the folder."""
    program = peer("nginx")
    folder = tmp_path_factory.mktemp("conf")
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
    (folder / "nginx.conf").write_text(CONFIGURATION.format(folder=folder, port=port, www=www))
    process = subprocess.Popen([program, "-c", folder / "nginx.conf", "-e", folder / "error.log"], stderr=subprocess.DEVNULL)
    try:
        limit = time.monotonic() + 60
        while True:
            assert process.poll() is None, (folder / "error.log").read_text()
            assert time.monotonic() < limit
            with socket.socket() as sock:
                if sock.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.01)
        yield port
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(10)


async def both(edge: Edge, nginx: int, www: Path, *request: str, method: str = "GET") -> tuple[Answer, Answer]:
    """nginx' answer and ours."""
    os.symlink(www, edge.folder / "www")
    await edge.start(OURS)
    answers = []
    for port in (nginx, edge.port):
        client: Client = await edge.client(port)
        client.send(get(request[0], *request[1:], "Connection: close", method=method))
        answers.append(await client.answer(method))
    return answers[0], answers[1]


def parts(answer: Answer) -> bytes:
    """A body; of several ranges without the boundary that each server chooses, and without the charset that only we tell."""
    boundary = re.search(r"boundary=(\S+)", answer.get("content-type") or "")
    body = answer.body.replace(boundary[1].encode(), b"BOUNDARY") if boundary else answer.body
    return body.replace(b"; charset=utf-8", b"") if boundary else body


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("request_line", SAME, ids=" ".join)
async def test_the_same(edge: Edge, nginx: int, www: Path, request_line: tuple[str, ...], method: str) -> None:
    theirs, ours = await both(edge, nginx, www, *request_line, method=method)
    if method == "HEAD" and any(line.startswith("Range:") for line in request_line) and theirs.status in (206, 416):
        assert ours.status == 200  # RFC 9110 §14.2: only GET has ranges
        return
    assert ours.status == theirs.status
    if theirs.status in (400, 404, 412):
        return
    for name in HEADERS:
        if name == "etag" and theirs.get("content-encoding"):
            continue  # nginx gives a file and its neighbour tags that may be the same; ours say which they are
        if name == "accept-ranges" and theirs.status in (206, 416):
            continue  # a hint that nginx leaves out here
        assert ours.get(name) == theirs.get(name), name
    if theirs.status in (200, 206):
        assert parts(ours) == parts(theirs)
        kind = (theirs.get("content-type") or "").partition(";")[0]
        assert (ours.get("content-type") or "").partition(";")[0] == {"application/javascript": "text/javascript"}.get(kind, kind)
        if "multipart" not in kind:
            assert ours.get("content-length") == theirs.get("content-length")


@pytest.mark.parametrize(("request_line", "statuses", "reason"), DIFFERENT, ids=lambda value: " ".join(map(str, value))[:60])
async def test_different(
    edge: Edge, nginx: int, www: Path, request_line: tuple[str, ...], statuses: tuple[int, int], reason: str
) -> None:
    assert tuple(answer.status for answer in await both(edge, nginx, www, *request_line)) == statuses, reason


@pytest.mark.parametrize("method", METHODS)
async def test_other_methods(edge: Edge, nginx: int, www: Path, method: str) -> None:
    theirs, ours = await both(edge, nginx, www, "/page.html", method=method)
    assert (theirs.status, ours.status) == (405, 405)
    assert ours.get("allow") == "GET, HEAD"


async def test_a_listing_names_the_same(edge: Edge, nginx: int, www: Path) -> None:
    theirs, ours = await both(edge, nginx, www, "/listed/", "Accept: application/json")
    assert json.loads(ours.body) == json.loads(theirs.body)
