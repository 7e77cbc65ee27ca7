"""The two servers behind, the same for every proxy: nginx on two ports, answering from memory or the page cache."""

from __future__ import annotations

import os
from pathlib import Path

from .process import Tree
from .programs import find, free_port, wait_until_answering

SMALL, MIDDLE, LARGE = "/small", "/64k", "/1m"
SIZES = {SMALL: 600, MIDDLE: 64 << 10, LARGE: 1 << 20}
"""Paths that the servers answer and the sizes of the bodies in bytes."""

_CONFIGURATION = """
daemon off;
{user}
worker_processes 1;
pid {folder}/backend.pid;
error_log stderr crit;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    tcp_nodelay on;
    keepalive_timeout 300s;
    keepalive_requests 100000000;
    open_file_cache max=16 inactive=300s;
    open_file_cache_valid 300s;
    client_body_temp_path {folder}/backend.body;
    proxy_temp_path {folder}/backend.proxy;
    fastcgi_temp_path {folder}/backend.fastcgi;
    uwsgi_temp_path {folder}/backend.uwsgi;
    scgi_temp_path {folder}/backend.scgi;
    server {{
        listen 127.0.0.1:{first} backlog=4096;
        listen 127.0.0.1:{second} backlog=4096;
        default_type application/octet-stream;
        etag off;
        location = / {{ return 200 "alive"; }}
        location = {small} {{ default_type application/json; return 200 '{answer}'; }}
        location = /page.html {{ types {{ }} default_type text/html; root {folder}; }}
        location / {{ root {folder}; }}
    }}
}}
"""


class Backend:
    """The servers behind. `ports` are the two that a proxy balances over. Raises OSError, TimeoutError."""

    def __init__(self, folder: Path, core: int) -> None:
        self.ports = (free_port(), free_port())
        for path in (MIDDLE, LARGE):
            (folder / path.strip("/")).write_bytes(os.urandom(SIZES[path]))
        file = folder / "backend.conf"
        file.write_text(
            _CONFIGURATION.format(
                user="user root;" if os.geteuid() == 0 else "",
                folder=folder,
                first=self.ports[0],
                second=self.ports[1],
                small=SMALL,
                answer='{"film": "%s"}' % ("x" * (SIZES[SMALL] - len('{"film": ""}'))),
            )
        )
        self.tree = Tree([find("nginx"), "-e", "stderr", "-c", file], core, folder / "backend.out")
        try:
            wait_until_answering(self.ports[1], "127.0.0.1", self.tree)
        except BaseException:
            self.tree.stop()
            raise

    def stop(self) -> None:
        """End it."""
        self.tree.stop()
