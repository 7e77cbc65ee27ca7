"""`[sites."HOST"]`: host names, and what is done with their requests, in a short form and as a list of routes."""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import BeforeValidator, Field

from .quantities import BytesOrNone, PositiveSeconds
from .schema_access import AccessOptions
from .schema_admin import DashboardOptions
from .schema_compress import CompressOptions
from .schema_edit import EditOptions, Rewrite, prefix_to_strip
from .schema_error_pages import ErrorPagesOptions
from .schema_files import FilesOptions
from .schema_limit import LimitOptions
from .schema_log import LogOptions
from .schema_maintenance import MaintenanceOptions
from .schema_match import MatchOptions
from .schema_reply import Redirect, Respond
from .schema_tls import SiteTls, site_tls
from .schema_traffic import TrafficOptions
from .section import Also, Text, Texts, short
from .words import wrong


def _fallback(value: object) -> object:
    if isinstance(value, str) and (".." in value.split("/") or not value.strip("/")):
        raise wrong("fallback is a file inside the folder", 'write "/index.html"')
    return value


def _index(value: object) -> object:
    if isinstance(value, str) and ("/" in value or value in ("", ".", "..")):
        raise wrong("index is the name of a file, without a folder", 'write "index.html"')
    return value


def _one(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _list(value: object) -> object:
    return value if isinstance(value, list) else [value]


_many: Final = BeforeValidator(_list)


def _header(value: object) -> object:
    if isinstance(value, str) and not re.fullmatch(r"[A-Za-z0-9._\-\[\]:]+", value, re.ASCII):
        raise wrong("host_header is a host name, with a port if need be", 'write "example.com" or "example.com:8080"')
    return value


class Action(
    AccessOptions,
    LimitOptions,
    EditOptions,
    CompressOptions,
    ErrorPagesOptions,
    TrafficOptions,
    FilesOptions,
    LogOptions,
    DashboardOptions,
):
    """What is done with a request: exactly one of proxy, files, redirect, respond and dashboard."""

    proxy: Text | None = None
    """An upstream or an app by its name, or an address, such as "localhost:3000". nginx: proxy_pass."""
    rewrite: Annotated[
        list[Annotated[Rewrite, short("to"), Also({"type": "string"})]] | None, _many, Also({"type": ["string", "object"]})
    ] = None
    """`proxy`: what the matched part of the path becomes, such as "/" to take "/api/" away; or a table, or a list of them, with a
    regex. nginx: the path in proxy_pass, rewrite."""
    strip_prefix: Annotated[Text, BeforeValidator(prefix_to_strip)] | None = None
    """`proxy`: the server gets the path without this beginning, where it stands there as a whole segment, such as "/api"."""
    host_header: Annotated[Text, BeforeValidator(_header)] | None = None
    """`proxy`: Host header for the server. Left out: the one that the client sent. nginx: proxy_set_header Host."""
    connect_timeout: PositiveSeconds | None = None
    """`proxy`: replaces the one of the upstream. nginx: proxy_connect_timeout."""
    read_timeout: PositiveSeconds | None = None
    """`proxy`: replaces the one of the upstream. nginx: proxy_read_timeout."""
    send_timeout: PositiveSeconds | None = None
    """`proxy`: replaces the one of the upstream. nginx: proxy_send_timeout."""
    body_limit: BytesOrNone | None = None
    """Largest request body; then 413. 0 or "none": no limit. Left out: the one of [edge.limits]. nginx: client_max_body_size."""
    files: Text | None = None
    """Folder with files to send, relative to the folder of this file. nginx: root."""
    index: Annotated[list[Annotated[Text, BeforeValidator(_index)]] | None, BeforeValidator(_one), Also({"type": "string"})] = None
    """`files`: file that answers for a folder, or a list of them. Left out: index.html. nginx: index."""
    fallback: Annotated[Text, BeforeValidator(_fallback)] | None = None
    """`files`: file that answers when there is none, for single-page apps: "/index.html". nginx: try_files."""
    redirect: Annotated[Redirect | None, short("to"), Also({"type": "string"})] = None
    """Sends the client elsewhere: a URL or path, or a table with to and status. nginx: return."""
    respond: Annotated[Respond | None, short("body"), Also({"type": "string"})] = None
    """A fixed answer: a text, or a table with status, body and type. nginx: return."""


class Route(MatchOptions, Action):
    """A match and its action."""


class Site(Action, MaintenanceOptions):
    """What is done with the requests for a host. An action here is the route for "/"."""

    hosts: Texts = Field(default_factory=list)
    """More host names for this site. nginx: server_name."""
    tls: Annotated[SiteTls | None, BeforeValidator(site_tls), Also({"enum": ["auto", "local", True, False]})] = None
    """HTTPS: "auto" gets a certificate by itself, "local" has the local CA sign, false is none, a table names files. Left out: what
    [edge] says. nginx: listen … ssl, ssl_certificate."""
    routes: list[Route] = Field(default_factory=list)
    """What to do for which path, in any order. nginx: location."""
