"""The same requests to the machine's nginx and to the edge: the same route, redirect and target, where the two mean the same."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.conftest import peer

from .backend import Backend
from .client import Client
from .edge import Edge

NGINX = """
daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ }}
http {{
  access_log off;
  client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u;
  scgi_temp_path {folder}/s;
  server {{
    listen unix:{folder}/nginx.sock; server_name a.example; merge_slashes off; absolute_redirect off; default_type text/plain;
    proxy_http_version 1.1;
    location / {{ return 200 "all $uri"; }}
    location = /exact {{ return 200 "exact"; }}
    location ^~ /static/ {{ return 200 "static $uri"; }}
    location ~ \\.php$ {{ return 200 "php $uri"; }}
    location ~ ^/u/(?<id>[0-9]+)/(.*)$ {{ return 200 "u $id $2"; }}
    location /long/ {{ return 200 "long"; }}
    location /long/er/ {{ return 200 "longer"; }}
    location /old/ {{ return 301 /new$request_uri; }}
    location /see/ {{ rewrite "^/see/([a-z]+)/([0-9]{{4}})$" /seen/$2/$1 permanent; return 200 "see"; }}
    location /again/ {{ rewrite ^/again/(.*)$ /static/$1 last; }}
    location /api/ {{ proxy_pass http://127.0.0.1:{port}/v2/; }}
    location /cut/ {{ rewrite ^/cut/(.*)$ /$1 break; proxy_pass http://127.0.0.1:{port}; }}
    location /query/ {{ rewrite ^/query/(.*)$ /q/$1?x=1 break; proxy_pass http://127.0.0.1:{port}; }}
  }}
}}
"""

GAPURA = """
[upstreams.u]
servers = ["127.0.0.1:{port}"]
[sites."a.example"]
respond = "all $uri"
redirects = [{{ match = '^/see/([a-z]+)/([0-9]{{4}})$', to = "/seen/$2/$1$is_args$args", status = 301 }}]
[[sites."a.example".routes]]
path = "/exact"
kind = "exact"
respond = "exact"
[[sites."a.example".routes]]
path = "/static/"
before_regex = true
respond = "static $uri"
[[sites."a.example".routes]]
path = '\\.php$'
kind = "regex"
respond = "php $uri"
[[sites."a.example".routes]]
path = '^/u/(?<id>[0-9]+)/(.*)$'
kind = "regex"
respond = "u $id $2"
[[sites."a.example".routes]]
path = "/long/"
respond = "long"
[[sites."a.example".routes]]
path = "/long/er/"
respond = "longer"
[[sites."a.example".routes]]
path = "/old/"
redirect = {{ to = "/new$request_uri", status = 301 }}
[[sites."a.example".routes]]
path = "/see/"
respond = "see"
[[sites."a.example".routes]]
path = "/again/"
rewrite = {{ match = '^/again/(.*)$', to = "/static/$1", reroute = true }}
respond = "never"
[[sites."a.example".routes]]
path = "/api/"
proxy = "u"
rewrite = "/v2/"
[[sites."a.example".routes]]
path = "/cut/"
proxy = "u"
rewrite = {{ match = '^/cut/(.*)$', to = "/$1" }}
[[sites."a.example".routes]]
path = "/query/"
proxy = "u"
rewrite = {{ match = '^/query/(.*)$', to = "/q/$1?x=1&$args" }}
"""

TARGETS = """
/ /x /exact /exact/ /exactly /%65xact /exact?q /static /static/ /static/x.php /x.php /x.phps /a/b.php?c=d /x%2ephp
/u/12/ /u/12/a/b /u/x/ /u//12 /u/12 /long /long/ /long/er /long/er/ /long/er/x.php /long/../exact /long/./er/./x
/long/er/.. /a//b /a/../../b /%2e%2e/x /a/%2e%2e/exact /old/ /old/a?b=c /old/a%20b /see/ab/2024 /see/ab/2024?q=1
/see/ab/204 /see/AB/2024 /again/x /again/x.php /again/a%20b /api/ /api/x?y=z /api/a%20b /api/a+b /api/a;b=c /api/x/../y
/cut/x /cut/x?y /cut/a%20b /cut/a%3Fb /cut/a%23b /cut/ /cut/a%25b /query/x /query/x?y=2 /%zz /a%00b
/api /api?y=z /api? /%61pi /apix /api;x /cut /x/../cut?a=b /query?x /query/../api
"""


@contextmanager
def nginx(folder: Path, port: int) -> Iterator[str]:
    """The socket on which nginx answers."""
    folder.mkdir()
    file, errors = folder / "nginx.conf", folder / "error.log"
    file.write_text(NGINX.format(folder=folder, port=port))
    with subprocess.Popen([peer("nginx"), "-p", str(folder), "-c", str(file), "-e", str(errors)]) as process:
        try:
            while not (folder / "nginx.sock").exists():
                assert process.poll() is None, errors.read_text()
                time.sleep(0.01)
            yield str(folder / "nginx.sock")
        finally:
            process.terminate()


async def asked(client: Client, target: str, backend: Backend) -> tuple[int, str | None, str]:
    """Status, Location, and either the body or the target that the server behind has seen."""
    backend.requests.clear()
    client.send(f"GET {target} HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n".encode())
    answer = await client.answer()
    said = backend.requests[0].target if backend.requests else answer.body.decode() if answer.status == 200 else ""
    return answer.status, answer.get("location"), said


async def test_nginx_says_the_same(edge: Edge, tmp_path: Path) -> None:
    backend = await edge.backend()
    await edge.start(GAPURA.format(port=backend.port))
    with nginx(tmp_path / "nginx", backend.port) as path:
        for target in TARGETS.split():
            theirs = Client(*await asyncio.open_unix_connection(path))
            edge.clients.append(theirs)
            expected = await asked(theirs, target, backend)
            assert await asked(await edge.client(), target, backend) == expected, target
