"""`[edge.acme]`: which certificate authorities are asked for public certificates, and how they are shown that a name is ours."""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import BeforeValidator, Field

from .plan_acme import KNOWN
from .quantities import PositiveSeconds
from .section import Also, Among, Section, Text, short, wrapped
from .words import did_you_mean, shown, wrong

ALGORITHMS: Final = ("hmac-sha256", "hmac-sha512", "hmac-sha384", "hmac-sha224", "hmac-sha1", "hmac-md5")
_EMAIL: Final = re.compile(r"[^@\s,;<>]+@[^@\s,;<>]+\.[^@\s,;<>.]+", re.ASCII)
_URL: Final = re.compile(r"https://[A-Za-z0-9.\-\[\]:]+(/[!-~]*)?", re.ASCII)


def _url(value: object) -> object:
    if not isinstance(value, str) or value in KNOWN:
        return value
    if value.startswith("http://"):
        raise wrong("a directory is asked over https only (RFC 8555 §6.1)", f'write "https{shown(value[4:])}"')
    if not _URL.fullmatch(value):
        hint = did_you_mean(value, tuple(KNOWN), label="one of")
        raise wrong(f'there is no certificate authority "{shown(value)}"', f"{hint}; or the URL of a directory: https://…")
    return value


def _email(value: object) -> object:
    if isinstance(value, str) and not _EMAIL.fullmatch(value):
        raise wrong(f'"{shown(value)}" is not an e-mail address', 'write "you@example.com"')
    return value


def _command(value: object) -> object:
    if isinstance(value, str) and not value.strip():
        raise wrong("must be a command", 'write exec = "/usr/local/bin/dns-hook"')
    return value


class ExternalAccount(Section):
    """An account that was made at the authority by hand (RFC 8555 §7.3.4). certbot: --eab-kid, --eab-hmac-key."""

    key_id: Text
    """Its key identifier."""
    key_file: Text
    """File with its HMAC key, as the authority shows it (base64url)."""


class Directory(Section):
    """A certificate authority."""

    url: Annotated[Text, BeforeValidator(_url)]
    """The address of its directory, or `letsencrypt`, `letsencrypt-staging`, `zerossl`, `google`, `sslcom`."""
    external_account: ExternalAccount | None = None
    """For authorities that want an account made by hand: zerossl, google, sslcom."""


class Update(Section):
    """A name server that takes dynamic updates (RFC 2136), such as BIND, Knot or PowerDNS."""

    server: Text
    """Its address, with a port unless it is 53."""
    key_name: Text
    """Name of the TSIG key (RFC 8945)."""
    key_file: Text
    """File with the secret of the key, in base64, or the key file that tsig-keygen writes."""
    algorithm: Annotated[str, Among("algorithm", ALGORITHMS)] = "hmac-sha256"
    """Algorithm of the key."""
    zone: Text | None = None
    """Zone that is updated. Left out: found by asking the server."""


class Dns(Section):
    """How the TXT record for dns-01 (RFC 8555 §8.4) is set: exactly one of exec and rfc2136."""

    exec: Annotated[Text, BeforeValidator(_command)] | None = None
    """Command that is run with `present NAME VALUE` and afterwards with `cleanup NAME VALUE`, as workers' user. It returns when
    the record can be seen."""
    rfc2136: Update | None = None
    """A name server that takes dynamic updates."""


class Acme(Section):
    """How certificates for public names are got (RFC 8555)."""

    email: Annotated[Text, BeforeValidator(_email)] | None = None
    """Where the authority may write to."""
    directories: Annotated[
        list[Annotated[Directory, short("url"), Also({"type": "string"})]], wrapped, Also({"type": "string"}), Field(min_length=1)
    ] = Field(default_factory=lambda: [Directory(url="letsencrypt")])
    """Certificate authorities, in order: the next one is asked when one fails. A name (`letsencrypt`), a URL, or tables with
    url and external_account. Left out: letsencrypt. By using one you agree to its terms of service."""
    key: Annotated[str, Among("kind of key", ("ecdsa", "rsa"))] = "ecdsa"
    """Keys of certificates: `ecdsa` (P-256), or `rsa` (2048 bits) for visitors with very old programs."""
    ca: Text | None = None
    """File with the root certificates that directories are verified with, for an authority of your own. Left out: the public
    ones."""
    dns: Dns | None = None
    """Prove names by DNS instead of HTTP. Wildcards need it, and servers that the authority cannot reach on port 80."""
    renew_before: PositiveSeconds | None = None
    """How long before its end a certificate is renewed. Left out: when the authority suggests (RFC 9773), else a third of its
    lifetime before."""
