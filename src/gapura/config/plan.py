"""The plan: a checked configuration as plain data, every default filled in.

It is what the config process prints as JSON, what the master keeps and compares, and what workers and control get in
"prepare". Times are seconds, sizes are bytes. This module imports nothing that costs memory: master and workers use it.
"""

from __future__ import annotations

from typing import NotRequired, TypedDict

from .plan_access import AccessPlan
from .plan_acme import AcmePlan
from .plan_admin import AdminPlan, DashboardPlan
from .plan_compress import CompressPlan
from .plan_edit import EditPlan
from .plan_error_pages import ErrorPagesPlan
from .plan_events import EventsPlan
from .plan_files import FilesPlan
from .plan_limit import LimitPlan
from .plan_log import AccessLogPlan, LogFilePlan
from .plan_maintenance import ClosedPlan, MaintenancePlan
from .plan_match import MatchPlan
from .plan_tls import EdgeTlsPlan, SiteTlsPlan, UpstreamTlsPlan
from .plan_tracing import TracingPlan
from .plan_traffic import StickyPlan, TrafficPlan

FORMAT = 1
MAX_INSTANCES = 256
"""Instances of one app."""
MAX_WEIGHT = 10000
"""The largest share of one server."""


class ListenPlan(TypedDict):
    """One address to bind. IPv6 sockets are bound with IPV6_V6ONLY."""

    host: str  # "0.0.0.0", "::", "127.0.0.1", …
    port: int
    tls: bool


class TimeoutsPlan(TypedDict):
    head: float  # whole request head; 408
    body: float  # between two reads of a request body; 408
    send: float  # between two successful writes to a client
    idle: float  # keep-alive connection without a request
    tunnel: float  # tunnel without a byte in either direction
    handshake: float  # whole TLS handshake
    drain: float  # a worker that shall end waits at most so long for its exchanges


class LimitsPlan(TypedDict):
    target: int  # request target; 414
    head: int  # whole request head; 431
    headers: int  # number of header fields; 431
    body: int  # request body, 0 = no limit; 413. A route may have its own
    connections: int  # client connections per worker
    file_memory: int  # bytes of small files that each worker keeps in memory
    connections_per_client: int  # per client address and worker, 0 = no limit


class EdgePlan(TypedDict):
    http: list[ListenPlan]
    https: list[ListenPlan]  # empty when no site has TLS
    tls: EdgeTlsPlan
    acme: AcmePlan | None  # None: plan_acme.default()
    workers: int
    user: str  # "" = unchanged
    timeouts: TimeoutsPlan
    limits: LimitsPlan
    access_log: AccessLogPlan
    error_log: str  # path, "-" = standard error
    log_files: list[LogFilePlan]  # all files that workers write, those of sites too
    trusted_proxies: list[str]  # networks whose X-Forwarded-* are believed
    served_by: bool  # X-Served-By in answers
    backlog: int
    error_pages: ErrorPagesPlan | None  # without a site
    tracing: NotRequired[TracingPlan | None]  # None: requests are not traced


class ServerPlan(TypedDict):
    """One address of an upstream."""

    id: str  # "10.0.0.1:3000", "unix:/run/x.sock"; of an app "app:0"
    host: str  # numeric address; "" for a UNIX socket
    port: int  # 0 for UNIX sockets and for instances, whose port is on the board
    path: str  # path of the UNIX socket or ""
    name: str  # the DNS name and port that this address came from, else ""
    weight: int
    max_fails: int
    fail_timeout: float
    max_conns: int  # 0 = no limit
    slow_start: float | None  # None = its whole share at once
    backup: bool
    down: bool
    slots: list[int]  # filled in by the master: one slot, two for an instance
    added: NotRequired[bool]  # by a command; it stands in no file


class DefaultsPlan(TypedDict):
    """What a server gets that says nothing of its own."""

    max_fails: int
    fail_timeout: float
    max_conns: int
    slow_start: float | None


STANDARD: DefaultsPlan = {"max_fails": 1, "fail_timeout": 10.0, "max_conns": 0, "slow_start": None}


class NamePlan(TypedDict):
    """A DNS name among an upstream's servers: control resolves it again and again."""

    host: str
    port: int
    server: ServerPlan  # what each of its addresses gets (id, host, port are replaced)


class HealthPlan(TypedDict):
    path: str
    host: str  # Host header sent
    interval: float
    timeout: float
    misses: int  # so many misses take a server out
    hits: int  # so many hits bring it back
    fast_interval: float  # for a server that is out


class UpstreamPlan(TypedDict):
    name: str
    app: bool  # its servers are an app's instances
    policy: str  # round_robin least_conn ip_hash hash random
    key: str  # of "hash": a string with $variables
    consistent: bool
    servers: list[ServerPlan]
    names: list[NamePlan]
    defaults: DefaultsPlan | None  # None: those that no file changes (STANDARD)
    health: HealthPlan | None
    hold: float
    sticky: StickyPlan | None  # visitors stay with a server
    queue: int | None  # requests that may wait when all servers are full, for each worker; None = as long as `hold`
    queue_timeout: float | None
    connect_timeout: float
    read_timeout: float
    send_timeout: float
    tries: int  # 0 = every server once
    keepalive: int  # idle connections kept per worker
    keepalive_timeout: float
    tls: UpstreamTlsPlan | None  # None: plain HTTP


class RoutePlan(TypedDict):
    """A match inside a site and its action. Fields of other actions are empty."""

    name: str  # for logs and `explain`: the path, after the methods if there are any
    kind: str  # "exact", "prefix" or "regex"
    path: str  # decoded; or the regex
    before_regex: bool | None  # prefix: no regex is tried
    match: MatchPlan | None  # further conditions
    action: str  # proxy files redirect respond; nowhere: what no other route takes, where the site edits answers
    upstream: str  # proxy
    rewrite: str | None  # proxy: what replaces the matched prefix; None = forwarded as it came
    host_header: str  # proxy: Host sent to the server, "" = the client's
    connect_timeout: float | None  # None = the upstream's
    read_timeout: float | None
    send_timeout: float | None
    body_limit: int | None  # None = the edge's
    folder: str  # files: absolute
    index: list[str]
    fallback: str  # files: path inside the folder or ""
    status: int  # redirect, respond
    location: str  # redirect; may hold $variables (config/variables.py)
    body: str  # respond
    content_type: str  # respond
    access_log: AccessLogPlan | None  # None: the edge's
    access: AccessPlan | None  # None here and below: nothing is asked for, nothing is paid
    limit: LimitPlan | None
    edit: EditPlan | None
    compress: CompressPlan | None
    error_pages: ErrorPagesPlan | None
    traffic: TrafficPlan | None
    files: FilesPlan | None  # how the files of `folder` are sent
    dashboard: DashboardPlan | None  # proxy: to control itself
    row: NotRequired[int]  # of the metrics, filled in by the master


class SitePlan(TypedDict):
    hosts: list[str]  # lower case; "example.com", "*.example.com", "*"
    access_log: AccessLogPlan | None  # of what it answers without a route; None: the edge's
    error_pages: ErrorPagesPlan | None  # the same
    maintenance: MaintenancePlan | None  # how it looks in maintenance
    closed: ClosedPlan | None  # filled in by the master: it is in maintenance
    tls: SiteTlsPlan | None  # None: over HTTP only
    routes: list[RoutePlan]
    row: NotRequired[int]  # of the metrics, for what it answers without a route; filled in by the master


class AppPlan(TypedDict):
    name: str
    command: str  # $PORT and ${PORT} are substituted
    directory: str  # absolute
    instances: int
    port: int  # first port; 0 = chosen
    host: str  # where instances listen: "127.0.0.1"
    env: dict[str, str]  # env_file already read in
    user: str  # "" = unchanged
    stop_signal: str  # "SIGTERM"
    stop_timeout: float
    drain_timeout: float
    start_timeout: float  # not ready after so long: ended and tried again
    autorestart: bool
    max_restarts: int  # consecutive failures before "crashed"; 0 = never give up
    max_memory: int  # of the whole tree; 0 = no limit
    ready_path: str  # asked until it answers
    log_size: int  # rotation of captured output
    log_files: int


class PathsPlan(TypedDict):
    run: str  # control socket, state file, pipes
    logs: str
    lib: str  # certificates, secrets


class Plan(TypedDict):
    format: int
    file: str  # absolute path of the main file
    folder: str
    paths: PathsPlan
    edge: EdgePlan
    admin: AdminPlan | None  # None: plan_admin.default()
    apps: dict[str, AppPlan]
    upstreams: dict[str, UpstreamPlan]
    sites: list[SitePlan]
    events: EventsPlan | None  # None: plan_events.default()


def listens(edge: EdgePlan) -> list[ListenPlan]:
    """All addresses to bind."""
    return [*edge["http"], *edge["https"]]


def address(server: ServerPlan) -> str:
    """`host:port` as people write it, `[::1]:3000` for IPv6, `unix:/path` for a socket."""
    if server["path"]:
        return f"unix:{server['path']}"
    return join_address(server["host"], server["port"])


def join_address(host: str, port: int) -> str:
    """Host and port as people write them."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def upstreams_of(route: RoutePlan) -> list[str]:
    """All upstreams that requests of a route may go to, those of copies included."""
    found = [route["upstream"]] if route["upstream"] else []
    traffic = route["traffic"]
    if traffic is not None:
        found += [choice["upstream"] for choice in traffic["split"]["choices"]] if traffic["split"] else []
        found += [mirror["upstream"] for mirror in traffic["mirrors"]]
    return list(dict.fromkeys(found))


def without_twins(servers: list[ServerPlan]) -> list[ServerPlan]:
    """The servers, each address once: a written one stands before what names resolve to, the first name before others."""
    known = {server["id"] for server in servers if not server["name"]}
    kept = []
    for server in servers:
        if not server["name"] or server["id"] not in known:
            kept.append(server)
            known.add(server["id"])
    return kept


def expand(upstream: UpstreamPlan, host: str, port: int, addresses: list[str]) -> list[ServerPlan]:
    """The servers of an upstream after the DNS name `host` resolved to `addresses` (sorted, without duplicates).

    Each address is a server of its own with the name's full weight (nginx: `server name` with k addresses). Servers that
    came from other names or were written as addresses stay where they are; the new ones stand at the place of the old.
    """
    label = join_address(host, port)
    template = next(name["server"] for name in upstream["names"] if name["host"] == host and name["port"] == port)
    fresh: list[ServerPlan] = []
    for item in sorted(set(addresses)):
        server = template.copy()
        server.update({"id": join_address(item, port), "host": item, "port": port, "name": label, "slots": []})
        fresh.append(server)
    kept = upstream["servers"]
    place = next((i for i, server in enumerate(kept) if server["name"] == label), len(kept))
    others = [server for server in kept if server["name"] != label]
    return [*others[:place], *fresh, *others[place:]]
