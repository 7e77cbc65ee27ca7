"""From `[edge.acme]` to its plan."""

from __future__ import annotations

from typing import Final

from .addresses import AddressError, ascii_name, canonical_host, port_number, split_port
from .build_upstreams import absolute
from .findings import Findings
from .local_names import is_local
from .plan import SitePlan
from .plan_acme import BOUND, KNOWN, AcmePlan, DirectoryPlan, UpdatePlan
from .positions import Path
from .schema_acme import Acme, Directory, Update

_PATH: Final[Path] = ("edge", "acme")


def acme(findings: Findings, written: Acme | None, folder: str) -> AcmePlan | None:
    """The plan of `[edge.acme]`; None when nothing is said there. `folder`: the one of the file, for relative paths."""
    if written is None:
        return None
    dns = written.dns
    update = None
    if dns is not None:
        if (dns.exec is None) == (dns.rfc2136 is None):
            message = "dns has both exec and rfc2136" if dns.exec else "dns says nothing"
            findings.error((*_PATH, "dns"), message, 'write either exec = "…" or rfc2136 = { server = "…", … }', at_key=True)
        elif dns.rfc2136 is not None:
            update = _update(findings, dns.rfc2136, folder)
    return {
        "email": written.email or "",
        "directories": [_directory(findings, index, item, folder) for index, item in enumerate(written.directories)],
        "key": written.key,
        "ca": "" if written.ca is None else absolute(folder, written.ca),
        "exec": (dns.exec or "") if dns else "",
        "update": update,
        "renew_before": written.renew_before,
    }


def check_wildcards(findings: Findings, acme: AcmePlan | None, sites: list[SitePlan]) -> None:
    """Tell of wildcards that no authority can be shown to be ours."""
    if acme is not None and (acme["exec"] or acme["update"]):
        return
    for key, site in zip(findings.sources.data.get("sites", {}), sites, strict=False):
        tls = site["tls"]
        if tls is None or not tls["auto"] or tls["local"]:
            continue
        for name in tls["names"]:
            if name.startswith("*.") and not is_local(name):
                message = f"{name} gets a certificate of the local CA only, which visitors elsewhere do not believe"
                findings.warn(("sites", key), message, "write dns in [edge.acme]: wildcards are proved by DNS", at_key=True)


def _directory(findings: Findings, index: int, written: Directory, folder: str) -> DirectoryPlan:
    account = written.external_account
    if account is None and written.url in BOUND:
        message = f"{written.url} gives certificates only to accounts that were made there by hand"
        hint = f'write {{ url = "{written.url}", external_account = {{ key_id = "…", key_file = "…" }} }}'
        findings.error((*_PATH, "directories", index), message, hint)
    return {
        "url": KNOWN.get(written.url, written.url),
        "key_id": account.key_id if account else "",
        "key_file": absolute(folder, account.key_file) if account else "",
    }


def _update(findings: Findings, written: Update, folder: str) -> UpdatePlan:
    path: Path = (*_PATH, "dns", "rfc2136")
    host, port, zone = "", 53, ""
    try:
        name, written_port = split_port(written.server)
        host = canonical_host(name)
        port = port_number(written_port) if written_port else 53
    except AddressError as error:
        findings.error((*path, "server"), str(error), error.hint or 'write "192.0.2.53" or "ns1.example.com:53"')
    try:
        zone = ascii_name(written.zone) if written.zone else ""
    except AddressError as error:
        findings.error((*path, "zone"), str(error), error.hint)
    return {
        "server": host,
        "port": port,
        "zone": zone,
        "key_name": written.key_name,
        "key_file": absolute(folder, written.key_file),
        "algorithm": written.algorithm,
    }
