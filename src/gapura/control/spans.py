"""From a record to the spans of its trace: what the visitor saw, and each try at a server.

Names and attributes follow OpenTelemetry's semantic conventions for HTTP (stable since 1.23). Pure but for the SDK's classes, which
are imported by whoever sends spans and by nobody else.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from gapura import __version__
from gapura import records as r
from gapura.config.plan import ServerPlan, UpstreamPlan, join_address
from gapura.control.names import Names, pair
from gapura.records import Record
from gapura.wire.trace_context import span_of

METHODS: Final = frozenset(("CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE", "QUERY"))
"""Methods that may be told as they are; of others there is no end."""
_SCOPE: Final = InstrumentationScope("gapura", __version__)
_SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)
Attributes = dict[str, str | int]


class Try(NamedTuple):
    """One try at a server. Times are ns since the request began; `cause`: why it failed, 0 when it did not."""

    number: int
    server: int  # lower half of its id on the board
    begun: int
    ended: int
    cause: int


def tries(record: Record) -> list[Try]:
    """The tries that reached a server or found none there. Connections that had been closed before do not count."""
    failed = [trial for trial in record.trials if trial.cause != r.STALE]
    last = record.tries > 0 and (record.answered is not None or record.tries > len(failed))
    count = max(record.tries, len(failed) + last)
    begun = record.first_claimed if record.first_claimed is not None else record.claimed or 0
    found = []
    for index, trial in enumerate(failed):
        number = 1 if index == 0 else count - last - (len(failed) - 1 - index)  # those between the first and the last are not kept
        found.append(Try(number, trial.server, begun, max(begun, trial.at), trial.cause))
        begun = max(begun, trial.at)
    if last:
        gave_up = r.CLIENT_GONE if record.answered is None else r.NO_CAUSE
        claimed = begun if record.claimed is None else max(begun, record.claimed)
        found.append(Try(count, record.server, claimed, max(claimed, record.ended), gave_up))
    return found


class Spans:
    """Makes spans. `names` are those of the configuration that serves."""

    def __init__(self, service: str, host: str) -> None:
        self._resource = Resource({"service.name": service, "service.version": __version__, "host.name": host})

    def of(self, record: Record, names: Names, wall: int) -> list[ReadableSpan]:
        """The spans of a request. `wall`: ns between CLOCK_MONOTONIC and the time since 1970."""
        trace = int(record.trace, 16)
        own = SpanContext(trace, _id(record, 0), False, _SAMPLED)
        parent = SpanContext(trace, int(record.parent, 16), True, _SAMPLED) if record.parent else None
        begun = record.started + wall
        spans = [self._server(record, names, own, parent, begun)]
        for one in tries(record):
            context = SpanContext(trace, _id(record, one.number), False, _SAMPLED)
            spans.append(self._client(record, names, context, own, one, begun))
        return spans

    def _server(self, record: Record, names: Names, own: SpanContext, parent: SpanContext | None, begun: int) -> ReadableSpan:
        site, route = names.site_of.get(record.row, ""), names.routes.get(record.row)
        path, _, query = record.path.partition("?")
        attributes: Attributes = {
            **_method(record),
            "url.scheme": "https" if record.flags & r.TLS else "http",
            "url.path": path,
            "client.address": record.client,
            "http.response.status_code": record.status,
            "http.request.body.size": record.received,
            "http.response.body.size": record.sent,
            "gapura.request_id": record.id,
        }
        said = {
            "url.query": query,
            "server.address": record.host,
            "gapura.site": site,
            "http.route": route["name"] if route else "",
        }
        attributes |= {name: value for name, value in said.items() if value}
        failed = record.status >= 500 or bool(record.flags & r.BROKEN_OFF)
        if failed:
            attributes["error.type"] = r.CAUSES[record.cause] or str(record.status)
        name = f"{_shown(record)} {route['name']}" if route else _shown(record)
        return self._span(name, own, parent, SpanKind.SERVER, attributes, begun, begun + record.ended, failed)

    def _client(
        self, record: Record, names: Names, context: SpanContext, parent: SpanContext, one: Try, begun: int
    ) -> ReadableSpan:
        key = names.hashes.get(one.server, "")
        upstream, server = pair(key)
        attributes: Attributes = _method(record)
        attributes |= {"gapura.upstream": upstream, "gapura.server": server} if key else {}
        attributes |= _address(*names.servers[key], record.path) if key else {}
        if one.number > 1:
            attributes["http.request.resend_count"] = one.number - 1
        failed = one.cause != r.NO_CAUSE
        if failed:
            attributes["error.type"] = r.CAUSES[one.cause]
        else:
            attributes["http.response.status_code"] = record.status
            failed = record.status >= 400  # of a client that is an error (semantic conventions, HTTP spans, status)
            if failed:
                attributes["error.type"] = str(record.status)
        return self._span(
            _shown(record), context, parent, SpanKind.CLIENT, attributes, begun + one.begun, begun + one.ended, failed
        )

    def _span(
        self,
        name: str,
        context: SpanContext,
        parent: SpanContext | None,
        kind: SpanKind,
        attributes: Attributes,
        begun: int,
        ended: int,
        failed: bool,
    ) -> ReadableSpan:
        return ReadableSpan(
            name=name,
            context=context,
            parent=parent,
            resource=self._resource,
            attributes=attributes,
            kind=kind,
            status=Status(StatusCode.ERROR if failed else StatusCode.UNSET),
            start_time=begun,
            end_time=ended,
            instrumentation_scope=_SCOPE,
        )


def _id(record: Record, number: int) -> int:
    return int(span_of(record.span, number), 16)


def _method(record: Record) -> dict[str, Any]:
    if record.method in METHODS:
        return {"http.request.method": record.method}
    return {"http.request.method": "_OTHER", "http.request.method_original": record.method}


def _shown(record: Record) -> str:
    """The method in a span's name."""
    return record.method if record.method in METHODS else "HTTP"


def _address(upstream: UpstreamPlan, server: ServerPlan, path: str) -> Attributes:
    """Where a server is, as far as the configuration says: an instance's port changes with every start."""
    if server["path"]:
        return {"server.address": server["path"], "network.transport": "unix"}
    if not server["port"]:
        return {"server.address": server["host"]}
    where = join_address(server["host"], server["port"])
    scheme = "http" if upstream["tls"] is None else "https"
    return {"server.address": server["host"], "server.port": server["port"], "url.full": f"{scheme}://{where}{path}"}
