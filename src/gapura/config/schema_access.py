"""Keys of a site and its routes: who may ask: networks, passwords, tokens, other origins."""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import BeforeValidator, Field

from .addresses import AddressError, network
from .quantities import PositiveSeconds, Seconds
from .section import Also, Among, Section, Text, short, wrapped
from .words import did_you_mean, shown, wrong

WORDS: Final = {
    "all": ("0.0.0.0/0", "::/0"),
    "private": ("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "::1/128", "fc00::/7"),
}
"""Words that stand for networks; `private` as in Caddy's private_ranges (RFC 1918, 4193)."""
ALGORITHMS: Final = (
    "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
)  # fmt: skip
"""Signatures of tokens (RFC 7518 §3.1, 8037 §3.1); `none` is not among them."""
_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+", re.ASCII)
_ORIGIN: Final = re.compile(r"[a-z][a-z0-9+.-]*://(\*\.)?([a-z0-9._-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?", re.ASCII)
_RESERVED: Final = frozenset(
    ("host", "content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer", "expect", "authorization", "cookie")
)
"""Headers that a decision about access never sets: they are about the message, or the visitor's own."""


def _network(value: object) -> object:
    if not isinstance(value, str) or value in WORDS:
        return value
    try:
        return network(value)
    except AddressError as error:
        hint = did_you_mean(value, WORDS) if value.isalpha() else 'write "10.0.0.0/8", "127.0.0.1", "private" or "all"'
        raise wrong(str(error), hint) from None


def _switch(value: object) -> object:
    return {"enabled": value} if isinstance(value, bool) else value


def _header_name(value: object) -> object:
    if isinstance(value, str):
        if not _TOKEN.fullmatch(value) or "_" in value:
            raise wrong(f'"{shown(value)}" is not the name of a header', 'letters, digits and -, such as "Remote-User"')
        if value.lower() in _RESERVED:
            raise wrong(f"{value} cannot be set here", "it belongs to the message itself, or to the visitor")
    return value


def _ascii_line(value: object) -> object:
    if isinstance(value, str) and not (value and value.isascii() and value.isprintable()):
        raise wrong("must be one line of printable ASCII", "it becomes the value of a header")
    return value


def _realm(value: object) -> object:
    if isinstance(value, str) and not value.isprintable():
        raise wrong("has control characters", "one line of plain text, please")
    return value


def _user(value: object) -> object:
    if isinstance(value, str) and (not value or ":" in value or not value.isprintable()):
        raise wrong(f'"{shown(value)}" cannot be the name of a user', "one line without a colon")
    return value


def _uri(value: object) -> object:
    if isinstance(value, str) and not re.fullmatch(r"/[!-~]*", value, re.ASCII):
        raise wrong("a path begins with / and has no spaces", 'write path = "/verify"')
    return value


def _origin(value: object) -> object:
    if isinstance(value, str) and value != "*" and not _ORIGIN.fullmatch(value):
        hint = 'scheme, host and port, in lower case and without a path: "https://app.example.com" or "https://*.example.com"'
        raise wrong(f'"{shown(value)}" is not an origin', hint)
    return value


def _method(value: object) -> object:
    if isinstance(value, str) and not (_TOKEN.fullmatch(value) and value == value.upper()):
        raise wrong(f'"{shown(value)}" is not a method', 'write it in capitals, as in "GET"')
    return value


def _field(value: object) -> object:
    if isinstance(value, str) and not _TOKEN.fullmatch(value):
        raise wrong(f'"{shown(value)}" is not the name of a header', 'such as "Content-Type"')
    return value


Networks = Annotated[list[Annotated[Text, BeforeValidator(_network)]], wrapped, Also({"type": "string"})]
HeaderName = Annotated[Text, BeforeValidator(_header_name)]
Line = Annotated[Text, BeforeValidator(_ascii_line)]
Realm = Annotated[str, BeforeValidator(_realm)]
Timeout = PositiveSeconds


class BasicAuth(Section):
    """A name and a password, asked for by the browser (RFC 7617)."""

    enabled: bool = True
    """`basic_auth = false` is short for `basic_auth = { enabled = false }`: a route without the site's passwords."""
    file: Text | None = None
    """File with a line `name:hash` for each user, such as `gapura password` prints. nginx: auth_basic_user_file."""
    users: dict[Annotated[str, BeforeValidator(_user)], Text] = Field(default_factory=dict)
    """Users written here: name = "hash"."""
    realm: Realm = "Restricted"
    """What the browser shows, and what passwords belong to. nginx: auth_basic."""
    forward: bool = True
    """Whether the server gets the Authorization header too, as it does behind nginx."""


class ForwardAuth(Section):
    """Another server decides. Caddy: forward_auth."""

    enabled: bool = True
    """`forward_auth = false` is short for `forward_auth = { enabled = false }`: a route on which nobody decides."""
    to: Text = ""
    """The server that decides: an upstream or app by its name, or an address. nginx: auth_request."""
    path: Annotated[Text, BeforeValidator(_uri)] = "/"
    """What it is asked for, with GET and the headers X-Forwarded-Method, -Uri, -Host, -Proto and -For."""
    headers: Annotated[list[HeaderName], wrapped, Also({"type": "string"})] = Field(default_factory=list)
    """Headers of its answer that the application gets; those of the same name that a visitor sent are removed. nginx:
    auth_request_set."""
    answer_headers: Annotated[list[HeaderName], wrapped, Also({"type": "string"})] = Field(default_factory=list)
    """Headers of its answer that the visitor gets when let in, such as Set-Cookie."""
    host: Annotated[Line, Field()] | None = None
    """Host header sent to it. Left out: the one of the request."""
    timeout: Timeout = 10.0
    """How long it may take; then 504."""


class Jwt(Section):
    """A signed token (RFC 7519, 6750). nginx: auth_jwt (commercial)."""

    enabled: bool = True
    """`jwt = false` is short for `jwt = { enabled = false }`: a route without the site's tokens."""
    keys: Text | None = None
    """File with the secret (HS…, at least 32 bytes) or the public key (PEM). nginx: auth_jwt_key_file."""
    jwks: Text | None = None
    """File or https URL with a set of public keys (RFC 7517). nginx: auth_jwt_key_request."""
    algorithms: Annotated[list[Annotated[str, Among("algorithm", ALGORITHMS)]], wrapped, Also({"type": "string"})] = Field(
        default_factory=list
    )
    """Signatures that are taken. Left out: those that belong to the kind of the key."""
    issuer: Annotated[list[Text], wrapped, Also({"type": "string"})] = Field(default_factory=list)
    """The claim `iss` must be one of these."""
    audience: Annotated[list[Text], wrapped, Also({"type": "string"})] = Field(default_factory=list)
    """The claim `aud` must name one of these."""
    header: HeaderName | None = None
    """The token is the value of this header. Left out: Authorization: Bearer."""
    cookie: Line | None = None
    """The token is the value of this cookie, if there is no header with one."""
    claims: dict[Line, Annotated[list[Text], wrapped, Also({"type": "string"})]] = Field(default_factory=dict)
    """What else the token must say: a claim, and the values of which it must have one; else 403."""
    headers: dict[HeaderName, Line] = Field(default_factory=dict)
    """Headers that the application gets: name = "claim"; those of the same name that a visitor sent are removed."""
    leeway: Seconds = 30.0
    """By how much clocks may differ for `exp` and `nbf`."""
    eternal: bool = False
    """Whether a token without `exp` is taken."""
    realm: Realm = "Restricted"
    """The realm of the 401."""
    forward: bool = True
    """Whether the server gets the header with the token too."""


class Cors(Section):
    """Which other origins' pages may ask (Fetch Standard, CORS protocol)."""

    enabled: bool = True
    """`cors = true` lets every origin ask, without cookies; `cors = false` is a route without the site's answer."""
    origins: Annotated[list[Annotated[Text, BeforeValidator(_origin)]], wrapped, Also({"type": "string"})] = Field(
        default_factory=lambda: ["*"]
    )
    """Origins such as "https://app.example.com" or "https://*.example.com". Left out: all."""
    methods: Annotated[list[Annotated[Text, BeforeValidator(_method)]], wrapped, Also({"type": "string"})] = Field(
        default_factory=lambda: ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
    )
    """Methods that they may use. Left out: GET, HEAD, POST, PUT, PATCH and DELETE."""
    headers: Annotated[list[Annotated[Text, BeforeValidator(_field)]], wrapped, Also({"type": "string"})] = Field(
        default_factory=list
    )
    """Request headers that they may send. Left out: whatever they ask for."""
    expose: Annotated[list[Annotated[Text, BeforeValidator(_field)]], wrapped, Also({"type": "string"})] = Field(
        default_factory=list
    )
    """Headers of answers that they may read."""
    credentials: bool = False
    """Whether they may send cookies and passwords; wants `origins`."""
    max_age: Seconds = 600.0
    """How long a browser may remember the answer."""


class SecurityHeaders(Section):
    """Headers that make browsers careful. Those that the application sends itself stay as they are."""

    enabled: bool = True
    """`security_headers = true` is the whole preset; `false` is a route without it."""
    frame: Annotated[str, Among("rule for frames", ("same", "none", "any"))] = "same"
    """Which pages may show this one in a frame: those of the same origin, none, or any (X-Frame-Options, frame-ancestors)."""
    referrer: Line = "strict-origin-when-cross-origin"
    """Referrer-Policy."""
    csp: Line | None = None
    """Content-Security-Policy. Left out: only `frame-ancestors`, by `frame`."""
    permissions: Line | None = None
    """Permissions-Policy, such as "camera=(), geolocation=()"."""
    opener: Annotated[str, Among("opener policy", ("same-origin", "same-origin-allow-popups", "unsafe-none"))] | None = None
    """Cross-Origin-Opener-Policy."""
    resource: Annotated[str, Among("resource policy", ("same-site", "same-origin", "cross-origin"))] | None = None
    """Cross-Origin-Resource-Policy."""
    hide: bool = True
    """Takes out X-Powered-By, X-AspNet-Version and the like. nginx: proxy_hide_header."""


_SWITCH: Final = BeforeValidator(_switch)
_TEXT_OR_BOOLEAN: Final = Also({"type": ["string", "boolean"]})


class AccessOptions(Section):
    """Who may ask: networks, passwords, tokens, other origins."""

    allow: Networks | None = None
    """Networks that may ask; all others get 403. "private" and "all" are networks too. nginx: allow, and deny all."""
    deny: Networks | None = None
    """Networks that may not. Of `allow` and `deny` the narrowest network that holds the address decides. nginx: deny."""
    satisfy: Annotated[str, Among("rule", ("all", "any"))] | None = None
    """With "any" an address of `allow` needs no password, token or forward_auth. nginx: satisfy."""
    basic_auth: Annotated[BasicAuth | None, _SWITCH, short("file"), _TEXT_OR_BOOLEAN] = None
    """Names and passwords: a file of them, or a table. nginx: auth_basic."""
    forward_auth: Annotated[ForwardAuth | None, _SWITCH, Also({"type": "boolean"})] = None
    """A table with the server that decides. nginx: auth_request."""
    jwt: Annotated[Jwt | None, _SWITCH, Also({"type": "boolean"})] = None
    """A table that says which tokens are taken. nginx: auth_jwt (commercial)."""
    cors: Annotated[Cors | None, _SWITCH, Also({"type": "boolean"})] = None
    """Which other origins' pages may ask: true for all, or a table."""
    security_headers: Annotated[SecurityHeaders | None, _SWITCH, Also({"type": "boolean"})] = None
    """Headers that make browsers careful: true, or a table. nginx: add_header."""
