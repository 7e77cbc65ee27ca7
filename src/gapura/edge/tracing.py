"""Traces: which requests are told to a collector, and the `traceparent` that servers get (W3C Trace Context).

Only here when `[tracing]` is: else traceparent is a header line like any other and goes on as it came. A worker decides and gives
ids; control reads them from the records and tells the collector.

A trace has a span for the request as the visitor sees it, and one for each try at a server. A try's id is the request's id plus the
number of the try, so that one number in the record is enough for all of them.
"""

from __future__ import annotations

from random import getrandbits
from typing import TYPE_CHECKING, Final

from gapura.config.plan_tracing import TracingPlan
from gapura.edge.limit import counted
from gapura.edge.router import NEXT, Step
from gapura.wire.headers import find_all, without
from gapura.wire.trace_context import parse_traceparent, span_of, traceparent

if TYPE_CHECKING:
    from gapura.edge.exchange import Exchange

_OURS: Final = frozenset((b"traceparent",))
_ALL: Final = frozenset((b"traceparent", b"tracestate"))
_CHOOSING: Final = 1 << 56
"""A trace is chosen by the last 56 bits of its id, which are random (level 2 of the standard): whoever chooses by the same ratio
chooses the same traces."""


class Trace:
    """The place of one exchange in its trace. Ids are lower-case hexadecimal, but for `span`: a number that tries follow."""

    __slots__ = ("id", "parent", "span", "sampled", "line")

    def __init__(self, trace: bytes, parent: bytes, sampled: bool) -> None:
        self.id = trace
        self.parent = parent  # b"": this is the first span of the trace
        self.span = getrandbits(64)
        self.sampled = sampled
        self.line = b""  # what servers are told

    def tell(self, exchange: Exchange, number: int) -> None:
        """Have the request for the server say who asks: try `number`, or 0, the request itself."""
        head = exchange.head
        line = b"traceparent: " + traceparent(self.id, span_of(self.span, number), self.sampled)
        said = self.line
        head.lines = [one for one in head.lines if one is not said]
        head.lines.append(line)
        self.line = line


def of(exchange: Exchange) -> Trace | None:
    """The trace of an exchange, None when it has none, or is not traced here."""
    found: Trace | None = getattr(exchange, "trace", None)
    return found


def begin(plan: TracingPlan) -> Step:
    """The first step of every route."""
    believed = plan["parent"]
    chosen = int(plan["ratio"] * _CHOOSING)

    def step(exchange: Exchange) -> int:
        if of(exchange) is not None:
            return NEXT  # it comes from another route
        head = exchange.head
        said = find_all(head.lines, b"traceparent")
        parent = parse_traceparent(said[0]) if len(said) == 1 else None
        if parent is not None:
            sampled = parent.sampled if believed else int(parent.trace[-14:], 16) < chosen
            exchange.trace = trace = Trace(parent.trace, parent.span, sampled)
            if not sampled and not parent.sampled:
                return NEXT  # goes on as it came
            head.lines = without(head.lines, _OURS)
        else:
            number = getrandbits(128) or 1
            exchange.trace = trace = Trace(b"%032x" % number, b"", number % _CHOOSING < chosen)
            if said or find_all(head.lines, b"tracestate"):
                head.lines = without(head.lines, _ALL)  # what belongs to a parent that is none (§4.3)
        trace.tell(exchange, 0)
        if trace.sampled:
            counted(exchange).back.append(lambda: exchange.worker.recorder.trace(exchange))
        return NEXT

    return step


def tried(exchange: Exchange) -> None:
    """The request is about to be sent to a server: what that one does is part of this try."""
    trace = of(exchange)
    if trace is not None and trace.line:
        trace.tell(exchange, max(exchange.tries, 1))
