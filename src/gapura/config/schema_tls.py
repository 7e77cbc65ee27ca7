"""`tls` of sites, of `[edge]` and of upstreams."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import BeforeValidator, Field, WithJsonSchema

from .quantities import LONGEST, seconds
from .section import Also, Among, Section, Text
from .words import did_you_mean, shown, wrong

AUTO: Final = "auto"
LOCAL: Final = "local"
VERSIONS: Final = ("1.2", "1.3")
YEAR: Final = 31_536_000.0


def site_tls(value: object) -> object:
    """`"auto"`, `"local"`, true and false as tables. Raises PydanticCustomError for another word."""
    if value is False:
        return {"enabled": False}
    if value is True or value == AUTO:
        return {}
    if value == LOCAL:
        return {"local": True}
    if isinstance(value, str):
        hint = 'for files write tls = { certificate = "…", key = "…" }' if "/" in value or "." in value else ""
        meant = hint or did_you_mean(value, (AUTO, LOCAL), label="write false, a table or one of")
        raise wrong(f'tls is not "{shown(value)}"', meant)
    return value


def edge_tls(value: object) -> object:
    """The same for `[edge]`."""
    if isinstance(value, bool) or value == AUTO:
        return {"auto": bool(value)}
    if isinstance(value, str):
        raise wrong(f'tls is not "{shown(value)}"', 'write "auto", false or a table')
    return value


def upstream_tls(value: object) -> object:
    """`true` and `false` as tables."""
    return {"enabled": value} if isinstance(value, bool) else value


def _hsts(value: object) -> object:
    if isinstance(value, bool):
        return {} if value else None
    return {"max_age": value} if isinstance(value, str | int | float) else value


def _max_age(value: object) -> object:
    """A duration, or "1y", "2y": other durations of this file are a year at most."""
    return int(value[0]) * YEAR if value in ("1y", "2y") and isinstance(value, str) else seconds(value)


def _port(value: object) -> object:
    if isinstance(value, bool) or (isinstance(value, int) and 1 <= value <= 65535):
        return value
    raise wrong("redirect is true, false, or the port that visitors see", "write redirect = false, or redirect = 443")


_HSTS_AGE: Final = {"anyOf": [{"type": "number", "minimum": 0, "maximum": LONGEST * 2}, {"type": "string"}]}


class Hsts(Section):
    """Browsers come back over HTTPS only, for so long (RFC 6797)."""

    max_age: Annotated[float, BeforeValidator(_max_age), WithJsonSchema(_HSTS_AGE)] = YEAR
    """For how long, such as "30d" or "1y"; 0 takes back what was said before."""
    subdomains: bool = False
    """Whether it holds for all names below the site's as well."""
    preload: bool = False
    """Whether browsers may be shipped with it; needs subdomains and at least a year."""


class SiteTls(Section):
    """HTTPS of a site. Without a certificate of its own, Gapura gets one by itself."""

    enabled: bool = True
    """`tls = false` is short for `tls = { enabled = false }`."""
    local: bool = False
    """Whether the local CA signs for these names, public ones too; `tls = "local"` is short for it. See `gapura trust`."""
    certificate: Text | None = None
    """PEM file with the certificate and those up to its CA, relative to the folder of this file. nginx: ssl_certificate."""
    key: Text | None = None
    """PEM file with its key, without a passphrase. Left out: it is in the file of the certificate. nginx: ssl_certificate_key."""
    client_ca: Text | None = None
    """PEM file with the CAs of clients' certificates: only clients that show one get in. nginx: ssl_client_certificate."""
    client_auth: Annotated[str, Among("client_auth", ("require", "optional"))] | None = None
    """`require` (the default with client_ca), or `optional`: clients may come without one, $ssl_client_verify tells. nginx:
    ssl_verify_client."""
    redirect: Annotated[
        bool | int, BeforeValidator(_port), WithJsonSchema({"anyOf": [{"type": "boolean"}, {"type": "integer", "minimum": 1}]})
    ] = True
    """Whether requests over HTTP are sent to HTTPS: true, false, or the port that visitors see. nginx: return 301 https://…"""
    hsts: Annotated[Hsts | None, BeforeValidator(_hsts), Also({"type": ["boolean", "number", "string"]})] = None
    """Have browsers come over HTTPS only: how long, such as "1y", or a table. nginx: add_header Strict-Transport-Security."""


class EdgeTls(Section):
    """HTTPS of all sites."""

    auto: bool = False
    """Whether sites that say nothing about tls get certificates by themselves; `tls = "auto"` is short for it."""
    min_version: Annotated[str, Among("version of TLS", VERSIONS)] = "1.2"
    """Oldest version of TLS that is spoken: "1.2" or "1.3". nginx: ssl_protocols."""


class UpstreamTls(Section):
    """TLS to the servers. Their certificates must be valid for their names."""

    enabled: bool = True
    """`tls = true` is short for `tls = {}`."""
    verify: bool = True
    """Whether a server's certificate must be valid; without it anybody on the way can read and change what passes. nginx:
    proxy_ssl_verify."""
    ca: Text | None = None
    """PEM file with the CAs to trust, relative to the folder of this file. Left out: those of the system. nginx:
    proxy_ssl_trusted_certificate."""
    server_name: Annotated[Text, Field(min_length=1)] | None = None
    """Name that is asked for and that the certificate must have. Left out: that of the server's address. nginx: proxy_ssl_name."""
    certificate: Text | None = None
    """PEM file with a certificate for servers that want to see one. nginx: proxy_ssl_certificate."""
    key: Text | None = None
    """PEM file with its key. Left out: it is in the file of the certificate. nginx: proxy_ssl_certificate_key."""
