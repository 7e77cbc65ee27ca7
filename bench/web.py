"""The web servers: files, TLS and compression, each server with the settings that its Debian package comes with, log on.

What a configuration says here is what the server cannot know (where to listen, which folder, where the log goes) and what
keeps it on one core; nothing is tuned.
"""

from __future__ import annotations

import os
import random
import subprocess
from pathlib import Path

from .programs import find

FILES, TLS, GZIP = "files", "tls", "gzip"
"""Kinds of scenario beside "proxy": files in clear text, files over TLS, a proxied page compressed on the way."""
SIZES = {"/1k.bin": 1 << 10, "/10k.bin": 10 << 10, "/100k.bin": 100 << 10, "/10m.bin": 10 << 20}
PAGE = "/page.html"
"""Path of the page that is compressed: text, as the server behind gives it."""
PAGE_SIZE = 100 << 10

_NGINX = """
daemon off;
{user}
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr error;
events {{ worker_connections 768; }}
http {{
    sendfile on;
    tcp_nopush on;
    include /etc/nginx/mime.types;
    default_type application/octet-stream;
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_prefer_server_ciphers on;
    access_log {log};
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    gzip on;
    server {{
        listen 127.0.0.1:{port} {tls};
        server_name {host};
        {body}
    }}
}}
"""
_NGINX_TLS = "ssl_certificate {certificate}; ssl_certificate_key {key};"
_NGINX_PROXY = """
        location / {{ proxy_pass http://127.0.0.1:{first}; proxy_http_version 1.1; proxy_set_header Connection ""; }}
"""

_CADDY = """
{{
    admin off
    auto_https off
}}
{scheme}://{address} {{
    bind 127.0.0.1
    log {{
        output file {log} {{
            roll_disabled
        }}
    }}
    {body}
}}
"""

_LIGHTTPD = """
server.modules = ("mod_accesslog")
server.port = {port}
server.bind = "127.0.0.1"
server.document-root = "{www}"
server.errorlog = "{folder}/error.log"
accesslog.filename = "{log}"
index-file.names = ("index.html")
"""

_APACHE = """
ServerRoot "{folder}"
ServerName {host}
Listen 127.0.0.1:{port}
PidFile {folder}/apache.pid
DefaultRuntimeDir {folder}
LoadModule mpm_event_module {modules}/mod_mpm_event.so
LoadModule authz_core_module {modules}/mod_authz_core.so
LoadModule mime_module {modules}/mod_mime.so
LoadModule dir_module {modules}/mod_dir.so
TypesConfig /etc/mime.types
{user}
DocumentRoot "{www}"
<Directory "{www}">
    Require all granted
</Directory>
LogFormat "%h %l %u %t \\"%r\\" %>s %O \\"%{{Referer}}i\\" \\"%{{User-Agent}}i\\"" combined
ErrorLog {folder}/error.log
CustomLog {log} combined
"""

_GAPURA = """
[edge]
{listen}
workers = 1
error_log = "{folder}/error.log"
access_log = "{log}"

[sites."*"]
{body}
"""

Command = tuple[list[str | Path], dict[str, str]]


def prepare(folder: Path) -> None:
    """Make the files, the certificate and the page. Raises `programs.Missing`, CalledProcessError."""
    www = folder / "www"
    www.mkdir()
    for path, size in SIZES.items():
        (www / path.strip("/")).write_bytes(os.urandom(size))
    (www / "index.html").write_text("<!doctype html><title>Bench</title><p>It works.\n")
    (folder / PAGE.strip("/")).write_text(page(PAGE_SIZE))
    request = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 7 -subj /CN=localhost"
    names = "subjectAltName=DNS:localhost,DNS:bench.test,IP:127.0.0.1"
    where = ["-addext", names, "-keyout", str(folder / "key.pem"), "-out", str(folder / "certificate.pem")]
    subprocess.run([find("openssl"), *request.split(), *where], check=True, capture_output=True)


def page(size: int) -> str:
    """A page of about `size` bytes: markup that repeats and words that do not, as compressors meet them."""
    draw = random.Random(20261122)
    words = ["".join(draw.choices("aeiou" * 3 + "bdgklmnprstw", k=draw.randint(2, 9))) for _ in range(2000)]
    lines = ["<!doctype html><html><head><title>Films</title></head><body>"]
    length = 0
    while length < size:
        text = " ".join(draw.choices(words, k=draw.randint(8, 30)))
        line = f'<li class="film" data-id="{draw.randrange(10**6)}"><a href="/films/{draw.randrange(10**6)}">{text}</a></li>'
        lines.append(line)
        length += len(line) + 1
    return "\n".join(lines)


def nginx(kind: str, fields: dict[str, object]) -> Command:
    """nginx as Debian configures it, with `gzip on` (its level 1, its types)."""
    body = _NGINX_PROXY if kind == GZIP else "root {www};"
    fields |= {"tls": "ssl" if kind == TLS else "", "user": "user root;" if os.geteuid() == 0 else ""}
    fields["body"] = (body + (_NGINX_TLS if kind == TLS else "")).format(**fields)
    return [find("nginx"), "-e", "stderr", "-c", _write(fields, "nginx.conf", _NGINX)], {}


def caddy(kind: str, fields: dict[str, object]) -> Command:
    """Caddy with its JSON log."""
    body = "encode gzip\n    reverse_proxy 127.0.0.1:{first}" if kind == GZIP else "root * {www}\n    file_server"
    if kind == TLS:
        body += "\n    tls {certificate} {key}"
    fields |= {"scheme": "https" if kind == TLS else "http", "body": body.format(**fields), "address": f":{fields['port']}"}
    home = str(fields["folder"])
    environment = {"GOMAXPROCS": "1", "HOME": home, "XDG_CONFIG_HOME": home, "XDG_DATA_HOME": home}
    return [find("caddy"), "run", "--config", _write(fields, "Caddyfile", _CADDY), "--adapter", "caddyfile"], environment


def lighttpd(kind: str, fields: dict[str, object]) -> Command:
    """lighttpd with mod_accesslog."""
    return [find("lighttpd"), "-D", "-f", _write(fields, "lighttpd.conf", _LIGHTTPD)], {}


def apache(kind: str, fields: dict[str, object]) -> Command:
    """Apache with the event MPM."""
    fields |= {"modules": "/usr/lib/apache2/modules", "user": "User www-data\nGroup www-data" if os.geteuid() == 0 else ""}
    return [find("apache2"), "-DFOREGROUND", "-f", _write(fields, "apache.conf", _APACHE)], {}


def gapura(program: str, kind: str, fields: dict[str, object]) -> Command:
    """Gapura with `gapura up`."""
    body = 'proxy = "127.0.0.1:{first}"\ncompress = ["gzip"]' if kind == GZIP else 'files = "{www}"'
    if kind == TLS:
        body += '\ntls = {{ certificate = "{certificate}", key = "{key}" }}'
    key = "https" if kind == TLS else "http"
    listen = f'{key} = "127.0.0.1:{fields["port"]}"' + ("\nhttp = []" if kind == TLS else "")
    fields |= {"listen": listen, "body": body.format(**fields)}
    return [program, "-c", _write(fields, "gapura.toml", _GAPURA), "up"], {}


def _write(fields: dict[str, object], name: str, template: str) -> Path:
    file = Path(str(fields["folder"])) / name
    file.write_text(template.format(**fields))
    return file
