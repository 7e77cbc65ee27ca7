"""Another server decides (Caddy: forward_auth, nginx: auth_request): it gets the head of the request, and its 2xx lets in.

Any other answer of it goes to the visitor as it is, so that it can send him to a login page. When it does not answer, nobody
comes in.
"""

from __future__ import annotations

from time import monotonic_ns
from typing import Final

from gapura.config.plan_access import ForwardAuthPlan
from gapura.edge.exchange import Exchange
from gapura.edge.filter import Filter
from gapura.edge.router import NEXT, PAUSED
from gapura.edge.subrequest import Collected, Subrequest, ask, options
from gapura.edge.waiting import Waiting
from gapura.wire.headers import find_all

LARGEST: Final = 256 << 10
"""Bytes of an answer that is passed on."""

_LEFT_OUT: Final = (
    # about the body, or a question about a page that the deciding server does not have
    *(b"content-type", b"content-encoding", b"content-language", b"content-range", b"range", b"if-range", b"if-match"),
    *(b"if-none-match", b"if-modified-since", b"if-unmodified-since"),
    # what programs believe instead of ours
    *(b"x-forwarded-method", b"x-forwarded-uri", b"x-forwarded-prefix", b"x-original-url", b"x-original-uri", b"x-original-method"),
    *(b"x-rewrite-url", b"x-auth-request-redirect"),
)  # fmt: skip
_USERS: Final = (
    b"remote-user",
    b"x-auth-request-user",
    b"x-forwarded-user",
    b"x-auth-user",
    b"x-authentik-username",
    b"x-webauth-user",
)
"""Headers whose value is $remote_user, when they are among those that the application gets."""


class ForwardAuth:
    """The step. `headers`: lower-case name of what the application gets, and the name as it is sent."""

    __slots__ = ("upstream", "path", "headers", "answer_headers", "host", "timeout")

    def __init__(self, plan: ForwardAuthPlan) -> None:
        self.upstream = plan["upstream"]
        self.path = plan["path"].encode()
        self.headers = {name.lower().encode(): name.encode() for name in plan["headers"]}
        self.answer_headers = {name.lower().encode(): name.encode() for name in plan["answer_headers"]}
        self.host = plan["host"]
        self.timeout = plan["timeout"]

    def __call__(self, exchange: Exchange) -> int:
        told = exchange.head
        head = ask(exchange, b"GET", self.path, _LEFT_OUT)
        head.lines += [b"X-Forwarded-Method: " + told.method, b"X-Forwarded-Uri: " + told.target]
        sub = Subrequest(exchange, head, lambda found: self._decided(waiting, found), self.timeout, LARGEST)
        waiting = Waiting(exchange, sub.cancel)
        upstream = exchange.snapshot.upstreams[self.upstream]
        sub.begin(upstream, options(upstream, self.timeout, self.host))
        return PAUSED

    def _decided(self, waiting: Waiting, found: Collected) -> None:
        exchange = waiting.exchange
        if not found.answered or found.status < 200 or found.status == 304:
            waiting.refuse(504 if found.status == 504 else 502, exchange.say("decider"))
        elif found.status < 300:
            self._let_in(exchange, found)
            waiting.go_on(NEXT)
        else:
            _pass_on(exchange, found)

    def _let_in(self, exchange: Exchange, found: Collected) -> None:
        for lower, name in self.headers.items():
            for value in find_all(found.lines, lower):
                exchange.head.lines.append(b"%b: %b" % (name, value))
                if lower in _USERS and value:
                    exchange.user = value
        extra = [b"%b: %b" % (name, value) for lower, name in self.answer_headers.items() for value in find_all(found.lines, lower)]
        if extra:
            Added(exchange, extra)


class Added(Filter):
    """Puts what the deciding server wants the visitor to have into the head of the answer, such as a renewed cookie."""

    __slots__ = ("extra",)

    def __init__(self, exchange: Exchange, extra: list[bytes]) -> None:
        super().__init__(exchange)
        self.extra = extra

    def head(self, block: bytes) -> bytes:
        return b"\r\n".join([block, *self.extra])


def _pass_on(exchange: Exchange, found: Collected) -> None:
    """The deciding server's own answer, for the visitor."""
    block = b"\r\n".join([found.status_line, *found.lines, b"X-Request-Id: " + exchange.request_id])
    exchange.handler = None
    exchange.status = found.status
    exchange.started = True
    exchange.sink.whole(block, found.body, len(found.body), exchange.head.method == b"HEAD", monotonic_ns())
