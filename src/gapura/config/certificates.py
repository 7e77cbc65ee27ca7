"""Whether the certificates, keys and CAs that a configuration names can be used. Reads them; for the machine that they are on.

What could not work is an error, with its place in the file; what visitors' browsers would refuse is a warning: it may be known, and
it must not keep the other sites from starting.
"""

from __future__ import annotations

import datetime
import errno
import os
import ssl
import stat
from collections.abc import Iterator
from typing import Any, Final

from ..outgoing import no_passphrase
from .findings import Findings
from .plan import Plan
from .plan_tls import MAX_FILE, SiteTlsPlan, UpstreamTlsPlan
from .positions import Path
from .words import shown

SOON: Final = datetime.timedelta(days=7)
"""A certificate that ends so soon is warned of: nobody renews it, it seems."""
_SEQUENCE: Final = b"\x30"
_MISMATCH: Final = ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH")
_KEYS: Final = (b"-----BEGIN PRIVATE KEY-----", b"-----BEGIN EC PRIVATE KEY-----", b"-----BEGIN RSA PRIVATE KEY-----")


class _Wrong(Exception):
    """What is wrong with a file, and what to do."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def check_certificates(findings: Findings, plan: Plan) -> None:
    """Look at all files for TLS that a plan names, each pair once."""
    seen: dict[tuple[str, str], Any] = {}
    for path, tls, hosts in _sites(findings, plan):
        if not tls["auto"]:
            pair = tls["certificate"], tls["key"]
            if pair not in seen:
                seen[pair] = _check_pair(findings, path, *pair)
            if seen[pair] is not None:
                _check_names(findings, path, seen[pair], hosts)
        if tls["client_ca"] and (tls["client_ca"], "") not in seen:
            seen[tls["client_ca"], ""] = None
            _check_ca(findings, (*path, "client_ca"), tls["client_ca"])
    for path, upstream in _upstreams(plan):
        if upstream["ca"]:
            _check_ca(findings, (*path, "ca"), upstream["ca"])
        if upstream["certificate"]:
            _check_pair(findings, path, upstream["certificate"], upstream["key"])


def _sites(findings: Findings, plan: Plan) -> Iterator[tuple[Path, SiteTlsPlan, list[str]]]:
    """The sites with TLS, each with the place of its `tls`."""
    written: dict[str, Any] = findings.sources.data.get("sites", {})
    for key, site in zip(written, plan["sites"], strict=False):
        if site["tls"] is not None:
            yield ("sites", key, "tls"), site["tls"], site["hosts"]


def _upstreams(plan: Plan) -> Iterator[tuple[Path, UpstreamTlsPlan]]:
    for name, upstream in plan["upstreams"].items():
        if upstream["tls"] is not None:
            yield ("upstreams", name, "tls"), upstream["tls"]


def _check_pair(findings: Findings, path: Path, certificate: str, key: str) -> Any:
    """A certificate and its key. Returns the certificate (`cryptography.x509`), None when it is no good."""
    where: Path = (*path, "certificate")
    try:
        data = _read(certificate)
        if b"-----BEGIN CERTIFICATE-----" not in data:
            raise _Wrong(f"{_file(certificate)} holds no certificate", _instead(data, certificate))
        where = (*path, "key") if key != certificate else where
        _check_key(_read(key), key)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key, password=no_passphrase)
    except _Wrong as error:
        findings.error(where, error.message, error.hint)
        return None
    except (OSError, ValueError) as error:
        _tell_unusable(findings, path, where, certificate, key, error)
        return None
    found = _first(data)
    if found is None:
        findings.error((*path, "certificate"), f"{_file(certificate)} holds a certificate that cannot be read", _again())
        return None
    _check_dates(findings, (*path, "certificate"), found)
    return found


def _tell_unusable(findings: Findings, path: Path, where: Path, certificate: str, key: str, error: Exception) -> None:
    reason = getattr(error, "reason", "") or ""
    if reason in _MISMATCH:
        hint = "the site's own certificate must be the first in its file, those up to the CA follow"
        findings.error(where, f"{_file(key)} is not the key of {_file(certificate)}", hint)
    elif reason in ("EE_KEY_TOO_SMALL", "CA_KEY_TOO_SMALL"):
        findings.error((*path, "certificate"), f"the key of {_file(certificate)} is too short", "take RSA with 2048 bits, or ECDSA")
    elif reason in ("EE_MD_TOO_WEAK", "CA_MD_TOO_WEAK"):
        findings.error((*path, "certificate"), f"the signature of {_file(certificate)} is too weak", "have it signed with SHA-256")
    else:
        words = reason.replace("_", " ").lower() or "it is broken"
        findings.error((*path, "certificate"), f"{_file(certificate)} with {_file(key)} cannot be used: {words}", _again())


def _check_key(data: bytes, file: str) -> None:
    """Raises `_Wrong` for a file without a key that can be used."""
    if b"ENCRYPTED" in data:
        hint = f"openssl pkey -in {_file(file)} -out plain.pem takes it away; keep that file to yourself: chmod 600 plain.pem"
        raise _Wrong(f"the key in {_file(file)} is protected by a passphrase", hint)
    if not any(begin in data for begin in _KEYS):
        hint = _instead(data, file) if b"-----BEGIN CERTIFICATE" not in data else 'write key = "…", the file that came with it'
        raise _Wrong(f"{_file(file)} holds no key", hint)


def _check_ca(findings: Findings, path: Path, file: str) -> None:
    try:
        data = _read(file)
        if b"-----BEGIN CERTIFICATE-----" not in data:
            raise _Wrong(f"{_file(file)} holds no certificate", _instead(data, file))
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(file)
    except _Wrong as error:
        findings.error(path, error.message, error.hint)
    except (OSError, ValueError):
        findings.error(path, f"{_file(file)} holds a certificate that cannot be read", _again())


def _read(file: str) -> bytes:
    """A file of a sensible size. Raises `_Wrong`."""
    try:
        fd = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise _Wrong(f"there is no file {_file(file)}", "it is seen from the folder of this file") from None
    except OSError as error:
        if error.errno == errno.EACCES:
            raise _Wrong(
                f"{_file(file)} may not be read", "give the user who starts Gapura the right to, or start it as root"
            ) from None
        raise _Wrong(f"{_file(file)} cannot be read: {error.strerror}") from None
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise _Wrong(f"{_file(file)} is not a file", "write the path of a PEM file")
    with open(fd, "rb") as stream:
        data = stream.read(MAX_FILE + 1)
    if len(data) > MAX_FILE:
        raise _Wrong(f"{_file(file)} is longer than a megabyte", "it is probably not the file that was meant")
    return data


def _instead(data: bytes, file: str) -> str:
    """What to do about a file that holds something else."""
    if not data:
        return "the file is empty"
    if data.startswith(_SEQUENCE):
        return f"it is DER, and PEM is needed: openssl x509 -inform der -in {_file(file)} -out {shown(os.path.basename(file))}.pem"
    if b"PRIVATE KEY" in data:
        return "it is a key: certificate and key are probably the wrong way round"
    return "a PEM file has lines that begin with -----BEGIN"


def _file(path: str) -> str:
    return shown(path, 300)


def _again() -> str:
    return "copy it once more, or get it anew"


def _first(data: bytes) -> Any:
    from cryptography import x509

    try:
        return x509.load_pem_x509_certificates(data)[0]
    except ValueError:
        return None


def _check_dates(findings: Findings, path: Path, certificate: Any) -> None:
    now = datetime.datetime.now(datetime.UTC)
    after, before = certificate.not_valid_after_utc, certificate.not_valid_before_utc
    if after < now:
        findings.warn(path, f"the certificate has expired on {after:%Y-%m-%d}: browsers refuse it", "get a new one")
    elif before > now:
        findings.warn(path, f"the certificate is valid only from {before:%Y-%m-%d} on", "is the clock of this machine right?")
    elif after - now < SOON:
        findings.warn(path, f"the certificate ends on {after:%Y-%m-%d}", 'tls = "auto" renews certificates by itself')


def _check_names(findings: Findings, path: Path, certificate: Any, hosts: list[str]) -> None:
    """Tell of hosts of a site that its certificate is not for (RFC 9525 §6.3: a star stands for one label)."""
    from cryptography import x509

    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        findings.warn((*path, "certificate"), "the certificate is for no name at all: browsers refuse it", "get a new one")
        return
    known = {name.lower() for name in names.get_values_for_type(x509.DNSName)}
    known |= {str(address) for address in names.get_values_for_type(x509.IPAddress)}
    missing = [host for host in hosts if host != "*" and not _covered(host.strip("[]"), known)]
    if missing:
        own = ", ".join(sorted(map(shown, known))[:5]) or "no name"
        findings.warn((*path, "certificate"), f"the certificate is not for {', '.join(missing[:5])}", f"it is for {own}")


def _covered(host: str, names: set[str]) -> bool:
    return host in names or "*." + host.partition(".")[2] in names
