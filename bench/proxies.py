"""The proxies: one worker each, the same work, each with the settings that its own manual recommends for speed.

The same for all: round robin over the two servers, keep-alive to them, X-Forwarded-For/-Proto/-Host and X-Request-Id sent
to them, every request written to a log file on the same disk with the fields of "combined" and request time, server,
server's time and request id.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from . import web
from .load import HOST
from .process import Tree
from .programs import find, free_port, wait_until_answering

IDLE_KEPT = 1024
"""Idle connections that a proxy may keep to the servers: more than any scenario uses, so that none has to reconnect."""


@dataclass(frozen=True)
class Setting:
    """What a proxy is told: where to listen, whom to ask, where its files are, how many workers."""

    port: int
    servers: tuple[int, int]
    folder: Path
    workers: int = 1
    kind: str = "proxy"

    @property
    def log(self) -> Path:
        return self.folder / "access.log"


class Proxy:
    """One kind of server. `settle` is the time in seconds that its processes take to come to rest after the start.

    `kinds` are the kinds of scenario in which it takes part.
    """

    name = ""
    settle = 0.2
    kinds: tuple[str, ...] = ("proxy", web.FILES, web.TLS, web.GZIP)

    def command(self, setting: Setting) -> tuple[list[str | Path], dict[str, str]]:
        """Write the configuration; returns the command in the foreground and what to add to the environment."""
        raise NotImplementedError

    def version(self) -> str:
        """The version as the program says it."""
        raise NotImplementedError

    def available(self) -> bool:
        """Whether it takes part when nobody asked for it by name."""
        return True


class Nginx(Proxy):
    """`access_log … buffer` writes lines in batches; large buffers and no temporary files suit the 1 MB bodies."""

    name = "nginx"
    configuration = """
daemon off;
{user}
worker_processes {workers};
worker_rlimit_nofile 20000;
pid {folder}/nginx.pid;
error_log stderr error;
events {{ worker_connections 16000; }}
http {{
    log_format full '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" '
                    '"$http_user_agent" $request_time $upstream_addr $upstream_response_time $request_id';
    access_log {log} full buffer=64k flush=200ms;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    keepalive_timeout 75s;
    keepalive_requests 100000000;
    tcp_nodelay on;
    upstream servers {{
        server 127.0.0.1:{first};
        server 127.0.0.1:{second};
        keepalive {idle};
        keepalive_requests 100000000;
    }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        server_name {host};
        location / {{
            proxy_pass http://servers;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header X-Forwarded-Host $http_host;
            proxy_set_header X-Request-Id $request_id;
            proxy_buffer_size 16k;
            proxy_buffers 16 16k;
            proxy_busy_buffers_size 64k;
            proxy_max_temp_file_size 0;
        }}
    }}
}}
"""

    def command(self, setting: Setting) -> tuple[list[str | Path], dict[str, str]]:
        if setting.kind != "proxy":
            return web.nginx(setting.kind, _fields(setting))
        file = setting.folder / "nginx.conf"
        # "user root" only saves the change of owner for the folder of this run; it costs or saves nothing per request.
        file.write_text(self.configuration.format(user="user root;" if os.geteuid() == 0 else "", **_fields(setting)))
        return [find("nginx"), "-e", "stderr", "-c", file], {}

    def version(self) -> str:
        return _first_line([find("nginx"), "-v"]).rpartition("/")[2]


class HAProxy(Proxy):
    """HAProxy logs to syslog or to a descriptor, never to a file: here to standard output, which *is* the log file.

    It writes each line by itself (it has no batches for descriptors), which costs it a system call per request.
    """

    name = "haproxy"
    kinds = ("proxy",)
    configuration = """
global
    nbthread {workers}
    maxconn 16000
    no strict-limits
    log stdout len 4096 format raw daemon info
defaults
    mode http
    log global
    timeout connect 2s
    timeout client 75s
    timeout server 60s
    timeout http-keep-alive 75s
    option http-keep-alive
    option dontlognull
    option splice-auto
    http-reuse always
frontend site
    bind 127.0.0.1:{port} backlog 4096
    maxconn 16000
    http-request capture req.hdr(Referer) len 128
    http-request capture req.hdr(User-Agent) len 192
    unique-id-format %[uuid()]
    unique-id-header X-Request-Id
    log-format '%ci - - [%T] "%r" %ST %B "%[capture.req.hdr(0)]" "%[capture.req.hdr(1)]" %Ta %si:%sp %Tr %ID'
    default_backend servers
backend servers
    balance roundrobin
    option forwardfor
    http-request set-header X-Forwarded-Proto http
    http-request set-header X-Forwarded-Host %[req.hdr(Host)]
    server first 127.0.0.1:{first} pool-max-conn {idle}
    server second 127.0.0.1:{second} pool-max-conn {idle}
"""

    def command(self, setting: Setting) -> tuple[list[str | Path], dict[str, str]]:
        file = setting.folder / "haproxy.cfg"
        file.write_text(self.configuration.format(**_fields(setting)))
        script = 'exec "$0" -db -f "$1" >>"$2"'
        return ["/bin/sh", "-c", script, find("haproxy"), file, setting.log], {}

    def version(self) -> str:
        return _first_line([find("haproxy"), "-v"]).split()[2]


class Caddy(Proxy):
    """Caddy logs JSON with all request headers; the server's address and time reach the log as headers of the answer."""

    name = "caddy"
    settle = 0.5
    configuration = """
{{
    admin off
    auto_https off
    http_port {port}
}}
http://{host} {{
    bind 127.0.0.1
    log {{
        output file {log} {{
            roll_disabled
        }}
        format json
    }}
    reverse_proxy 127.0.0.1:{first} 127.0.0.1:{second} {{
        lb_policy round_robin
        header_up X-Request-Id {{http.request.uuid}}
        header_down X-Request-Id {{http.request.uuid}}
        header_down X-Upstream {{http.reverse_proxy.upstream.hostport}}
        header_down X-Upstream-Time {{http.reverse_proxy.upstream.latency}}
        transport http {{
            versions 1.1
            keepalive 60s
            keepalive_idle_conns {idle}
            keepalive_idle_conns_per_host {idle}
        }}
    }}
}}
"""

    def command(self, setting: Setting) -> tuple[list[str | Path], dict[str, str]]:
        if setting.kind != "proxy":
            return web.caddy(setting.kind, _fields(setting))
        file = setting.folder / "Caddyfile"
        file.write_text(self.configuration.format(**_fields(setting)))
        home = str(setting.folder)
        environment = {"GOMAXPROCS": str(setting.workers), "HOME": home, "XDG_CONFIG_HOME": home, "XDG_DATA_HOME": home}
        return [find("caddy"), "run", "--config", file, "--adapter", "caddyfile"], environment

    def version(self) -> str:
        return _first_line([find("caddy"), "version"]).split()[0]


class Gapura(Proxy):
    """Gapura as its users start it: `gapura up`, master and control included; its health checks stay on.

    Its format `combined` is nginx's with request id, server, tries, request time and the server's time behind it.
    """

    name = "gapura"
    settle = 0.5
    configuration = """
[edge]
http = "127.0.0.1:{port}"
workers = {workers}
error_log = "{folder}/error.log"

[edge.access_log]
path = "{log}"
format = "combined"

[edge.limits]
connections = 16000

[upstreams.servers]
servers = ["127.0.0.1:{first}", "127.0.0.1:{second}"]
keepalive = {idle}

[sites."{host}"]
proxy = "servers"
"""

    def command(self, setting: Setting) -> tuple[list[str | Path], dict[str, str]]:
        if setting.kind != "proxy":
            return web.gapura(self._program(), setting.kind, _fields(setting))
        file = setting.folder / "gapura.toml"
        file.write_text(self.configuration.format(**_fields(setting)))
        return [self._program(), "-c", file, "up"], {}

    def version(self) -> str:
        return _first_line([self._program(), "version"]).split()[-1]

    @staticmethod
    def _program() -> str:
        return str(Path(sys.executable).with_name("gapura"))


class Compiled(Gapura):
    """The same source with its byte path compiled (tools/compile); left out where that was not done."""

    name = "compiled"
    folder = Path(__file__).parent.parent / ".compiled"

    def available(self) -> bool:
        return (self.folder / "state").exists()

    def command(self, setting: Setting) -> tuple[list[str | Path], dict[str, str]]:
        command, environment = super().command(setting)
        return command, {**environment, "PYTHONPATH": str(self.folder)}


class Lighttpd(Proxy):
    """lighttpd, for files only."""

    name = "lighttpd"
    kinds = (web.FILES,)

    def command(self, setting: Setting) -> tuple[list[str | Path], dict[str, str]]:
        return web.lighttpd(setting.kind, _fields(setting))

    def version(self) -> str:
        return _first_line([find("lighttpd"), "-v"]).split()[0].rpartition("/")[2]


class Apache(Proxy):
    """Apache, for files only."""

    name = "apache"
    kinds = (web.FILES,)

    def command(self, setting: Setting) -> tuple[list[str | Path], dict[str, str]]:
        return web.apache(setting.kind, _fields(setting))

    def version(self) -> str:
        return _first_line([find("apache2"), "-v"]).split()[2].rpartition("/")[2]


_ALL = (Nginx(), HAProxy(), Caddy(), Lighttpd(), Apache(), Gapura(), Compiled())
PROXIES: dict[str, Proxy] = {proxy.name: proxy for proxy in _ALL}
"""In the order of the tables."""


@dataclass(frozen=True)
class Running:
    """A proxy that answers. `probes` requests were made until it did; they are in its log too."""

    setting: Setting
    tree: Tree
    probes: int


def start(proxy: Proxy, servers: tuple[int, int], folder: Path, core: int, workers: int = 1, kind: str = "proxy") -> Running:
    """Start a proxy on one core and wait until it answers. Raises OSError, TimeoutError, `programs.Missing`."""
    folder.mkdir(parents=True)
    setting = Setting(free_port(), servers, folder, workers, kind)
    command, environment = proxy.command(setting)
    tree = Tree(command, core, folder / "output", environment)
    try:
        probes = wait_until_answering(setting.port, HOST, tree, tls=kind == web.TLS)
        if tree.settled_cores() != {core}:
            raise OSError(f"{proxy.name} did not stay on core {core}")
    except BaseException:
        tree.stop()
        raise
    return Running(setting, tree, probes)


def _fields(setting: Setting) -> dict[str, object]:
    first, second = setting.servers
    return {
        "port": setting.port,
        "first": first,
        "second": second,
        "folder": setting.folder,
        "log": setting.log,
        "workers": setting.workers,
        "host": HOST,
        "idle": IDLE_KEPT,
        "www": setting.folder.parent / "www",
        "certificate": setting.folder.parent / "certificate.pem",
        "key": setting.folder.parent / "key.pem",
    }


def _first_line(command: list[str]) -> str:
    process = subprocess.run(command, capture_output=True, text=True, timeout=20)
    return (process.stdout + process.stderr).strip().partition("\n")[0] or "unknown"
