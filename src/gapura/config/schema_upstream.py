"""`[upstreams.NAME]`: a named group of servers, a balancing policy, and the words that apps share with it."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import BeforeValidator, Field

from .quantities import PositiveSeconds, Seconds
from .section import Also, Among, Section, Text, check_variables, short, wrapped
from .words import wrong

POLICIES: Final = ("round_robin", "least_conn", "ip_hash", "hash", "random")
WITHOUT_BACKUP: Final = ("ip_hash", "hash", "random")
"""Policies that know no second tier (as in nginx)."""


def _weight(value: object) -> object:
    if isinstance(value, int) and not isinstance(value, bool) and not 1 <= value <= 10000:
        hint = "to keep a server out, write down = true" if value == 0 else "a share such as 1, 2 or 5"
        raise wrong("weight must be from 1 to 10000", hint)
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
    """`health = false` says the same as false here."""
    path: HealthPath = "/"
    """What is asked for."""
    host: Text | None = None
    """Host header of the request; left out: the first site that leads here."""
    interval: PositiveSeconds = 1.0
    """Between two checks."""
    timeout: PositiveSeconds = 1.0
    """For the answer."""
    misses: Annotated[int, Field(ge=1, le=1000)] = 2
    """Misses in a row that take a server out."""
    hits: Annotated[int, Field(ge=1, le=1000)] = 1
    """Hits in a row that bring it back."""
    fast_interval: PositiveSeconds = 0.2
    """Between two checks of a server that is out."""


class Server(Section):
    """One address of an upstream. nginx: server."""

    address: str
    """"host:port", "[::1]:3000" or "unix:/run/app.sock"; a DNS name stands for all its addresses."""
    weight: Annotated[int, BeforeValidator(_weight)] = 1
    """Its share of the requests."""
    max_fails: MaxFails | None = None
    """So many failures within fail_timeout bench it; 0: never."""
    fail_timeout: PositiveSeconds | None = None
    """The window for failures, and how long it is benched."""
    max_conns: MaxConns | None = None
    """Most requests at one time; 0: no limit."""
    backup: bool = False
    """Used only when no other server can be."""
    down: bool = False
    """Never used, but keeps its place."""


class Balancing(Section):
    """The words that upstreams and apps share."""

    policy: Policy = "round_robin"
    """How a server is chosen: round_robin, least_conn, ip_hash, hash or random."""
    key: Annotated[Text, BeforeValidator(_key)] = ""
    """For the policy hash: what is hashed, such as "$uri" or "$remote_addr"."""
    consistent: bool = False
    """For the policy hash: ketama, so that few keys move when servers change. nginx: hash … consistent."""
    max_fails: MaxFails = 1
    """So many failures within fail_timeout bench a server; 0: never."""
    fail_timeout: PositiveSeconds = 10.0
    """The window for failures, and how long a server is benched."""
    max_conns: MaxConns = 0
    """Most requests at one time for each server; 0: no limit."""
    health: Annotated[Health | None, BeforeValidator(_health), Also({"type": "boolean"})] = None
    """Active checks: false, or a table. Left out: on for apps and private addresses."""
    hold: Seconds = 3.0
    """How long a request waits when no server can answer but one may return; 0: not at all."""
    connect_timeout: PositiveSeconds = 2.0
    """To connect to a server. nginx: proxy_connect_timeout."""
    read_timeout: PositiveSeconds = 60.0
    """Between two reads from a server. nginx: proxy_read_timeout."""
    send_timeout: PositiveSeconds = 60.0
    """Between two writes to a server. nginx: proxy_send_timeout."""
    tries: Annotated[int, Field(ge=0, le=1000)] = 0
    """Most servers tried for one request; 0: each once. nginx: proxy_next_upstream_tries."""
    keepalive: Annotated[int, Field(ge=0, le=10000)] = 64
    """Idle connections kept open to the servers, for each worker."""
    keepalive_timeout: PositiveSeconds = 60.0
    """How long an idle one is kept."""


class Upstream(Balancing):
    """A named group of servers. nginx: upstream."""

    servers: Annotated[
        list[Annotated[Server, short("address"), Also({"type": "string"})]], wrapped, Field(min_length=1), Also({"type": "string"})
    ]
    """Addresses as texts, or tables with weight, max_fails, fail_timeout, max_conns, backup, down."""
