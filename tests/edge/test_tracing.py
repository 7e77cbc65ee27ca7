"""Traces: what servers are told, for every case that the standard knows, and which requests are noted."""

from __future__ import annotations

import json

import pytest

from gapura.records import TRACED, Record
from gapura.wire.trace_context import Parent, parse_traceparent, span_of

from .backend import Backend, Request, Wire
from .edge import Edge

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"
SAMPLED = f"00-{TRACE}-{SPAN}-01"
UNSAMPLED = f"00-{TRACE}-{SPAN}-00"


class Traced:
    """An edge with tracing, its backends, and the traces that the worker noted."""

    def __init__(self, edge: Edge) -> None:
        self.edge = edge
        self.backends: list[Backend] = []

    async def start(self, tracing: str = "", *answers: object, site: str = "", log: str = "", extra: str = "") -> Traced:
        for answer in answers or (None,):
            self.backends.append(await self.edge.backend(**({"answer": answer} if answer else {})))  # type: ignore[arg-type]
        servers = json.dumps([backend.address for backend in self.backends])
        await self.edge.start(
            f'[upstreams.u]\nservers = {servers}\nhealth = false\nhold = 0\n{extra}\n[sites."*"]\nproxy = "u"\n{site}\n'
            f'[tracing]\nendpoint = "http://127.0.0.1:4318"\n{tracing}',
            log,
        )
        return self

    @property
    def noted(self) -> list[Record]:
        """What control will read of the requests so far."""
        return self.edge.records.read(0, TRACED)

    async def told(self, *lines: str, **more: object) -> Parent:
        """What the first server is told of a request with these header lines."""
        before = len(self.backends[0].requests)
        await (await self.edge.client()).ask("/", *lines, **more)
        said = self.backends[0].requests[before].get("traceparent")
        assert said is not None
        parent = parse_traceparent(said.encode())
        assert parent is not None
        return parent


async def test_a_request_without_a_trace_begins_one(edge: Edge) -> None:
    traced = await Traced(edge).start()
    one, other = await traced.told(), await traced.told()
    assert one.sampled
    assert one.trace != other.trace
    first, second = traced.noted
    assert (first.trace.encode(), first.parent) == (one.trace, "")
    assert span_of(first.span, 1) == one.span
    assert second.trace.encode() == other.trace


async def test_a_trace_goes_on(edge: Edge) -> None:
    traced = await Traced(edge).start()
    told = await traced.told(f"traceparent: {SAMPLED}", "tracestate: a=1,b=2")
    assert (told.trace.decode(), told.sampled) == (TRACE, True)
    assert told.span.decode() != SPAN
    (record,) = traced.noted
    assert (record.trace, record.parent) == (TRACE, SPAN)
    assert traced.backends[0].requests[0].get("tracestate") == "a=1,b=2"


async def test_what_the_caller_does_not_record_is_not_recorded_here(edge: Edge) -> None:
    traced = await Traced(edge).start()
    told = await traced.told(f"Traceparent: {UNSAMPLED}", "tracestate: a=1")
    assert told == Parent(TRACE.encode(), SPAN.encode(), False)
    assert traced.noted == []
    assert traced.backends[0].requests[0].get("tracestate") == "a=1"


@pytest.mark.parametrize(
    "lines",
    [
        [f"traceparent: {SAMPLED.upper()}"],
        ["traceparent: nonsense"],
        ["traceparent:"],
        [f"traceparent: {SAMPLED}", f"traceparent: {SAMPLED}"],
        [f"traceparent: 00-{'0' * 32}-{SPAN}-01"],
        [],
    ],
)
async def test_what_is_not_valid_is_begun_anew(edge: Edge, lines: list[str]) -> None:
    traced = await Traced(edge).start()
    told = await traced.told(*lines, "tracestate: a=1")
    assert told.trace.decode() != TRACE
    assert traced.backends[0].requests[0].all("tracestate") == []  # it belongs to a parent that is none
    assert len(traced.backends[0].requests[0].all("traceparent")) == 1


@pytest.mark.parametrize("line", [f"traceparent: {SAMPLED}", f"traceparent: {UNSAMPLED}", "TraceParent: nonsense"])
async def test_without_tracing_it_is_a_line_like_any_other(edge: Edge, line: str) -> None:
    backend = await edge.proxy(log="$trace_id")
    await (await edge.client()).ask("/", line, "tracestate: a=1")
    assert backend.requests[0].get("traceparent") == line.partition(": ")[2]
    assert backend.requests[0].get("tracestate") == "a=1"
    assert edge.lines() == [TRACE if "nonsense" not in line else "-"]


async def test_without_tracing_nothing_is_added(edge: Edge) -> None:
    backend = await edge.proxy(log="$trace_id")
    await (await edge.client()).ask("/")
    assert backend.requests[0].get("traceparent") is None
    assert edge.lines() == ["-"]


@pytest.mark.parametrize("ratio", [0, 1])
async def test_the_ratio_decides_where_nobody_has(edge: Edge, ratio: int) -> None:
    traced = await Traced(edge).start(f"ratio = {ratio}")
    assert (await traced.told()).sampled is bool(ratio)
    assert (await traced.told(f"traceparent: {SAMPLED}")).sampled
    assert len(traced.noted) == ratio + 1


@pytest.mark.parametrize("ratio", [0, 1])
async def test_callers_that_are_not_asked_do_not_decide(edge: Edge, ratio: int) -> None:
    traced = await Traced(edge).start(f"ratio = {ratio}\nparent = false")
    for said in (SAMPLED, UNSAMPLED):
        told = await traced.told(f"traceparent: {said}")
        assert (told.trace.decode(), told.sampled) == (TRACE, bool(ratio))
    assert len(traced.noted) == 2 * ratio


async def test_a_share_of_the_traces(edge: Edge) -> None:
    traced = await Traced(edge).start("ratio = 0.25\nparent = false")
    for last, chosen in (("00000000000000", True), ("3fffffffffffff", True), ("40000000000001", False), ("f" * 14, False)):
        told = await traced.told(f"traceparent: 00-{TRACE[:-14]}{last}-{SPAN}-01")
        assert told.sampled is chosen


async def test_each_try_is_a_part_of_its_own(edge: Edge) -> None:
    async def gone(request: Request, wire: Wire) -> None:
        wire.close()
        wire.over.set()

    async def fine(request: Request, wire: Wire) -> None:
        wire.reply(b"ok")

    traced = await Traced(edge).start("", gone, fine)
    answer = await (await edge.client()).ask("/")
    assert answer.status == 200
    told = [parse_traceparent((backend.requests[0].get("traceparent") or "").encode()) for backend in traced.backends]
    (record,) = traced.noted
    assert (record.tries, len(record.trials)) == (2, 1)
    assert [parent and parent.span for parent in told] == [span_of(record.span, 1), span_of(record.span, 2)]
    assert {parent and parent.trace for parent in told} == {record.trace.encode()}


async def test_copies_are_part_of_the_trace_too(edge: Edge) -> None:
    shadow = await edge.backend()
    extra = f'[upstreams.shadow]\nservers = ["{shadow.address}"]\nhealth = false'
    traced = await Traced(edge).start(site='mirror = "shadow"', extra=extra)
    told = await traced.told(f"traceparent: {SAMPLED}")
    await edge.until(lambda: shadow.requests)
    copy = parse_traceparent((shadow.requests[0].get("traceparent") or "").encode())
    await edge.until(lambda: traced.noted)
    (record,) = traced.noted
    assert copy == Parent(TRACE.encode(), span_of(record.span, 0), True)
    assert told.span == span_of(record.span, 1)


async def test_an_edit_has_the_last_word(edge: Edge) -> None:
    traced = await Traced(edge).start(site='request_headers = { remove = ["traceparent"] }')
    await (await edge.client()).ask("/")
    assert traced.backends[0].requests[0].get("traceparent") is None


async def test_a_request_that_goes_to_another_route_has_one_trace(edge: Edge) -> None:
    backend = await edge.backend()
    await edge.start(
        f'[upstreams.u]\nservers = ["{backend.address}"]\nhealth = false\n[sites."*"]\n'
        '[[sites."*".routes]]\npath = "/a/"\n'
        'rewrite = { match = "^/a/(.*)$", to = "/b/$1", reroute = true }\nrespond = "x"\n'
        '[[sites."*".routes]]\npath = "/b/"\nproxy = "u"\n'
        '[tracing]\nendpoint = "http://127.0.0.1:4318"\n',
        "$trace_id",
    )
    await (await edge.client()).ask("/a/x")
    (record,) = edge.records.read(0, TRACED)
    assert edge.lines() == [record.trace]
    assert record.trace in (backend.requests[0].get("traceparent") or "")


async def test_an_answer_of_our_own_is_noted(edge: Edge) -> None:
    traced = await Traced(edge).start(log="$trace_id", site='deny = "127.0.0.1"')
    assert (await (await edge.client()).ask("/")).status == 403
    (record,) = traced.noted
    assert (record.status, record.tries) == (403, 0)
    assert edge.lines() == [record.trace]
