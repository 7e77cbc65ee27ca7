"""`[upstreams.NAME]`: a named group of servers, a balancing policy, and the words that apps share with it."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import BeforeValidator, Field, WithJsonSchema

from .plan import MAX_WEIGHT
from .quantities import PositiveSeconds, Seconds
from .schema_cookie import VisitorCookie
from .schema_tls import UpstreamTls, upstream_tls
from .section import Also, Among, Section, Text, check_variables, short, wrapped
from .words import wrong

POLICIES: Final = ("round_robin", "least_conn", "ip_hash", "hash", "random")
MOST_QUEUED: Final = 1000
"""Requests that may wait in one worker."""
WITHOUT_BACKUP: Final = ("ip_hash", "hash", "random")
"""Policies that know no second tier (as in nginx)."""


def _weight(value: object) -> object:
    if isinstance(value, int) and not isinstance(value, bool) and not 1 <= value <= MAX_WEIGHT:
        hint = "to keep a server out, write down = true" if value == 0 else "a share such as 1, 2 or 5"
        raise wrong(f"weight must be from 1 to {MAX_WEIGHT}", hint)
    return value


def _path(value: object) -> object:
    if isinstance(value, str) and not (value.startswith("/") and value.isascii() and value.isprintable() and " " not in value):
        raise wrong("a path begins with / and has no spaces", 'write path = "/health"')
    return value


def _key(value: object) -> object:
    if isinstance(value, str):
        check_variables(value)
        if value and "$" not in value:
            raise wrong("key has no variable: all requests would go to one server", 'write key = "$uri" or key = "$remote_addr"')
    return value


def _secret(value: object) -> object:
    if isinstance(value, str) and len(value) < 16:
        raise wrong("a secret has at least 16 characters", "`openssl rand -hex 16` makes one")
    return value


def _sticky(value: object) -> object:
    if isinstance(value, bool):
        return {} if value else None
    return value


def _health(value: object) -> object:
    if isinstance(value, bool):
        return {"enabled": value}
    return value


MaxFails = Annotated[int, Field(ge=0, le=1_000_000)]
MaxConns = Annotated[int, Field(ge=0, le=1_000_000)]
HealthPath = Annotated[Text, BeforeValidator(_path)]
Policy = Annotated[str, Among("policy", POLICIES)]


class Health(Section):
    """Active checks: an HTTP request now and then; any answer below 500 is alive."""

    enabled: bool = True
    """Whether the checks are made; `health = false` is short for `health = { enabled = false }`."""
    path: HealthPath = "/"
    """Path that is asked for with GET. nginx: health_check uri (commercial)."""
    host: Text | None = None
    """Host header of the check. Left out: the first site that leads here."""
    interval: PositiveSeconds = 1.0
    """From one check to the next. nginx: health_check interval (commercial)."""
    timeout: PositiveSeconds = 1.0
    """How long the answer may take; longer is a miss."""
    misses: Annotated[int, Field(ge=1, le=1000)] = 2
    """So many misses in a row take a server out. nginx: health_check fails (commercial)."""
    hits: Annotated[int, Field(ge=1, le=1000)] = 1
    """So many good answers in a row bring it back. nginx: health_check passes (commercial)."""
    fast_interval: PositiveSeconds = 0.2
    """From one check to the next while a server is out."""


class Sticky(VisitorCookie):
    """Visitors stay with the server that answered them first."""

    secret: Annotated[Text, BeforeValidator(_secret)] | None = None
    """With the same secret several machines know each other's cookies. Left out: each has its own. At least 16 characters."""


class Server(Section):
    """One address of an upstream. nginx: server."""

    address: str
    """"host:port", "[::1]:3000" or "unix:/run/app.sock"; a DNS name stands for all its addresses. nginx: server."""
    weight: Annotated[int, BeforeValidator(_weight), WithJsonSchema({"type": "integer", "minimum": 1, "maximum": MAX_WEIGHT})] = 1
    """Its share of the requests: with 2 it gets twice as many as with 1. nginx: weight."""
    max_fails: MaxFails | None = None
    """After so many failures within `fail_timeout` it gets no requests for that long; 0: never. Left out: as in the upstream.
    nginx: max_fails."""
    fail_timeout: PositiveSeconds | None = None
    """Both the time in which failures are counted and the pause after them. Left out: as in the upstream. nginx: fail_timeout."""
    max_conns: MaxConns | None = None
    """Most requests at the same time; 0: no limit. Left out: as in the upstream. nginx: max_conns."""
    slow_start: Seconds | None = None
    """How long it takes until it gets its whole share again after it has come back. Left out: as in the upstream. nginx: slow_start
    (commercial)."""
    backup: bool = False
    """Gets requests only when none of the others can answer. nginx: backup."""
    down: bool = False
    """Gets no requests, but keeps its place (for `hash` and `ip_hash`). nginx: down."""


class Balancing(Section):
    """The words that upstreams and apps share."""

    policy: Policy = "round_robin"
    """How a server is chosen: in turn (round_robin), the one with the fewest connections for its weight (least_conn), the same for
    a client address (ip_hash) or a key (hash), or the better of two at random (random). nginx: least_conn, ip_hash, hash,
    random."""
    key: Annotated[Text, BeforeValidator(_key)] = ""
    """For the policy `hash`: requests with the same value go to the same server, such as "$uri" or "$remote_addr". nginx: hash."""
    consistent: bool = False
    """For the policy `hash`: only few keys move when servers come or go (ketama). nginx: hash … consistent."""
    max_fails: MaxFails = 1
    """After so many failures within `fail_timeout` a server gets no requests for that long; 0: never. nginx: max_fails."""
    fail_timeout: PositiveSeconds = 10.0
    """Both the time in which failures are counted and the pause after them. nginx: fail_timeout."""
    max_conns: MaxConns = 0
    """Most requests at the same time, for each server; 0: no limit. nginx: max_conns."""
    health: Annotated[Health | None, BeforeValidator(_health), Also({"type": "boolean"})] = None
    """Checks that Gapura makes by itself: false, or a table. Left out: on for apps and private addresses. nginx: health_check
    (commercial)."""
    hold: Seconds = 3.0
    """How long a request waits for a server when none can answer but one may return; then 503. 0: not at all."""
    sticky: Annotated[Sticky | None, BeforeValidator(_sticky), Also({"type": "boolean"})] = None
    """Whether visitors stay with the server that answered them first, by a cookie: true, or a table. nginx: sticky cookie
    (commercial until 1.29.6)."""
    slow_start: Seconds | None = None
    """How long it takes until a server that has come back gets its whole share again; for the policies round_robin and least_conn.
    nginx: slow_start (commercial)."""
    queue: Annotated[int, Field(ge=0, le=MOST_QUEUED)] | None = None
    """So many requests may wait, for each worker, when all servers are at their `max_conns`; 0: none. Left out: they wait as for a
    server that is away (`hold`). nginx: queue (commercial)."""
    queue_timeout: PositiveSeconds | None = None
    """How long such a request waits at most; then 503. Left out: 60 seconds. nginx: queue timeout (commercial)."""
    connect_timeout: PositiveSeconds = 2.0
    """How long connecting to a server may take; then the next one is tried. nginx: proxy_connect_timeout."""
    read_timeout: PositiveSeconds = 60.0
    """Between two pieces of an answer from a server; then 504, or the next one is tried. nginx: proxy_read_timeout."""
    send_timeout: PositiveSeconds = 60.0
    """Between two pieces of a request that the server takes; then as above. nginx: proxy_send_timeout."""
    tries: Annotated[int, Field(ge=0, le=1000)] = 0
    """Most servers tried for one request; 0: each of them once. nginx: proxy_next_upstream_tries."""
    keepalive: Annotated[int, Field(ge=0, le=10000)] = 64
    """Idle connections to the servers that are kept for the next request, for each worker. nginx: keepalive."""
    keepalive_timeout: PositiveSeconds = 60.0
    """How long such a connection is kept. nginx: keepalive_timeout (in upstream)."""


class Upstream(Balancing):
    """A named group of servers. nginx: upstream."""

    servers: Annotated[
        list[Annotated[Server, short("address"), Also({"type": "string"})]], wrapped, Field(min_length=1), Also({"type": "string"})
    ]
    """Addresses, or tables with an address and more."""
    tls: Annotated[UpstreamTls | None, BeforeValidator(upstream_tls), Also({"type": "boolean"})] = None
    """Whether the servers are spoken to over TLS: true, or a table. nginx: proxy_pass https://…"""
