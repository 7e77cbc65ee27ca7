"""`[admin]`: who may look at Gapura itself, and change it, from where."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import BeforeValidator, Field, WithJsonSchema

from .addresses import AddressError, canonical_host, is_loopback, is_numeric, network, port_number, split_port
from .section import Also, Among, Section, by, wrapped

RIGHTS: Final = ("full", "read", "none")


def _here(value: object) -> tuple[str, int]:
    """A port, or a loopback address with a port. Raises AddressError."""
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise AddressError("the admin API listens on a port of this machine", 'write listen = 9180, or "[::1]:9180"')
    host, port = ("", str(value)) if isinstance(value, int) or value.isdecimal() else split_port(value)
    host = {"": "127.0.0.1", "localhost": "127.0.0.1"}.get(host) or canonical_host(host)
    number = port_number(port)
    if not is_numeric(host) or not is_loopback(host) or host in ("0.0.0.0", "::"):
        hint = 'write "127.0.0.1:9180"; for visitors from elsewhere write dashboard = true in a site with tls'
        raise AddressError(f"the admin API listens on this machine only, not on {host}", hint)
    return host, number


class Admin(Section):
    """Who may look at Gapura itself, and change it, from where."""

    dashboard: bool = True
    """Whether http://gapura.localhost shows the dashboard to visitors on this machine."""
    listen: Annotated[
        tuple[str, int] | None,
        by(_here),
        WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 1, "maximum": 65535}, {"type": "string"}]}),
    ] = None
    """Port of 127.0.0.1 on which the admin API answers as well, such as 9180; or a loopback address with a port."""
    loopback: Annotated[str | None, Among("right", RIGHTS)] = None
    """What the account that runs Gapura, and root, may do on this machine without a token: "full", "read" or "none". Left out:
    "full", and "read" when Gapura runs as root."""
    metrics_from: Annotated[
        list[Annotated[str, by(lambda value: network(value) if isinstance(value, str) else value)]],
        wrapped,
        Also({"type": "string"}),
    ] = Field(default_factory=list)
    """Addresses or networks that may read /metrics without a token."""


class DashboardOptions(Section):
    """The action that leads to Gapura itself."""

    dashboard: Annotated[bool | None, BeforeValidator(lambda value: None if value is False else value)] = None
    """true: Gapura's dashboard, with /v1 and /metrics beside it. From elsewhere it needs HTTPS and a token (`gapura token`)."""
