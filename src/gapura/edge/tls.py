"""TLS contexts for clients, after Mozilla's intermediate profile, and what OpenSSL offers but Python's ssl does not.

The module ssl cannot set the groups, the keys of session tickets, or turn the session cache off. Those are set through OpenSSL
itself (`Openssl`), when a look at a context shows that it is laid out as expected; without them TLS works all the same, but a
session is resumed only by the worker that it began with.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import logging
import ssl
from typing import Final

from gapura.outgoing import no_passphrase

SUITES: Final = ":".join(
    f"ECDHE-{signature}-{cipher}"
    for cipher in ("AES128-GCM-SHA256", "AES256-GCM-SHA384", "CHACHA20-POLY1305")
    for signature in ("ECDSA", "RSA")
)
"""Of TLS 1.2 (RFC 9325 §4.2, Mozilla intermediate); those of TLS 1.3 are all good."""
GROUPS: Final = b"X25519:P-256:P-384"
PROTOCOLS: Final = ("http/1.1",)
"""ALPN (RFC 7301); HTTP/2 is to come."""

log = logging.getLogger("edge")

_SET_SESSION_CACHE_MODE, _GET_TICKET_KEYS, _SET_TICKET_KEYS, _SET_GROUPS_LIST = 44, 58, 59, 92
_CACHE_OFF: Final = 0


class Openssl:
    """OpenSSL's own functions for the context of an `ssl.SSLContext`, whose pointer stands behind the object's head."""

    def __init__(self) -> None:
        import _ssl

        library = ctypes.CDLL(_ssl.__file__)
        self._control = library.SSL_CTX_ctrl
        self._control.restype = ctypes.c_long
        self._control.argtypes = (ctypes.c_void_p, ctypes.c_int, ctypes.c_long, ctypes.c_void_p)
        self._options = library.SSL_CTX_get_options
        self._options.restype = ctypes.c_uint64
        self._options.argtypes = (ctypes.c_void_p,)

    def pointer(self, context: ssl.SSLContext) -> int:
        """Where OpenSSL's context is."""
        return ctypes.c_void_p.from_address(id(context) + object.__basicsize__).value or 0

    def works(self) -> bool:
        """Whether what is set here arrives there, in both directions."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.options |= ssl.OP_NO_TICKET
        pointer = self.pointer(context)
        if not pointer or self._options(pointer) != context.options & 0xFFFFFFFFFFFFFFFF:
            return False
        keys = bytes(range(self.key_size(context)))
        back = ctypes.create_string_buffer(len(keys))
        self.set_ticket_keys(context, keys)
        return bool(self._control(pointer, _GET_TICKET_KEYS, len(keys), back) == 1 and back.raw == keys)

    def key_size(self, context: ssl.SSLContext) -> int:
        """Bytes that the keys of session tickets have: 80 (a name, one for HMAC, one for AES)."""
        return int(self._control(self.pointer(context), _SET_TICKET_KEYS, 0, None))

    def set_ticket_keys(self, context: ssl.SSLContext, keys: bytes) -> None:
        self._control(self.pointer(context), _SET_TICKET_KEYS, len(keys), keys)

    def set_groups(self, context: ssl.SSLContext, groups: bytes) -> None:
        self._control(self.pointer(context), _SET_GROUPS_LIST, 0, groups)

    def without_cache(self, context: ssl.SSLContext) -> None:
        """Keep no sessions in memory: tickets hold them (20,000 for each context by default)."""
        self._control(self.pointer(context), _SET_SESSION_CACHE_MODE, _CACHE_OFF, None)


@functools.cache
def openssl() -> Openssl | None:
    """OpenSSL's functions; None where they cannot be had: another Python, a library without names."""
    try:
        found = Openssl()
        works = found.works()
    except (ImportError, OSError, AttributeError, ValueError):
        works = False
    if not works:
        log.warning("TLS sessions are resumed only by the worker that they began with: this Python hides the keys of tickets")
    return found if works else None


def server_context(certificate: str, key: str, client_ca: str, client_auth: str, min_version: str) -> ssl.SSLContext:
    """The context for a certificate. Raises OSError (of which `ssl.SSLError` is one) and ValueError when its files are no good."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3 if min_version == "1.3" else ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE  # who has no AES in hardware knows best
    context.set_ciphers(SUITES)
    context.set_alpn_protocols(list(PROTOCOLS))
    context.load_cert_chain(certificate, key, password=no_passphrase)
    if client_ca:
        context.load_verify_locations(client_ca)
        context.verify_mode = ssl.CERT_REQUIRED if client_auth == "require" else ssl.CERT_OPTIONAL
    direct = openssl()
    if direct is not None:
        direct.set_groups(context, GROUPS)
        direct.without_cache(context)
    return context


def set_tickets(context: ssl.SSLContext, secret: bytes, policy: bytes) -> None:
    """Have all workers that know the secret resume each other's sessions, but only those of the same policy.

    The keys are made of both, so that a ticket from one site opens nothing at another that asks for more (CVE-2025-23419).
    """
    direct = openssl()
    if direct is not None and secret:
        keys = hashlib.shake_256(secret + hashlib.sha256(policy).digest()).digest(direct.key_size(context))
        direct.set_ticket_keys(context, keys)
