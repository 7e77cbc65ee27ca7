"""The certificates of a worker: chosen by name, loaded when first asked for, loaded anew when their files change.

Three thousand names cost nothing until somebody asks for them; the 20 KB of a context are paid then (measured with OpenSSL 3.0).
"""

from __future__ import annotations

import hashlib
import logging
import os
import ssl
from collections.abc import Iterable
from typing import Final

from gapura.config.plan import Plan
from gapura.config.plan_tls import MAX_FILE, PROVISIONAL, Pair, SiteTlsPlan, copy_of, pair_of
from gapura.small_file import NOTHING, Facts, facts_of

LOOK: Final = 1_000_000_000
"""Nanoseconds between two looks at the files of a certificate, made when somebody asks for it."""

log = logging.getLogger("edge")

Signature = tuple[Facts, ...]


class Certificate:
    """One certificate: its files and the context made of them. `policy` is what a client had to show to get in.

    `marker` is a file that is there while the local CA stands in for an authority; then `provisional`.
    """

    __slots__ = (
        "marker",
        "provisional",
        "files",
        "client_auth",
        "min_version",
        "policy",
        "_name",
        "_secret",
        "_context",
        "_seen",
        "_failed",
        "_looked_at",
    )

    def __init__(self, name: str, files: Pair, tls: SiteTlsPlan, min_version: str, secret: bytes) -> None:
        self.files = files
        self.client_auth = tls["client_auth"]
        self.min_version = min_version
        self.policy = policy_of(tls)
        self.marker = ""
        self.provisional = False
        self._name = name
        self._secret = secret
        self._context: ssl.SSLContext | None = None
        self._seen: Signature = ()
        self._failed: tuple[Signature, int] = (), 0
        self._looked_at = -LOOK

    def context(self, now: int) -> ssl.SSLContext | None:
        """The context, of the files as they are now; when those are no good, of the last ones that were. None: there never were."""
        if now - self._looked_at >= LOOK:
            self._looked_at = now
            self._look()
        return self._context

    def rekey(self, secret: bytes) -> None:
        """Seal tickets with other keys from now on; those sealed before are not known any more."""
        self._secret = secret
        if self._context is not None:
            self._seal(self._context)

    def _look(self) -> None:
        self.provisional = bool(self.marker) and os.path.exists(self.marker)
        signature = tuple(facts_of(path) for path in self._paths())
        if signature == self._seen:
            return
        try:
            context = self._load()
        except (OSError, ValueError) as error:
            self._tell(signature, why(error))
            return
        self._context, self._seen, self._failed = context, signature, ((), 0)

    def _paths(self) -> Iterable[str]:
        return dict.fromkeys(path for path in (self.files["certificate"], self.files["key"], self.files["client_ca"]) if path)

    def _load(self) -> ssl.SSLContext:
        from gapura.edge.tls import server_context

        for path in self._paths():
            if os.stat(path).st_size > MAX_FILE:
                raise ValueError(f"{path} is too long to be a certificate")
        files = self.files
        context = server_context(files["certificate"], files["key"], files["client_ca"], self.client_auth, self.min_version)
        self._seal(context)
        return context

    def _seal(self, context: ssl.SSLContext) -> None:
        """The keys of tickets go by all that lets somebody in: a session does not outlive a change of the clients' CAs."""
        from gapura.edge.tls import set_tickets

        trusted = b""
        if self.files["client_ca"]:
            der = sorted(context.get_ca_certs(binary_form=True))
            trusted = hashlib.sha256(b"".join(der)).digest()
        words = (self.files["certificate"], self.files["key"], self.policy, self.min_version)
        set_tickets(context, self._secret, "\0".join(words).encode() + trusted)

    def _tell(self, signature: Signature, reason: str) -> None:
        """Log a certificate that is no good, once. The first time may have been between the writing of its two files."""
        known, times = self._failed
        times = times + 1 if known == signature else 1
        self._failed = signature, times
        missing = self._context is None and any(facts == NOTHING for facts in signature)
        if times == 2 and not missing:
            kept = "the one before stays in use" if self._context is not None else "there is none to use"
            log.error("the certificate of %s cannot be used: %s; %s", self._name, reason, kept)


def policy_of(tls: SiteTlsPlan) -> str:
    """What names the rules by which clients get into a site; sites with equal ones trust each other's handshakes."""
    return f"{tls['client_auth']} {tls['client_ca']}" if tls["client_ca"] else ""


def why(error: OSError | ValueError) -> str:
    """What is wrong with files that could not be loaded, in words."""
    if isinstance(error, ssl.SSLError):
        reason = error.reason or ""
        return {
            "KEY_VALUES_MISMATCH": "the key is not the one of the certificate",
            "KEY_TYPE_MISMATCH": "the key is not the one of the certificate",
            "NO_START_LINE": "a file is no PEM",
            "BAD_DECRYPT": "the key is protected by a passphrase",
            "EE_KEY_TOO_SMALL": "its key is too short",
            "CA_MD_TOO_WEAK": "its signature is too weak",
        }.get(reason, reason.replace("_", " ").lower() or "a file is no PEM, or broken")
    if isinstance(error, OSError):
        return f"{error.strerror or error}: {error.filename}" if error.filename else str(error.strerror or error)
    return str(error)


class Certificates:
    """All certificates of a worker. It outlives snapshots, so that a reload builds nothing anew."""

    __slots__ = ("_known", "_exact", "_suffixes", "_default", "_only", "_secret", "_settings")

    def __init__(self) -> None:
        self._known: dict[tuple[str, ...], Certificate] = {}
        self._exact: dict[bytes, SiteTlsPlan] = {}
        self._suffixes: dict[bytes, SiteTlsPlan] = {}
        self._default: SiteTlsPlan | None = None
        self._only: str = ""
        self._secret = b""
        self._settings = ("", "", "", "")

    def settle(self, plan: Plan) -> None:
        """Go by another plan; what it still names stays loaded."""
        user, paths = plan["edge"]["user"], plan["paths"]
        settings = (plan["edge"]["tls"]["min_version"], paths["lib"], paths["run"], user)
        if settings != self._settings:
            self._settings = settings
            self._known.clear()
        self._exact, self._suffixes, self._default = {}, {}, None
        names: list[str] = []
        for site in plan["sites"]:
            tls = site["tls"]
            for host in site["hosts"]:
                if tls is None:
                    continue
                if host == "*":
                    self._default = tls
                elif host.startswith("*."):
                    self._suffixes[host[2:].encode()] = tls
                else:
                    self._exact[host.encode()] = tls
                    names.append(host)
        self._only = names[0] if len(names) == 1 and not self._suffixes else ""
        used = {_key(tls, name) for tls, name in self._used(plan)}
        for key in [key for key in self._known if key not in used]:
            del self._known[key]

    def rekey(self, secret: bytes) -> None:
        """Another secret of the master for session tickets."""
        self._secret = secret
        for certificate in self._known.values():
            certificate.rekey(secret)

    def choose(self, name: bytes, address: str = "") -> Certificate | None:
        """The certificate for the name that a client asks for: exact, then the longest `*.`, then that of "*".

        Without a name that of `address`, the one of ours that the client connected to, or of the only name that there is.
        """
        if not name:
            found = self._of(_literal(address)) if address else None
            if found is None and self._default is None and self._only:
                found = self._of(self._only.encode())
            return found or (self._certificate(self._default, "*") if self._default else None)
        return self._of(name) or (self._certificate(self._default, "*") if self._default else None)

    def ready(self, name: bytes, now: int) -> bool:
        """Whether there is a usable certificate for the name of a site, one that visitors can believe."""
        certificate = self.choose(name)
        return certificate is not None and certificate.context(now) is not None and not certificate.provisional

    def _of(self, name: bytes) -> Certificate | None:
        tls = self._exact.get(name)
        if tls is not None:
            return self._certificate(tls, name.decode())
        suffix = name
        while suffix:
            suffix = suffix.partition(b".")[2]
            tls = self._suffixes.get(suffix) if suffix else None
            if tls is not None:
                return self._certificate(tls, "*." + suffix.decode())
        return None

    def _certificate(self, tls: SiteTlsPlan, name: str) -> Certificate:
        key = _key(tls, name)
        found = self._known.get(key)
        if found is None:
            min_version, lib, run, user = self._settings
            files = pair_of(tls, name, lib)
            marker = os.path.join(os.path.dirname(files["certificate"]), PROVISIONAL) if tls["auto"] else ""
            if user:
                files = {
                    "certificate": copy_of(run, files["certificate"]),
                    "key": copy_of(run, files["key"]),
                    "client_ca": copy_of(run, files["client_ca"]) if files["client_ca"] else "",
                }
            found = self._known[key] = Certificate(name, files, tls, min_version, self._secret)
            found.marker = marker
        return found

    @staticmethod
    def _used(plan: Plan) -> Iterable[tuple[SiteTlsPlan, str]]:
        for site in plan["sites"]:
            if site["tls"] is not None:
                for host in site["hosts"]:
                    yield site["tls"], host


def _key(tls: SiteTlsPlan, name: str) -> tuple[str, ...]:
    """What makes one certificate another: sites that name the same files share one."""
    own = name if tls["auto"] else ""
    return own, tls["certificate"], tls["key"], tls["client_ca"], tls["client_auth"]


def _literal(address: str) -> bytes:
    """An address of a socket as a site's host is written."""
    plain = address.partition("%")[0].removeprefix("::ffff:")
    return (f"[{plain}]" if ":" in plain else plain).encode()
