"""Answers that the file holds: `respond`, `redirect`, and the rules in `redirects`."""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import BeforeValidator, Field, WithJsonSchema

from .schema_files import MEDIA_TYPE
from .schema_match import Regex, exact_path
from .section import Section, Text, check_syntax
from .variables import REQUEST, exists, names
from .words import nearest, shown, wrong

REDIRECTS: Final = (301, 302, 303, 307, 308)
_LOCATION: Final = re.compile(
    r"/(?!/)|\$(uri|request_uri)\b|\$\{(uri|request_uri)\}|(https?|\$scheme|\$\{scheme\})://[^/]", re.ASCII
)
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
    check_syntax(value)
    host = value.partition("://")[2].partition("/")[0]
    for name in names(host):
        if name not in _IN_HOST:
            if not exists(name) and (near := nearest(f"${name}", [f"${known}" for known in REQUEST])):
                raise wrong(f'there is no variable "${shown(name)}"', f'did you mean "{near}"?')
            raise wrong(f"${name} would become part of the host name, and the visitor chooses it", f'put a / before it: "/${name}"')
    return value


def _redirect_status(value: object) -> object:
    if isinstance(value, int) and value not in REDIRECTS:
        raise wrong(f"{value} is not the status of a redirect", "301 and 308 are for ever, 302, 303 and 307 for now")
    return value


def _media_type(value: object) -> object:
    if isinstance(value, str) and not MEDIA_TYPE.fullmatch(value):
        raise wrong(f'"{shown(value)}" is not a media type', 'write "text/html; charset=utf-8"')
    return value


def _body(value: object) -> object:
    if isinstance(value, str):
        check_syntax(value, 'in a text ${dollar} is the character itself, such as "${dollar}5"')
    return value


class Respond(Section):
    """A fixed answer."""

    status: Annotated[int, Field(ge=200, le=599)] = 200
    """Status of the answer (RFC 9110 §15)."""
    body: Annotated[str, BeforeValidator(_body)] = ""
    """Its text. Variables in it are escaped as `type` wants it (HTML, XML, JSON, JavaScript); ${dollar} is a $."""
    type: Annotated[Text, BeforeValidator(_media_type)] = "text/plain; charset=utf-8"
    """Its Content-Type. nginx: default_type."""


class Redirect(Section):
    """An answer that sends the client elsewhere."""

    to: Annotated[Text, BeforeValidator(_location)]
    """A URL or a path; variables may stand in it, such as $rest (what follows the matched path), $1 and $name (groups of a
    regex), $host, $request_uri. What visitors chose is percent-encoded again and never becomes another host."""
    status: Annotated[int, BeforeValidator(_redirect_status), WithJsonSchema({"enum": list(REDIRECTS)})] = 302
    """301 and 308: for ever, browsers remember it; 302, 303 and 307: this time."""


class RedirectRule(Redirect):
    """An old address and the new one; either path or match says which."""

    path: Annotated[Text, BeforeValidator(exact_path)] | None = None
    """Exactly this path, such as "/old.html"."""
    match: Regex | None = None
    """Paths in which this regex is found, such as "^/blog/(\\\\d+)$"; its groups are $1 and $name in `to`. nginx: rewrite …
    permanent."""
