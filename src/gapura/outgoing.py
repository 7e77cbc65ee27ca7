"""TLS to servers behind: contexts that verify them, and in words what is wrong when one does not pass. For workers and control."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable
from typing import Final, NamedTuple

from gapura import small_file
from gapura.small_file import facts_of

LOOK: Final = 1_000_000_000
"""Nanoseconds between two looks at the files of a context, made when somebody asks for it."""

Facts = tuple[small_file.Facts, ...]


class Files(NamedTuple):
    """What makes one context another. Paths may be empty: no CA of one's own, no certificate to show."""

    verify: bool
    ca: str
    certificate: str
    key: str


class _Made:
    """A context and the state of the files that it was made of."""

    __slots__ = ("context", "facts", "looked_at")

    def __init__(self, context: ssl.SSLContext, facts: Facts, looked_at: int) -> None:
        self.context = context
        self.facts = facts
        self.looked_at = looked_at


class Outgoing:
    """The contexts of a process, made when first needed, and anew when their files change.

    `place` says where a file of the configuration can be read by this process.
    """

    def __init__(self) -> None:
        self.place: Callable[[str], str] = lambda path: path
        self._made: dict[Files, _Made] = {}

    def context(self, files: Files, now: int) -> ssl.SSLContext:
        """The context for these files; when they are no good any more, the last one. Raises OSError and ValueError without one."""
        made = self._made.get(files)
        if made is not None and now - made.looked_at < LOOK:
            return made.context
        here = Files(files.verify, *(self.place(path) if path else "" for path in files[1:]))
        facts = tuple(facts_of(path) for path in here[1:] if path)
        if made is not None and made.facts == facts:
            made.looked_at = now
            return made.context
        try:
            context = _context(here)
        except (OSError, ValueError):
            if made is None:
                raise
            made.looked_at = now
            return made.context
        self._made[files] = _Made(context, facts, now)
        return context


def _context(files: Files) -> ssl.SSLContext:
    for path in filter(None, files[1:]):
        os.stat(path)  # its error names the file, that of ssl does not
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    if not files.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif files.ca:
        context.load_verify_locations(files.ca)
    else:
        context.load_default_certs()
    if files.certificate:
        context.load_cert_chain(files.certificate, files.key, password=no_passphrase)
    return context


def no_passphrase() -> str:
    """OpenSSL would ask for it at the terminal."""
    raise ValueError("the key is protected by a passphrase")


def why(error: Exception, name: str) -> str:
    """Why there is no TLS with the server `name`, for logs."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate of {name} is not valid: {_verdict(error)}"
    if isinstance(error, ssl.SSLError):
        reason = (error.reason or "").upper()
        if reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE", "UNEXPECTED_MESSAGE"):
            return f"{name} does not speak TLS on this port"
        if "ALERT" in reason:
            said = reason.rpartition("ALERT_")[2].replace("_", " ").lower()
            return f"{name} refuses TLS: {said}"
        return f"no TLS with {name}: {reason.replace('_', ' ').lower() or error}"
    if isinstance(error, ConnectionResetError | ConnectionAbortedError):
        return f"{name} closed the connection during the TLS handshake"
    if isinstance(error, OSError) and error.filename:
        return f"no TLS with {name}: {error.filename}: {error.strerror}"
    return f"no TLS with {name}: {getattr(error, 'strerror', None) or error}"


def _verdict(error: ssl.SSLCertVerificationError) -> str:
    message = error.verify_message or ""
    if "ostname mismatch" in message or "IP address mismatch" in message:
        return "it is for other names; server_name says which one to expect"
    return {
        "certificate has expired": "it has expired",
        "certificate is not yet valid": "it is not valid yet",
        "self-signed certificate": "it is signed by itself; ca names a file with those to trust",
        "self-signed certificate in certificate chain": "its CA is not among those to trust; ca names a file with them",
        "unable to get local issuer certificate": "its CA is not among those to trust; ca names a file with them",
    }.get(message, message or str(error))


def expected_name(server_name: str, label: str, host: str) -> str:
    """Whom the certificate must be for: what the configuration says, else the server's DNS name (`label`), else its address."""
    return server_name or label.rpartition(":")[0] or host
