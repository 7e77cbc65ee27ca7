"""Steps of a route: errors of servers behind are replaced by pages of the user's own."""

from __future__ import annotations

from functools import partial
from time import monotonic_ns
from typing import TYPE_CHECKING, Final

from gapura.config.plan_error_pages import ErrorPagesPlan
from gapura.edge.error_pages import find
from gapura.edge.filter import Filter
from gapura.edge.router import NEXT, Step

if TYPE_CHECKING:
    from gapura.edge.exchange import Exchange

PATIENCE: Final = 64 << 10
"""Bytes of an unwanted answer that are read to keep the server's connection; a longer one closes it."""
_KEPT: Final = frozenset(
    (b"date", b"www-authenticate", b"proxy-authenticate", b"retry-after", b"allow", b"x-request-id", b"x-served-by")
)
"""What is kept of the replaced answer: what a client acts upon, and what tells where it came from."""


def steps(plan: ErrorPagesPlan) -> list[Step]:
    """The steps that this part of the plan asks for."""
    return [partial(_step, plan)]


def _step(plan: ErrorPagesPlan, exchange: Exchange) -> int:
    Intercept(exchange, plan)
    return NEXT


class Intercept(Filter):
    """Replaces the answer of a server behind when its status has a page."""

    __slots__ = ("plan", "block", "page", "bodyless", "dropped")

    def __init__(self, exchange: Exchange, plan: ErrorPagesPlan) -> None:
        super().__init__(exchange)
        self.plan = plan
        self.block = b""
        self.page: bytes | None = None  # to be sent when the replaced answer is over
        self.bodyless = False
        self.dropped = 0

    def _replacement(self, block: bytes) -> tuple[bytes, bytes] | None:
        """(head, body) that take the place of an answer with this head; None when it may pass."""
        status = int(block[9:12])
        exchange = self.exchange
        if status < 400 or exchange.handler is None or not exchange.answered_at:
            return None  # no error, or an answer of our own
        found = find(self.plan, status)
        body = found.body(status, exchange.request_id) if found is not None else None
        if found is None or body is None:
            return None
        lines = block.split(b"\r\n")
        kept = [line for line in lines[1:] if line.partition(b":")[0].lower() in _KEPT]
        return b"\r\n".join([lines[0], *kept, b"Content-Type: " + found.type, b"Cache-Control: no-store"]), body

    def whole(self, block: bytes, body: bytes, length: int, bodyless: bool, now: int) -> None:
        found = self._replacement(block)
        if found is None:
            self.inner.whole(block, body, length, bodyless, now)
        else:
            self.inner.whole(found[0], found[1], len(found[1]), bodyless, now)

    def start(self, block: bytes, length: int, bodyless: bool) -> None:
        found = self._replacement(block)
        if found is None:
            self.inner.start(block, length, bodyless)
        else:
            self.block, self.page = found
            self.bodyless = bodyless

    def data(self, data: bytes) -> None:
        if not self.block:
            self.inner.data(data)
            return
        self.exchange.sent -= len(data)  # the handler has counted what it brought
        before, self.dropped = self.dropped, self.dropped + len(data)
        if before <= PATIENCE < self.dropped:
            self.exchange.worker.loop.call_soon(self._enough)  # not from within the handler

    def _enough(self) -> None:
        """Too much is being dropped: let the server go."""
        if self.page is not None and self.exchange.handler is not None:
            self.exchange.cancel()
            self._answer(self.page)

    def _answer(self, page: bytes) -> None:
        self.page = None
        self.inner.whole(self.block, page, len(page), self.bodyless, monotonic_ns())

    def flush(self) -> None:
        if not self.block:
            self.inner.flush()

    def end(self, trailers: list[bytes]) -> None:
        if not self.block:
            self.inner.end(trailers)
        elif self.page is not None:
            self._answer(self.page)

    def abort(self) -> None:
        if self.page is None:
            self.inner.abort()
        else:
            self._answer(self.page)  # the server broke off what nobody was to see
