"""`[edge]`: where Gapura listens, with how many workers, and what it bears."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import BeforeValidator, Field, PlainValidator, WithJsonSchema

from .addresses import AddressError, network, parse_listener
from .quantities import Bytes, BytesOrNone, PositiveBytes, PositiveSeconds
from .schema_acme import Acme
from .schema_compress import CompressOptions
from .schema_error_pages import ErrorPagesOptions
from .schema_log import AccessLog, AccessLogTable, ErrorLog, ErrorLogTable
from .schema_tls import EdgeTls, edge_tls
from .section import Also, Section, Text, by, wrapped
from .words import shown, wrong

MAX_WORKERS: Final = 32
"""Half the board's columns: old and new workers exist side by side while one replaces the other."""


def _listener(value: object) -> list[tuple[str, int]]:
    try:
        return parse_listener(value)
    except AddressError as error:
        raise wrong(str(error), error.hint) from None


def _workers(value: object) -> object:
    if value == "auto":
        return 0
    if isinstance(value, str):
        raise wrong(f'"{shown(value)}" is not a number of workers', 'write a number or "auto" (one for each CPU)')
    if isinstance(value, int) and not isinstance(value, bool) and not 1 <= value <= MAX_WORKERS:
        raise wrong(f"workers must be from 1 to {MAX_WORKERS}", 'or "auto": one for each CPU')
    return value


_LISTENER_SCHEMA: Final[dict[str, object]] = {"anyOf": [{"type": "integer", "minimum": 1, "maximum": 65535}, {"type": "string"}]}
Listener = Annotated[
    list[tuple[str, int]],
    PlainValidator(_listener),
    WithJsonSchema(_LISTENER_SCHEMA),
]


class Timeouts(Section):
    """How long a client may take."""

    head: PositiveSeconds = 10.0
    """Until the whole head of a request has arrived; then 408. nginx: client_header_timeout."""
    body: PositiveSeconds = 30.0
    """Between two pieces of a request body; then 408. nginx: client_body_timeout."""
    send: PositiveSeconds = 30.0
    """Between two pieces of an answer that the client takes; then the connection is closed. nginx: send_timeout."""
    handshake: PositiveSeconds = 10.0
    """For the whole TLS handshake; then the connection is closed. nginx: client_header_timeout, which holds for it too."""
    idle: PositiveSeconds = 60.0
    """How long a connection without a request is kept open. nginx: keepalive_timeout."""
    tunnel: PositiveSeconds = 3600.0
    """How long a WebSocket may be silent in both directions. nginx: proxy_read_timeout."""
    drain: PositiveSeconds = 30.0
    """How long a worker that is replaced or stopped gently waits for the requests under way. nginx: worker_shutdown_timeout."""


class Limits(Section):
    """How much a client may send."""

    target: PositiveBytes = 8192
    """Longest path and query; then 414. nginx: large_client_header_buffers."""
    head: PositiveBytes = 32768
    """Largest head of a request (request line and header fields); then 431. nginx: large_client_header_buffers."""
    headers: Annotated[int, Field(ge=1, le=10000)] = 100
    """Most header fields in a request; then 431."""
    body: BytesOrNone = 1 << 20
    """Largest body of a request; then 413. 0 or "none": no limit. nginx: client_max_body_size."""
    connections: Annotated[int, Field(ge=1, le=1_000_000)] = 10000
    """Most client connections, for each worker. nginx: worker_connections."""
    connections_per_client: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    """Most connections from one client address, for each worker; 0: no limit. nginx: limit_conn."""
    file_memory: Bytes = 32 << 20
    """Bytes of small files, those asked for most, that each worker keeps in memory; 0: none. nginx: open_file_cache."""


class Edge(CompressOptions, ErrorPagesOptions):
    """Where Gapura listens, with how many workers, and what it bears."""

    http: Annotated[list[Listener] | None, wrapped, Also(_LISTENER_SCHEMA)] = None
    """Where browsers connect: a port (all addresses, IPv4 and IPv6), "address:port", or a list of them. Left out: 80 where
    allowed, else 8080. nginx: listen."""
    https: Annotated[list[Listener] | None, wrapped, Also(_LISTENER_SCHEMA)] = None
    """Where browsers connect over TLS, written like http. Left out: 443 where allowed, else 8443, when a site has tls. nginx:
    listen … ssl."""
    tls: Annotated[EdgeTls, BeforeValidator(edge_tls), Also({"enum": ["auto", True, False]})] = EdgeTls()
    """"auto": every site that does not say otherwise has HTTPS, with certificates that Gapura gets by itself; or a table."""
    acme: Acme | None = None
    """How certificates for public names are got. Left out: from Let's Encrypt, which looks for proof over HTTP, port 80."""
    workers: Annotated[
        int,
        BeforeValidator(_workers),
        WithJsonSchema({"type": "integer", "minimum": 1, "maximum": MAX_WORKERS}),
        Also({"const": "auto"}),
    ] = 2
    """Number of worker processes; "auto" means one for each CPU. nginx: worker_processes."""
    user: Text = ""
    """User that workers run as when root starts Gapura; left out: nobody, as far as possible. nginx: user."""
    timeouts: Timeouts = Timeouts()
    """How long a client may take."""
    limits: Limits = Limits()
    """How much a client may send."""
    access_log: AccessLogTable = AccessLog()
    """A path, false for none, or a table. nginx: access_log."""
    error_log: ErrorLogTable = ErrorLog()
    """File for what goes wrong, or a table with path and rotate; "-" is standard error. Left out: error.log in the logs folder.
    nginx: error_log."""
    trusted_proxies: Annotated[
        list[Annotated[str, by(lambda value: network(value) if isinstance(value, str) else value)]],
        wrapped,
        Also({"type": "string"}),
    ] = Field(default_factory=list)
    """Addresses or networks of proxies in front of Gapura; only their X-Forwarded-For, -Proto and -Host are believed. nginx:
    set_real_ip_from."""
    served_by: bool = True
    """Whether answers carry X-Served-By, which names the server that answered."""
    backlog: Annotated[int, Field(ge=1, le=65535)] = 1024
    """Connections that may wait to be accepted, for each worker and listener. nginx: listen … backlog."""
