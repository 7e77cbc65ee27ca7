"""A step that has to wait: for a thread, another server, a place in a queue. It holds what arrives of the body meanwhile."""

from __future__ import annotations

import logging
from collections.abc import Callable

from gapura.edge.exchange import Exchange
from gapura.errors import ClientError

log = logging.getLogger("edge")


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
            self._hand_over()
        except ClientError as error:
            exchange.refuse(error.status, error.reason)
        except Exception:  # nobody else would tell the client, who has no deadline while he waits
            log.exception(
                "%s of %s failed after a wait", exchange.head.path.decode("latin-1"), exchange.host_name.decode("latin-1")
            )
            exchange.refuse(500, exchange.say("failed"))

    def _hand_over(self) -> None:
        """Give the handler what has come of the body. Without one the answer is over, and the connection at the next request."""
        handler = self.exchange.handler
        if handler is None:
            return
        for part in self._parts:
            handler.body(part)
        if self._ended:
            handler.body_end()
        self.exchange.sink.resume_body()

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
