"""`[tracing]`: which requests are told to a collector of traces (OpenTelemetry), and where that is."""

from __future__ import annotations

import re
from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, WithJsonSchema

from .section import Section, Text
from .words import shown, wrong

TRACES: Final = "/v1/traces"
"""Where a collector takes traces (OTLP specification, §OTLP/HTTP Request)."""
_NAME: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+", re.ASCII)
_FRAMING: Final = frozenset(("content-type", "content-length", "content-encoding", "transfer-encoding", "host", "connection"))
_HINT: Final = 'write endpoint = "http://127.0.0.1:4318"'


def _endpoint(value: object) -> object:
    if not isinstance(value, str):
        return value
    if value.startswith("grpc://") or value.endswith(":4317"):
        raise wrong("traces are sent over HTTP, not gRPC", f"collectors take them on port 4318: {_HINT}")
    try:
        parts = urlsplit(value)
        known = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        known = False
    if not known or not value.isascii() or " " in value:
        raise wrong(f'"{shown(value)}" is no address of a collector', _HINT)
    if parts.username is not None or parts.query or parts.fragment:
        raise wrong("the address of a collector holds no user, query or fragment", 'a key goes to headers = { "x-api-key" = "…" }')
    return value if parts.path.strip("/") else value.rstrip("/") + TRACES


def _ratio(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise wrong("a share is a number from 0 to 1", "0.1 traces one request in ten")
    if not 0 <= value <= 1:
        raise wrong(f"a share is from 0 to 1: {value}", "0.1 traces one request in ten")
    return float(value)


def _headers(value: object) -> object:
    for name, text in value.items() if isinstance(value, dict) else ():
        if not _NAME.fullmatch(name):
            raise wrong(f'"{shown(name)}" is not the name of a header', 'write headers = { "x-api-key" = "…" }')
        if name.lower() in _FRAMING:
            raise wrong(f"{name} is set by whoever sends the traces", "leave it out")
        if isinstance(text, str) and not text.isascii():
            raise wrong(f"the value of {name} has characters outside ASCII", "a key has none")
    return value


class Tracing(Section):
    """Which requests are told to a collector of traces, and where that is. Needs the extra `otel`."""

    endpoint: Annotated[Text, BeforeValidator(_endpoint)]
    """The collector: "http://127.0.0.1:4318". Spoken is OTLP over HTTP, as Jaeger, Tempo and the OpenTelemetry Collector do. nginx:
    otel_exporter."""
    ratio: Annotated[float, BeforeValidator(_ratio), WithJsonSchema({"type": "number", "minimum": 0, "maximum": 1})] = 1.0
    """Share of the requests that are traced when nobody before us has decided, from 0 to 1. nginx: otel_trace with
    split_clients."""
    parent: bool = True
    """Whether a traceparent that a request brings along decides if it is traced. false: `ratio` alone decides; the request stays
    part of its trace. nginx: otel_trace $otel_parent_sampled."""
    headers: Annotated[dict[str, Text], BeforeValidator(_headers)] = Field(default_factory=dict)
    """Sent to the collector with each batch, such as the key of a service: { "x-api-key" = "…" }."""
    service: Annotated[Text, Field(min_length=1, max_length=255)] = "gapura"
    """What Gapura is called in the traces (service.name). nginx: otel_service_name."""
    most: Annotated[int, Field(ge=1, le=100_000)] = 200
    """Requests for a second that are sent at most, each of which costs some 0.2 ms; what is above is dropped and counted."""
