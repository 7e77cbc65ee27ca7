"""Who the client is: X-Forwarded-For, -Proto and -Host, believed only from trusted proxies (RFC 7239 §8.1)."""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from typing import TYPE_CHECKING

from gapura.wire.headers import OWS, value_of
from gapura.wire.request import RequestHead

if TYPE_CHECKING:
    from gapura.edge.exchange import Exchange

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_FOR, _PROTO, _HOST = b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host"


class Trust:
    """The networks whose forwarded headers are believed. From everybody else they are replaced by what is known here."""

    __slots__ = ("networks", "trusts")

    def __init__(self, networks: list[str]) -> None:
        self.networks: list[Network] = [ipaddress.ip_network(network, strict=False) for network in networks]

        @lru_cache(maxsize=4096)
        def trusts(address: str) -> bool:
            try:
                parsed = ipaddress.ip_address(address)
            except ValueError:
                return False
            return any(parsed in network for network in self.networks)

        self.trusts = trusts

    def client(self, head: RequestHead, peer: str) -> bytes:
        """The address of the client: the last of X-Forwarded-For that is not itself a trusted proxy."""
        if not head.forwarded or not self.trusts(peer):
            return peer.encode()
        hops = [hop.strip(OWS) for hop in b",".join(_values(head, _FOR)).split(b",")]
        found = peer.encode()
        for hop in reversed(hops):
            text = hop.decode("latin-1").strip("[]")
            if "%" in text:  # behind the zone of an address anything might stand
                break
            try:
                ipaddress.ip_address(text)
            except ValueError:
                break
            found = text.encode()
            if not self.trusts(text):
                break
        return found

    def scheme(self, exchange: Exchange) -> bytes:
        """http or https: how the client came to us, or, as a trusted proxy says, to that."""
        said = (_values(exchange.head, _PROTO) or [b""])[-1] if self._believes(exchange) else b""
        return said if said in (b"http", b"https") else exchange.sink.scheme

    def _believes(self, exchange: Exchange) -> bool:
        """Whether the forwarded headers of a request count."""
        return bool(self.networks and exchange.head.forwarded) and self.trusts(exchange.sink.peer)

    def lines(self, exchange: Exchange) -> bytes:
        """The header lines that tell the server about the client, joined by CRLF."""
        head = exchange.head
        host = head.host or b""
        if not self._believes(exchange):
            return b"X-Forwarded-For: %b\r\nX-Forwarded-Proto: %b\r\nX-Forwarded-Host: %b" % (
                exchange.client,
                exchange.sink.scheme,
                host,
            )
        chain = b", ".join([*_values(head, _FOR), exchange.sink.peer.encode()])
        return b"X-Forwarded-For: %b\r\nX-Forwarded-Proto: %b\r\nX-Forwarded-Host: %b" % (
            chain,
            self.scheme(exchange),
            (_values(head, _HOST) or [host])[-1],
        )


def _values(head: RequestHead, name: bytes) -> list[bytes]:
    return [value for line in head.forwarded if line.partition(b":")[0].lower() == name and (value := value_of(line))]
