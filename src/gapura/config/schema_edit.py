"""Keys of a site and its routes: what is changed about requests and answers: header fields, and old addresses."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final

from pydantic import BeforeValidator

from .schema_match import Regex
from .schema_reply import RedirectRule
from .section import Also, Section, Text, check_syntax, wrapped
from .words import shown, wrong

_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,256}", re.ASCII)
_TARGET: Final = re.compile(r"/[!-~]*", re.ASCII)
_HOP: Final = "it is about one connection, and each side makes its own"
_FRAMING: Final = "it says where the body ends: Gapura writes it"
_BOTH: Final = {
    "connection": _HOP,
    "keep-alive": _HOP,
    "proxy-connection": _HOP,
    "te": _HOP,
    "trailer": _HOP,
    "upgrade": _HOP,
    "content-length": _FRAMING,
    "transfer-encoding": _FRAMING,
}
_REQUEST: Final = _BOTH | {
    "host": 'write host_header = "…"',
    "expect": _HOP,
    "proxy": "programs take it for HTTP_PROXY (CVE-2016-5385)",
    "http2-settings": _HOP,
    "x-request-id": "it is the id under which `gapura logs` and the server know the request",
}
_RESPONSE: Final = _BOTH | {"date": "every answer has the one of its second", "content-range": "it goes with the part that is sent"}
"""Headers that cannot be edited, and why."""


def _checked(refused: dict[str, str]) -> BeforeValidator:
    def check(name: object) -> object:
        if isinstance(name, str):
            if not _TOKEN.fullmatch(name):
                raise wrong(f'"{shown(name)}" is not the name of a header', 'write "X-Name"')
            if reason := refused.get(name.lower()):
                raise wrong(f"{shown(name)} cannot be edited", reason)
        return name

    return BeforeValidator(check)


def _value(value: object) -> object:
    if isinstance(value, str):
        check_syntax(value, "write $name or ${name}; ${dollar} is the character itself")
    return value


def _target(value: object) -> object:
    if not isinstance(value, str):
        return value
    if not value.startswith(("/", "$")):
        raise wrong(f'the path "{shown(value)}" does not begin with /', f'write "/{shown(value)}"' if value.isprintable() else "")
    if (value.startswith("/") and not _TARGET.fullmatch(value)) or not value.isascii() or not value.isprintable() or " " in value:
        raise wrong("a path has no spaces, control characters or letters beyond ASCII", "write them percent-encoded, as %20")
    if "#" in value:
        raise wrong("a path has no #", "what follows it never leaves the browser")
    if "*" in value:
        raise wrong("a path has no *", "$1 is the first group of a regex, $rest what follows the matched path")
    check_syntax(value)
    return value


def prefix_to_strip(value: object) -> object:
    """`/api`. Raises PydanticCustomError."""
    if isinstance(value, str):
        if not value.startswith("/") or not _TARGET.fullmatch(value) or set(value) & set("?#*$"):
            raise wrong(f'"{shown(value)}" is not the beginning of a path', 'write "/api"')
        if not value.strip("/"):
            raise wrong("there is nothing to strip", 'write "/api", or leave it out')
    return value


Value = Annotated[Text, BeforeValidator(_value)]
Values = Annotated[list[Value], wrapped, Also({"type": "string"})]
RequestName = Annotated[Text, _checked(_REQUEST)]
ResponseName = Annotated[Text, _checked(_RESPONSE)]
_EMPTY: Final[dict[Any, Any]] = {}


class RequestHeaders(Section):
    """Header fields of the request as the server gets it."""

    set: dict[RequestName, Value] | None = None
    """Takes the place of all fields of the name; an empty value sends none. nginx: proxy_set_header."""
    add: dict[RequestName, Values] | None = None
    """Fields beside those that there are: a value or a list."""
    remove: Annotated[list[RequestName], wrapped, Also({"type": "string"})] | None = None
    """Fields that the server does not get."""


class ResponseHeaders(Section):
    """Header fields of answers."""

    set: dict[ResponseName, Value] | None = None
    """Takes the place of all fields of the name; an empty value sends none."""
    add: dict[ResponseName, Values] | None = None
    """Fields beside those that there are: a value or a list. nginx: add_header … always."""
    remove: Annotated[list[ResponseName], wrapped, Also({"type": "string"})] | None = None
    """Fields that the client does not get. nginx: proxy_hide_header."""


class Rewrite(Section):
    """What a path becomes."""

    match: Regex | None = None
    """Paths in which this regex is found are rewritten. Left out: all. nginx: rewrite."""
    to: Annotated[Text, BeforeValidator(_target)]
    """The new path, with $1 and $name for the regex's groups and any other variable. With a ? the query is replaced too
    ("/new?$args" keeps it), else it stays. Without match and variables it takes the place of the matched part of the path."""
    reroute: bool = False
    """Look for the route of the new path, at most 10 times. nginx: rewrite … last."""


class EditOptions(Section):
    """What is changed about requests and answers: header fields, and old addresses."""

    request_headers: RequestHeaders | None = None
    """`proxy`: changes of the header fields that the server gets. Those of the site hold in its routes too; for the same header
    the route's count. nginx: proxy_set_header."""
    response_headers: ResponseHeaders | None = None
    """Changes of the header fields of answers, errors and redirects included. Those of the site hold in its routes too; for the
    same header the route's count. nginx: add_header … always."""
    redirects: list[RedirectRule] | None = None
    """Old addresses and the new ones, tried before the action: exact paths first, then regexes in the order of the file. What
    none of them fits goes on to the action. A route's list takes the place of the site's. nginx: rewrite … permanent."""
