"""How public certificates are got, as plain data. Files are named, never read in: no secret is part of a plan."""

from __future__ import annotations

from typing import Final, TypedDict


class DirectoryPlan(TypedDict):
    """A certificate authority that speaks ACME (RFC 8555)."""

    url: str
    key_id: str  # external account binding (RFC 8555 §7.3.4), "" = none
    key_file: str  # file with its HMAC key in base64url


class UpdatePlan(TypedDict):
    """A name server that takes dynamic updates (RFC 2136), signed with TSIG (RFC 8945)."""

    server: str  # numeric address or host name
    port: int
    zone: str  # "" = found by asking for the SOA
    key_name: str
    key_file: str  # file with the secret in base64
    algorithm: str


class AcmePlan(TypedDict):
    email: str  # "" = none
    directories: list[DirectoryPlan]  # in order: the next one when one fails
    key: str  # "ecdsa" or "rsa"
    ca: str  # file with the root certificates that directories are verified with, "" = the public ones
    exec: str  # dns-01 by a command, "" = none
    update: UpdatePlan | None  # dns-01 by RFC 2136
    renew_before: float | None  # seconds; None = a third of the lifetime, or what the authority suggests


LETS_ENCRYPT: Final = "https://acme-v02.api.letsencrypt.org/directory"
KNOWN: Final = {
    "letsencrypt": LETS_ENCRYPT,
    "letsencrypt-staging": "https://acme-staging-v02.api.letsencrypt.org/directory",
    "zerossl": "https://acme.zerossl.com/v2/DV90",
    "google": "https://dv.acme-v02.api.pki.goog/directory",
    "sslcom": "https://acme.ssl.com/sslcom-dv-ecc",
}
"""Authorities by the names that people use."""
BOUND: Final = ("zerossl", "google", "sslcom")
"""Those that ask for an external account."""


def default() -> AcmePlan:
    """What holds without `[edge.acme]`."""
    return {
        "email": "",
        "directories": [{"url": LETS_ENCRYPT, "key_id": "", "key_file": ""}],
        "key": "ecdsa",
        "ca": "",
        "exec": "",
        "update": None,
        "renew_before": None,
    }
