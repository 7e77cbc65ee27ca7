"""The part of a plan that `schema_tls` becomes: certificates of sites, TLS to servers. It holds paths, never keys."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from typing import Final, TypedDict

CERTIFICATE: Final = "certificate.pem"
KEY: Final = "key.pem"
"""Files in the folder of a name whose certificate Gapura gets by itself."""
PROVISIONAL: Final = "provisional"
"""File in that folder while the local CA stands in for an authority: visitors over HTTP are not sent to HTTPS yet."""
MAX_FILE: Final = 1 << 20
"""Bytes of a certificate, key or CA file; a longer one is something else."""


class SiteTlsPlan(TypedDict):
    """HTTPS of a site."""

    auto: bool  # certificates are got by control, one for each of `names`
    local: bool  # auto: by the local CA, whatever the names
    names: list[str]  # auto: names and "*." names that need one
    certificate: str  # absolute path of a PEM file, "" with auto
    key: str  # absolute path of a PEM file; may be that of the certificate
    client_ca: str  # absolute path of a PEM file, "" = clients show no certificate
    client_auth: str  # "require" or "optional", "" without client_ca
    redirect: int  # port that visitors see in the redirect from HTTP; 0 = that of the first HTTPS listener, -1 = no redirect
    hsts: str  # value of Strict-Transport-Security (RFC 6797 §6.1), "" = none


class EdgeTlsPlan(TypedDict):
    min_version: str  # "1.2" or "1.3"


class UpstreamTlsPlan(TypedDict):
    """TLS to the servers of an upstream."""

    verify: bool
    ca: str  # absolute path of a PEM file, "" = those that the system trusts
    server_name: str  # what the certificate must be for, "" = the server's own name or address
    certificate: str  # absolute path: what we show, "" = nothing
    key: str


class Pair(TypedDict):
    """Files that make one certificate usable: what a worker loads."""

    certificate: str
    key: str
    client_ca: str


def folder_of(name: str) -> str:
    """How the folder of a name is called: `_.example.com` for `*.example.com`, an IPv6 address without brackets."""
    return "_" + name[1:] if name.startswith("*.") else name.strip("[]")


def pair_of(tls: SiteTlsPlan, name: str, lib: str) -> Pair:
    """The files for a name of a site. `name` is one of `names` when its certificate is got by control."""
    if tls["auto"]:
        folder = os.path.join(lib, "certificates", folder_of(name))
        return {
            "certificate": os.path.join(folder, CERTIFICATE),
            "key": os.path.join(folder, KEY),
            "client_ca": tls["client_ca"],
        }
    return {"certificate": tls["certificate"], "key": tls["key"], "client_ca": tls["client_ca"]}


def copy_of(run: str, path: str) -> str:
    """Where the master copies a file for workers that run as another user and may not read the original."""
    return os.path.join(run, "tls", hashlib.sha256(os.fsencode(path)).hexdigest()[:32] + ".pem")


def place(user: str, run: str) -> Callable[[str], str]:
    """Where a worker or control that runs as `user` ("": as the master) reads a file of the configuration."""
    return (lambda path: copy_of(run, path)) if user else (lambda path: path)


def pairs(sites: list[SiteTlsPlan], lib: str) -> list[Pair]:
    """What workers may load for these sites, each once."""
    found = [pair_of(tls, name, lib) for tls in sites for name in (tls["names"] if tls["auto"] else [""])]
    return list({(pair["certificate"], pair["key"], pair["client_ca"]): pair for pair in found}.values())
