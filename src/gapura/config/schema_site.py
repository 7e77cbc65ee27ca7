"""`[sites."HOST"]`: host names, and what is done with their requests, in a short form and as a list of routes."""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import BeforeValidator, Field

from .quantities import BytesOrNone, PositiveSeconds
from .section import Also, Among, Section, Text, Texts, check_variables, short
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


def _location(value: object) -> object:
    if not isinstance(value, str):
        return value
    if not value or not value.isascii() or not value.isprintable() or " " in value:
        raise wrong("a redirect has no spaces, control characters or letters beyond ASCII", "write them percent-encoded, as %20")
    if not _LOCATION.match(value):
        hint = 'write "https://example.com/" or "/path"'
        raise wrong(f'"{shown(value)}" is neither a URL nor a path', hint)
    check_variables(value)
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
    """Its Content-Type."""


class Redirect(Section):
    """An answer that sends the client elsewhere."""

    to: Annotated[Text, BeforeValidator(_location)]
    """A URL or a path; variables may stand in it, such as $rest (what follows the matched path), $host, $request_uri."""
    status: Annotated[int, BeforeValidator(_redirect_status)] = 302
    """301, 302, 303, 307 or 308."""


class Action(Section):
    """What is done with a request: exactly one of proxy, files, redirect and respond."""

    proxy: Text | None = None
    """An upstream, an app, or an address at once, such as "localhost:3000". nginx: proxy_pass."""
    rewrite: Annotated[Text, BeforeValidator(_path)] | None = None
    """proxy: what replaces the matched path. nginx: a path in proxy_pass."""
    host_header: Annotated[Text, BeforeValidator(_header)] | None = None
    """proxy: the Host that the server gets; left out: the client's. nginx: proxy_set_header Host."""
    connect_timeout: PositiveSeconds | None = None
    """proxy: to connect to a server. nginx: proxy_connect_timeout."""
    read_timeout: PositiveSeconds | None = None
    """proxy: between two reads from a server. nginx: proxy_read_timeout."""
    send_timeout: PositiveSeconds | None = None
    """proxy: between two writes to a server. nginx: proxy_send_timeout."""
    body_limit: BytesOrNone | None = None
    """Largest request body; 0 or "none": no limit. nginx: client_max_body_size."""
    files: Text | None = None
    """A folder, seen from the folder of this file. nginx: root."""
    index: Annotated[
        list[Annotated[Text, BeforeValidator(_index)]] | None, BeforeValidator(lambda v: [v] if isinstance(v, str) else v)
    ] = None
    """files: what answers for a folder; left out: index.html."""
    fallback: Annotated[Text, BeforeValidator(_fallback)] | None = None
    """files: what answers for a path without a file, for single-page apps. nginx: try_files."""
    redirect: Annotated[Redirect | None, short("to"), Also({"type": "string"})] = None
    """A URL, or a table with to and status. nginx: return."""
    respond: Annotated[Respond | None, short("body"), Also({"type": "string"})] = None
    """A text, or a table with status, body and type. nginx: return."""


class Route(Action):
    """A match and its action."""

    path: Annotated[Text, BeforeValidator(_path)] = "/"
    """What the request's path begins with; the longest match wins. nginx: location."""
    kind: Annotated[str, Among("kind of match", ("prefix", "exact"))] = "prefix"
    """prefix, or exact: the whole path."""


class Site(Action):
    """What is done with the requests for a host. An action here is the route for "/"."""

    hosts: Texts = Field(default_factory=list)
    """Further names of this site. nginx: server_name."""
    routes: list[Route] = Field(default_factory=list)
    """Matches inside the site and their actions. nginx: location."""
