"""What HTTPS asks of a site's requests before their route is chosen: the way from HTTP, HSTS, clients' certificates."""

from __future__ import annotations

from time import monotonic_ns
from typing import TYPE_CHECKING, Final

from gapura.config.plan import EdgePlan
from gapura.config.plan_tls import SiteTlsPlan
from gapura.edge.certificates import policy_of
from gapura.edge.challenge import asked
from gapura.edge.filter import Filter
from gapura.edge.router import NEXT, Step
from gapura.edge.variables import quote_url
from gapura.errors import ClientError

if TYPE_CHECKING:
    from gapura.edge.exchange import Exchange

HTTPS_PORT: Final = 443


def gate(tls: SiteTlsPlan, edge: EdgePlan) -> Step:
    """The step that comes before the routes of a site with TLS."""
    port = tls["redirect"] or (edge["https"][0]["port"] if edge["https"] else HTTPS_PORT)
    suffix = b"" if port == HTTPS_PORT else b":%d" % port
    policy = policy_of(tls)
    hsts = b"\r\nStrict-Transport-Security: " + tls["hsts"].encode() if tls["hsts"] else b""

    def step(exchange: Exchange) -> int:
        if exchange.sink.scheme == b"https":
            if policy:
                _check_client(exchange, policy)
            if hsts:
                Hsts(exchange, hsts)
            return NEXT
        path = exchange.head.path
        if path == b"*" or (asked(path) and not policy):
            return NEXT
        if port > 0 and exchange.worker.trust.scheme(exchange) != b"https":  # a proxy that we trust may have spoken TLS already
            if policy or not tls["auto"] or exchange.worker.certificates.ready(exchange.host_name, monotonic_ns()):
                return _redirect(exchange, suffix)
            return NEXT
        if tls["client_auth"] == "require":
            raise ClientError(421, "This site is served over HTTPS only.")
        return NEXT

    return step


class Hsts(Filter):
    """Adds Strict-Transport-Security to answers over HTTPS, unless the server has its own (RFC 6797 §8.1: the first counts)."""

    __slots__ = ("line",)

    def __init__(self, exchange: Exchange, line: bytes) -> None:
        super().__init__(exchange)
        self.line = line

    def head(self, block: bytes) -> bytes:
        return block if b"\r\nstrict-transport-security:" in block.lower() else block + self.line


def _check_client(exchange: Exchange, policy: str) -> None:
    """Let in only who has shown this site what it asks for. Raises ClientError 421 (RFC 9110 §15.5.20): a new connection helps.

    The handshake was for another site when the names differ, or under other rules when they have changed since.
    """
    tls = getattr(exchange.sink, "tls", None)
    if tls is not None and tls.certificate.policy == policy:
        name = tls.server_name
        if not name or exchange.snapshot.router.site(name)[1] is exchange.site:
            return
    raise ClientError(421, "This connection was made for another site: its client certificate does not count here.")


def _redirect(exchange: Exchange, suffix: bytes) -> int:
    """To the same URL over HTTPS. The name is one of the site's; the rest is percent-encoded again (RFC 9112 §11.1)."""
    head = exchange.head
    if not exchange.host_name:
        raise ClientError(400, "This site is served over HTTPS, and without a Host header nobody knows where to.")
    status = 301 if head.method in (b"GET", b"HEAD") else 308
    location = b"https://%b%b%b" % (exchange.host_name, suffix, quote_url(head.target))
    return exchange.reply(status, [b"Location: " + location], b"")
