"""A step that has to wait: for a thread, another server, a place in a queue. It holds what arrives of the body meanwhile."""

from __future__ import annotations

from collections.abc import Callable

from gapura.edge.exchange import Exchange
from gapura.edge.router import PAUSED
from gapura.errors import ClientError


class Waiting:
    """Handler of an exchange whose step has returned PAUSED. `gone` is called when the client leaves first.

    A step says `waiting = Waiting(exchange, gone)`, arranges for `waiting.go_on(NEXT)` to be called once, and returns PAUSED.
    """

    __slots__ = ("exchange", "_gone", "_parts", "_ended", "_over")

    def __init__(self, exchange: Exchange, gone: Callable[[], None] | None = None) -> None:
        self.exchange = exchange
        self._gone = gone
        self._parts: list[bytes] = []
        self._ended = self._over = False
        exchange.handler = self

    def go_on(self, outcome: int) -> None:
        """The wait is over: run the steps that follow, and give them the body that has come. Nothing happens a second time."""
        if self._over:
            return
        self._over = True
        exchange = self.exchange
        exchange.handler = None
        try:
            exchange.go_on(outcome)
        except ClientError as error:
            exchange.refuse(error.status, error.reason)
            return
        handler = exchange.handler
        if handler is not None:
            for part in self._parts:
                handler.body(part)
            if self._ended:
                handler.body_end()
        exchange.sink.resume_body()

    def refuse(self, status: int, reason: str, lines: list[bytes] | None = None) -> None:
        """The wait is over, and the answer is an error page."""
        if not self._over:
            self._over = True
            self.exchange.handler = None
            self.exchange.refuse(status, reason, lines=lines)

    def body(self, data: bytes) -> None:
        """Keep what came with the head; the rest stays in the kernel."""
        self._parts.append(data)
        self.exchange.sink.pause_body()

    def body_end(self) -> None:
        """All is here. Reading goes on, or it would not be noticed that the client leaves."""
        self._ended = True
        self.exchange.sink.resume_body()

    def pause(self) -> None:
        """Nothing is being sent yet."""

    def resume(self) -> None: ...

    def cancel(self) -> None:
        """The client has left."""
        if not self._over:
            self._over = True
            if self._gone is not None:
                self._gone()


def pause(exchange: Exchange, begin: Callable[[Waiting], None]) -> int:
    """Let `begin` start something that ends in `go_on` or `refuse`; what the step returns."""
    begin(Waiting(exchange))
    return PAUSED
