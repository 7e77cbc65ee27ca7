"""Which answers are compressed, compared with nginx's gzip on the same answers of the same server behind."""

from __future__ import annotations

import asyncio
import gzip
import socket
import subprocess
from pathlib import Path

from tests.conftest import peer

from .backend import Request, Wire
from .client import Client
from .edge import Edge, one_upstream

TEXT = b"".join(b"<li class=film><a href=/films/%d>%x</a></li>\n" % (number, number * 7919) for number in range(3000))
ANSWERS: dict[str, tuple[bytes, str]] = {
    "/html": (TEXT[:5000], "Content-Type: text/html"),
    "/charset": (TEXT[:5000], "Content-Type: text/html; charset=utf-8"),
    "/json": (TEXT[:5000], "Content-Type: application/json"),
    "/png": (TEXT[:5000], "Content-Type: image/png"),
    "/none": (TEXT[:5000], "X-Type: none"),
    "/short": (TEXT[:1023], "Content-Type: text/html"),
    "/long-enough": (TEXT[:1024], "Content-Type: text/html"),
    "/encoded": (gzip.compress(TEXT[:5000], mtime=0), "Content-Type: text/html\r\nContent-Encoding: gzip"),
    "/tag": (TEXT[:5000], 'Content-Type: text/html\r\nETag: "a"'),
    "/weak": (TEXT[:5000], 'Content-Type: text/html\r\nETag: W/"a"'),
    "/ranges": (TEXT[:5000], "Content-Type: text/html\r\nAccept-Ranges: bytes"),
    "/big": (TEXT, "Content-Type: text/html"),
    "/404": (TEXT[:5000], "Content-Type: text/html"),
    "/403": (TEXT[:5000], "Content-Type: text/html"),
}
ASKED = ["", "gzip", "gzip;q=0", "gzip;q=0.001", "gzip;q=1.000", "deflate", "deflate, gzip", "br, gzip;q=0.5", "GZIP", "gzipped"]
NGINX = """
daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 64; }}
http {{
  access_log off; client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
  uwsgi_temp_path {folder}; scgi_temp_path {folder};
  server {{
    listen 127.0.0.1:{port};
    gzip on; gzip_vary on; gzip_proxied any; gzip_min_length 1024; gzip_types text/html application/json;
    location / {{ proxy_pass http://{backend}; proxy_http_version 1.1; }}
  }}
}}
"""


async def answer(request: Request, wire: Wire) -> None:
    body, lines = ANSWERS[request.target]
    status = f"{request.target[1:]} Error" if request.target[1:].isdigit() else "200 OK"
    wire.reply(body if request.method == "GET" else b"", status, *lines.split("\r\n"))


async def nginx(program: str, folder: Path, backend: str) -> tuple[subprocess.Popen[bytes], Client]:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    file = folder / "nginx.conf"
    file.write_text(NGINX.format(folder=folder, port=port, backend=backend))
    process = subprocess.Popen([program, "-e", str(folder / "start.log"), "-c", str(file)])
    while True:
        try:
            return process, Client(*await asyncio.open_connection("127.0.0.1", port))
        except ConnectionRefusedError:
            assert process.poll() is None, (folder / "start.log").read_text()
            await asyncio.sleep(0.01)


async def test_the_same_answers_are_compressed(edge: Edge, tmp_path: Path) -> None:
    folder = tmp_path / "nginx"
    folder.mkdir()
    backend = await edge.backend(answer)
    keys = 'compress = { algorithms = "gzip", minimum = 1024, types = ["text/html", "application/json"] }'
    await edge.start(one_upstream([backend.address], site=keys))
    process, theirs = await nginx(peer("nginx"), folder, backend.address)
    try:
        ours = await edge.client()
        for target in ANSWERS:
            for asked in ASKED:
                lines = [f"Accept-Encoding: {asked}"] if asked else []
                one, other = await ours.ask(target, *lines), await theirs.ask(target, *lines)
                case = f"{target} {asked!r}"
                assert one.status == other.status, case
                for name in ("content-encoding", "vary", "accept-ranges"):
                    assert one.get(name) == other.get(name), f"{case}: {name}"
                assert one.get("etag") == other.get("etag"), case
                same = one.get("content-encoding") == "gzip" and target != "/encoded"
                assert (gzip.decompress(one.body) if same else one.body) == ANSWERS[target][0], case
                if same:
                    assert len(one.body) <= 1.1 * len(other.body), case
    finally:
        process.terminate()
        process.wait()
        theirs.close()
