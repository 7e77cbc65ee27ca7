"""Keys of a route: which requests it is for."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Any, Final
from urllib.parse import unquote

from pydantic import BeforeValidator, ValidationInfo, WithJsonSchema

from . import regexes
from .section import Also, Among, Section, Text, wrapped
from .words import did_you_mean, shown, wrong

METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_PATH: Final = re.compile(r"/[!-~]*", re.ASCII)
_BAD_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+", re.ASCII)
UNSEEN: Final = {
    "connection": "it is about one connection, not about the request",
    "keep-alive": "it is about one connection, not about the request",
    "proxy-connection": "it is about one connection, not about the request",
    "te": "it is about one connection, not about the request",
    "trailer": "it is about one connection, not about the request",
    "transfer-encoding": "it is about one connection, not about the request",
    "proxy": "it is never believed (CVE-2016-5385)",
    "forwarded": 'match = { client = ["10.0.0.0/8"] } goes by the client\'s address',
    "x-forwarded-for": 'match = { client = ["10.0.0.0/8"] } goes by the client\'s address',
    "x-real-ip": 'match = { client = ["10.0.0.0/8"] } goes by the client\'s address',
    "x-forwarded-proto": "anybody can send it",
    "x-forwarded-host": "anybody can send it",
    "x-forwarded-port": "anybody can send it",
    "host": 'another host is another site: [sites."HOST"]',
}
"""Headers that no route goes by, and why."""


def exact_path(value: object) -> object:
    """A path as routes have it. Raises PydanticCustomError."""
    if not isinstance(value, str):
        return value
    if not value.startswith("/"):
        raise wrong(f'the path "{shown(value)}" does not begin with /', f'write "/{shown(value)}"' if value.isprintable() else "")
    if not _PATH.fullmatch(value):
        raise wrong("a path has no spaces, control characters or letters beyond ASCII", "write them percent-encoded, as %20")
    try:
        plain = unquote(value, errors="strict")
    except UnicodeDecodeError:
        raise wrong("the path is not UTF-8 behind its percent signs", "é is %C3%A9") from None
    if _BAD_ESCAPE.search(value) or not plain.isprintable():
        raise wrong("a % in a path is followed by the two hexadecimal digits of a letter", "a percent sign itself is %25")
    if "?" in value or "#" in value:
        raise wrong("a path has no ? or #", "a route matches what stands before the ?")
    if "*" in value:
        raise wrong("a path has no *", f'a path matches everything below it: write "{shown(value.split("*")[0])}"')
    return value


def regex(value: object) -> object:
    """A regular expression that can be read. Raises PydanticCustomError."""
    if not isinstance(value, str):
        return value
    try:
        regexes.compiled(value)
    except re.error as error:
        at = f" at its character {error.pos + 1}" if error.pos is not None else ""
        hint = "a character that means itself has a \\ before it; in TOML a regex stands best between '…'"
        raise wrong(f'the regex "{shown(value)}" is wrong{at}: {error.msg}', hint) from None
    except ValueError as error:
        raise wrong(str(error), "write bytes beyond ASCII as \\xc3\\xa9; several routes are quicker than one long regex") from None
    return value


def _route_path(value: object, info: ValidationInfo) -> object:
    return regex(value) if info.data.get("kind") == "regex" else exact_path(value)


def _methods(value: object) -> object:
    if isinstance(value, str):
        if not _TOKEN.fullmatch(value) or len(value) > 32:
            raise wrong(f'"{shown(value)}" is not a method', 'write "GET"')
        if value.upper() != value:
            raise wrong(f'methods are written in capital letters, not "{shown(value)}"', f'write "{shown(value.upper())}"')
        if value in ("TRACE", "CONNECT"):
            raise wrong(f"{value} is refused in any case", did_you_mean(value, METHODS, label="one of"))
    return value


def _network(value: object) -> object:
    if isinstance(value, str):
        try:
            ipaddress.ip_network(value, strict=False)
        except ValueError:
            raise wrong(f'"{shown(value)}" is neither an address nor a network', 'write "10.0.0.0/8" or "2001:db8::1"') from None
    return value


def _test(value: object) -> object:
    """`"text"`, `"~regex"`, `"~*regex"`, true, false or a list of texts, of which one must fit."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return [str(value)]
    found = [value] if isinstance(value, str) else value
    if not isinstance(found, list) or not found or not all(isinstance(item, str) for item in found):
        hint = '"x": this value, "~x": a regex, true: there, false: not there'
        raise wrong("must be a text, a list of texts, true or false", hint)
    for item in found:
        if any(c < " " or c == "\x7f" for c in item):
            raise wrong("has control characters", "one line of plain text, please")
        if item.startswith("~"):
            regex(item_regex(item))
    return found


def item_regex(item: str) -> str:
    """The regex of `~regex` or `~*regex` (capital letters do not count)."""
    return f"(?i){item[2:]}" if item.startswith("~*") else item[1:]


def _header_name(name: object) -> object:
    if isinstance(name, str):
        if not _TOKEN.fullmatch(name):
            raise wrong(f'"{shown(name)}" is not the name of a header', 'write "X-Beta"')
        if reason := UNSEEN.get(name.lower()):
            raise wrong(f"no route can go by {shown(name)}", reason)
        if "_" in name:
            raise wrong(f"{shown(name)} has an underscore: such headers are not passed on", "use a dash")
    return name


def _other_name(name: object) -> object:
    if isinstance(name, str) and (not name or not name.isprintable() or set(name) & set("=;&")):
        raise wrong(f'"{shown(name)}" is not a name', 'write "debug"')
    return name


Regex = Annotated[Text, BeforeValidator(regex)]
"""A regular expression on bytes."""
Test = Annotated[
    bool | list[str],
    BeforeValidator(_test),
    WithJsonSchema({"anyOf": [{"type": ["string", "boolean", "integer"]}, {"type": "array", "items": {"type": "string"}}]}),
]
"""What a header, argument or cookie must be."""
HeaderName = Annotated[str, BeforeValidator(_header_name)]
OtherName = Annotated[str, BeforeValidator(_other_name)]
Methods = Annotated[list[Annotated[Text, BeforeValidator(_methods)]], wrapped, Also({"type": "string"})]
Networks = Annotated[list[Annotated[Text, BeforeValidator(_network)]], wrapped, Also({"type": "string"})]


class Match(Section):
    """Conditions beside the path, all of which must hold."""

    header: dict[HeaderName, Test] | None = None
    """Headers of the request: "text" (exactly this), "~regex", "~*regex" (capital letters do not count), true (there), false (not
    there), or a list of texts, any of which will do."""
    query: dict[OtherName, Test] | None = None
    """Arguments behind the ?, decoded; tests as for headers. nginx: if ($arg_NAME)."""
    cookie: dict[OtherName, Test] | None = None
    """Cookies; tests as for headers. nginx: if ($cookie_NAME)."""
    client: Networks | None = None
    """Addresses or networks of clients. nginx: geo."""


class MatchOptions(Section):
    """Which requests a route is for."""

    kind: Annotated[str, Among("kind of match", ("prefix", "exact", "regex"))] = "prefix"
    """What path is: `prefix`, `exact` (only this very path) or `regex`. Exact paths go first, then regexes in the order of the
    file, then the longest prefix. nginx: location, location =, location ~."""
    path: Annotated[Text, BeforeValidator(_route_path)] = "/"
    """The route is for paths that begin with this; of several, the longest counts. nginx: location."""
    before_regex: bool = False
    """`kind = "prefix"`: when this is the longest prefix, no regex is tried. nginx: location ^~."""
    methods: Methods | None = None
    """Only requests with these methods; "GET" means HEAD as well. Others get 405, unless another route of the same path takes
    them. nginx: limit_except."""
    match: Match | None = None
    """Conditions on headers, arguments, cookies and addresses. Routes of the same path are tried in the order of the file, those
    without a condition last. nginx: map and if."""


def says_any(value: Any) -> bool:
    """Whether a `match` table has a condition at all."""
    return any(getattr(value, name) for name in Match.model_fields)
