"""`[sites."HOST"]`: host names, and what is done with their requests, in a short form and as a list of routes."""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import BeforeValidator, Field, WithJsonSchema

from .quantities import BytesOrNone, PositiveSeconds
from .schema_access import AccessOptions
from .schema_compress import CompressOptions
from .schema_edit import EditOptions
from .schema_files import FilesOptions
from .schema_limit import LimitOptions
from .schema_log import LogOptions
from .schema_traffic import TrafficOptions
from .section import Also, Among, Section, Text, Texts, check_variables, short
from .variables import names
from .words import shown, wrong

REDIRECTS: Final = (301, 302, 303, 307, 308)
_LOCATION: Final = re.compile(
    r"/(?!/)|\$(uri|request_uri)\b|\$\{(uri|request_uri)\}|(https?|\$scheme|\$\{scheme\})://[^/]", re.ASCII
)
_MEDIA_TYPE: Final = re.compile(r"[A-Za-z0-9!#$&^_.+-]+/[A-Za-z0-9!#$&^_.+-]+( *; *[A-Za-z0-9-]+=[^;]+)*", re.ASCII)
_PATH: Final = re.compile(r"/[!-~]*", re.ASCII)


def _path(value: object) -> object:
    if not isinstance(value, str):
        return value
    if not value.startswith("/"):
        raise wrong(f'the path "{shown(value)}" does not begin with /', f'write "/{shown(value)}"' if value.isprintable() else "")
    if not _PATH.fullmatch(value):
        raise wrong("a path has no spaces, control characters or letters beyond ASCII", "write them percent-encoded, as %20")
    if "?" in value or "#" in value:
        raise wrong("a path has no ? or #", "a route matches what stands before the ?")
    if "*" in value:
        raise wrong("a path has no *", f'a path matches everything below it: write "{shown(value.split("*")[0])}"')
    return value


_IN_HOST: Final = ("host", "uri", "request_uri")
"""Variables that may follow "https://": a name that was configured, or what begins with a slash."""


def _location(value: object) -> object:
    if not isinstance(value, str):
        return value
    if not value or not value.isascii() or not value.isprintable() or " " in value:
        raise wrong("a redirect has no spaces, control characters or letters beyond ASCII", "write them percent-encoded, as %20")
    if not _LOCATION.match(value):
        hint = 'write "https://example.com/" or "/path"'
        raise wrong(f'"{shown(value)}" is neither a URL nor a path', hint)
    check_variables(value)
    host = value.partition("://")[2].partition("/")[0]
    for name in names(host):
        if name not in _IN_HOST:
            raise wrong(f"${name} would become part of the host name, and the visitor chooses it", f'put a / before it: "/${name}"')
    return value


def _redirect_status(value: object) -> object:
    if isinstance(value, int) and value not in REDIRECTS:
        raise wrong(f"{value} is not the status of a redirect", "301 and 308 are for ever, 302, 303 and 307 for now")
    return value


def _media_type(value: object) -> object:
    if isinstance(value, str) and not _MEDIA_TYPE.fullmatch(value):
        raise wrong(f'"{shown(value)}" is not a media type', 'write "text/html; charset=utf-8"')
    return value


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


def _header(value: object) -> object:
    if isinstance(value, str) and not re.fullmatch(r"[A-Za-z0-9._\-\[\]:]+", value, re.ASCII):
        raise wrong("host_header is a host name, with a port if need be", 'write "example.com" or "example.com:8080"')
    return value


class Respond(Section):
    """A fixed answer."""

    status: Annotated[int, Field(ge=200, le=599)] = 200
    """Status of the answer (RFC 9110 §15)."""
    body: str = ""
    """Its text."""
    type: Annotated[Text, BeforeValidator(_media_type)] = "text/plain; charset=utf-8"
    """Its Content-Type. nginx: default_type."""


class Redirect(Section):
    """An answer that sends the client elsewhere."""

    to: Annotated[Text, BeforeValidator(_location)]
    """A URL or a path; variables may stand in it, such as $rest (what follows the matched path), $host, $request_uri."""
    status: Annotated[int, BeforeValidator(_redirect_status), WithJsonSchema({"enum": list(REDIRECTS)})] = 302
    """301 and 308: for ever, browsers remember it; 302, 303 and 307: this time."""


class Action(AccessOptions, LimitOptions, EditOptions, CompressOptions, TrafficOptions, FilesOptions, LogOptions):
    """What is done with a request: exactly one of proxy, files, redirect and respond."""

    proxy: Text | None = None
    """An upstream or an app by its name, or an address, such as "localhost:3000". nginx: proxy_pass."""
    rewrite: Annotated[Text, BeforeValidator(_path)] | None = None
    """`proxy`: what the matched part of the path becomes, such as "/" to take "/api/" away. nginx: the path in proxy_pass."""
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


class Route(Action):
    """A match and its action."""

    path: Annotated[Text, BeforeValidator(_path)] = "/"
    """The route is for paths that begin with this; of several, the longest counts. nginx: location."""
    kind: Annotated[str, Among("kind of match", ("prefix", "exact"))] = "prefix"
    """`prefix`, or `exact`: only this very path. nginx: location =."""


class Site(Action):
    """What is done with the requests for a host. An action here is the route for "/"."""

    hosts: Texts = Field(default_factory=list)
    """More host names for this site. nginx: server_name."""
    routes: list[Route] = Field(default_factory=list)
    """What to do for which path, in any order. nginx: location."""
