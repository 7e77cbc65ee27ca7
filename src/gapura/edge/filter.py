"""A filter stands between the handler that answers and the client's sink: it sees the answer's head and data, and may change them.

A step installs one with `exchange.sink = Some(exchange, …)`. The one installed last sees the answer first.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

from gapura.edge.exchange import Exchange, Sink

if TYPE_CHECKING:
    from gapura.edge.downstream import Downstream
    from gapura.edge.encrypted import Encrypted


class Filter:
    """A sink that passes everything on. Subclasses change what they are about, most of them only `head`."""

    __slots__ = ("exchange", "inner", "client", "peer", "scheme", "forwarded", "now")

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.inner: Sink = exchange.sink
        inner = self.inner
        self.client, self.peer, self.scheme, self.forwarded, self.now = (
            inner.client, inner.peer, inner.scheme, inner.forwarded, inner.now,
        )  # fmt: skip
        exchange.sink = self

    @property
    def tls(self) -> Encrypted | None:
        """TLS of the client's connection."""
        return bottom(self).tls

    def head(self, block: bytes) -> bytes:
        """The head of the final answer (status line and header lines joined by CRLF), as it is to be sent."""
        return block

    def start(self, block: bytes, length: int, bodyless: bool) -> None:
        self.inner.start(self.head(block), length, bodyless)

    def whole(self, block: bytes, body: bytes, length: int, bodyless: bool, now: int) -> None:
        self.inner.whole(self.head(block), body, length, bodyless, now)

    def interim(self, block: bytes) -> None:
        self.inner.interim(block)

    def data(self, data: bytes) -> None:
        self.inner.data(data)

    def flush(self) -> None:
        self.inner.flush()

    def end(self, trailers: list[bytes]) -> None:
        self.inner.end(trailers)

    def abort(self) -> None:
        self.inner.abort()

    def pause_body(self) -> None:
        self.inner.pause_body()

    def resume_body(self) -> None:
        self.inner.resume_body()

    def last(self) -> None:
        self.inner.last()

    def want_body(self) -> None:
        self.inner.want_body()

    def become_tunnel(self, head: bytes) -> tuple[asyncio.Transport, bytes]:
        """Of the client's connection; the head of a 101 is filtered like any other. It comes with its end."""
        end = b"\r\n\r\n"
        return cast("Downstream", self.inner).become_tunnel(self.head(head.removesuffix(end)) + end)


def bottom(sink: Sink) -> Downstream:
    """The client's connection beneath all filters."""
    while isinstance(sink, Filter):
        sink = sink.inner
    return cast("Downstream", sink)
