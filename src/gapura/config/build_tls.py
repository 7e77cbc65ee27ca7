"""TLS of sites and of upstreams in a plan. What the files hold is looked at in `certificates`, which may ask the machine."""

from __future__ import annotations

import os

from .findings import Findings
from .plan_tls import SiteTlsPlan, UpstreamTlsPlan
from .positions import Path
from .schema_tls import YEAR, Hsts, SiteTls, UpstreamTls
from .words import shown


def site_tls(findings: Findings, path: Path, tls: SiteTls | None, hosts: list[str], auto: bool, folder: str) -> SiteTlsPlan | None:
    """HTTPS of a site, None without it. `path` is that of its key, `auto` what `[edge]` says for sites that say nothing."""
    names = [host for host in hosts if host != "*"]
    if tls is None:
        if not auto or not names:
            return None
        tls = SiteTls()
    if not tls.enabled:
        return None
    by_itself = tls.certificate is None
    if by_itself and not names and not findings.is_faulty(path):
        hint = 'write the names as sites of their own, or tls = { certificate = "…", key = "…" }'
        findings.error(path, 'no certificate can be got for "*": it has to name hosts', hint)
    whole = not findings.is_faulty(path)
    if by_itself and tls.key is not None and whole:
        findings.error((*path, "key"), "a key without a certificate", 'write certificate = "…" as well', at_key=True)
    if tls.local and not by_itself and whole:
        findings.error((*path, "local"), "local, and a certificate of your own", "leave one of them out", at_key=True)
    if tls.client_auth is not None and tls.client_ca is None and whole:
        hint = 'write client_ca = "ca.pem" as well'
        findings.error((*path, "client_auth"), "client_auth without client_ca", hint, at_key=True)
    certificate = _file(folder, tls.certificate)
    return {
        "auto": by_itself,
        "local": tls.local,
        "names": names if by_itself else [],
        "certificate": certificate,
        "key": _file(folder, tls.key) or certificate,
        "client_ca": _file(folder, tls.client_ca),
        "client_auth": (tls.client_auth or "require") if tls.client_ca is not None else "",
        "redirect": -1 if tls.redirect is False else 0 if tls.redirect is True else tls.redirect,
        "hsts": _hsts(findings, (*path, "hsts"), tls.hsts),
    }


def upstream_tls(findings: Findings, path: Path, tls: UpstreamTls | None, folder: str) -> UpstreamTlsPlan | None:
    """TLS to the servers of an upstream, None without it. `path` is that of its key."""
    if tls is None or not tls.enabled:
        return None
    if tls.key is not None and tls.certificate is None and not findings.is_faulty(path):
        findings.error((*path, "key"), "a key without a certificate", 'write certificate = "…" as well', at_key=True)
    if tls.ca is not None and not tls.verify:
        findings.error((*path, "ca"), "ca is of no use with verify = false", "leave one of them out", at_key=True)
    if tls.server_name is not None and not tls.server_name.isascii():
        findings.error((*path, "server_name"), f'"{shown(tls.server_name)}" is not a host name', "write it in punycode")
    certificate = _file(folder, tls.certificate)
    return {
        "verify": tls.verify,
        "ca": _file(folder, tls.ca),
        "server_name": (tls.server_name or "").lower(),
        "certificate": certificate,
        "key": _file(folder, tls.key) or certificate,
    }


def _file(folder: str, path: str | None) -> str:
    return "" if path is None else os.path.normpath(os.path.join(folder, os.path.expanduser(path)))


def _hsts(findings: Findings, path: Path, hsts: Hsts | None) -> str:
    """The value of Strict-Transport-Security (RFC 6797 §6.1); the conditions of preload are those of hstspreload.org."""
    if hsts is None:
        return ""
    if hsts.preload and not (hsts.subdomains and hsts.max_age >= YEAR):
        hint = 'write { max_age = "1y", subdomains = true, preload = true }'
        findings.error((*path, "preload"), "preload needs subdomains = true and a max_age of at least a year", hint, at_key=True)
    return "; ".join([f"max-age={int(hsts.max_age)}", *(["includeSubDomains"] * hsts.subdomains), *(["preload"] * hsts.preload)])
