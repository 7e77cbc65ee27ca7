"""A collector of traces on a port of its own: takes OTLP over HTTP as the specification says, and keeps what it was told."""

from __future__ import annotations

import gzip
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest, ExportTraceServiceResponse


class Span:
    """A span as it arrived. Ids are hexadecimal."""

    def __init__(self, found: Any, resource: dict[str, Any]) -> None:
        self.name: str = found.name
        self.kind: int = found.kind
        self.trace: str = found.trace_id.hex()
        self.id: str = found.span_id.hex()
        self.parent: str = found.parent_span_id.hex()
        self.begun: int = found.start_time_unix_nano
        self.ended: int = found.end_time_unix_nano
        self.failed: bool = found.status.code == 2
        self.attributes = read(found.attributes)
        self.resource = resource


def read(attributes: Any) -> dict[str, Any]:
    """Attributes as a dictionary."""
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in attributes}


class Collector:
    """`spans` are those that came; `status` is what it answers, once the `gate` is open; `headers` are the last request's."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.status = 200
        self.headers: dict[str, str] = {}
        self.path = ""
        self.requests = 0
        self.gate = threading.Event()
        self.gate.set()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                collector.take(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
                collector.gate.wait(60)
                answer = ExportTraceServiceResponse().SerializeToString()
                self.send_response(collector.status)
                self.send_header("content-type", "application/x-protobuf")
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None: ...

        return Handler

    def take(self, path: str, headers: dict[str, str], body: bytes) -> None:
        self.path, self.headers = path, headers
        self.requests += 1
        if headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        assert headers["content-type"] == "application/x-protobuf"
        if self.status != 200:
            return
        for group in ExportTraceServiceRequest.FromString(body).resource_spans:
            resource = read(group.resource.attributes)
            self.spans += [Span(span, resource) for scope in group.scope_spans for span in scope.spans]

    def close(self) -> None:
        self.gate.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
