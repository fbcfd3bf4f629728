"""A collector of traces over real HTTP: decodes OTLP by OpenTelemetry's own schema, and answers as it is told."""

import gzip
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span as ProtoSpan
from opentelemetry.proto.trace.v1.trace_pb2 import SpanFlags, Status

from tests.support.canaries import CANARIES
from tests.support.service import eventually

PATH = "/v1/traces"


@dataclass(frozen=True)
class Exported:
    """A span as it arrived; ids in hexadecimal digits, `parent` empty for a root, `links` are traces. `remote`: the
    parent is a span of another process."""

    trace_id: str
    span_id: str
    parent: str
    name: str
    kind: str
    failed: bool
    attributes: dict[str, Any]
    resource: dict[str, Any]
    began: int
    ended: int
    links: list[str]
    remote: bool

    @property
    def traceparent(self) -> str:
        return f"00-{self.trace_id}-{self.span_id}-01"


@dataclass
class Collector:
    """`status`: what is answered; while `held` is cleared, requests hang."""

    url: str = ""
    status: int = 200
    held: threading.Event = field(default_factory=threading.Event)
    requests: int = 0
    headers: list[dict[str, str]] = field(default_factory=list)
    _spans: list[Exported] = field(default_factory=list)

    @property
    def spans(self) -> list[Exported]:
        return list(self._spans)

    def of(self, trace_id: str) -> list[Exported]:
        return [span for span in self.spans if span.trace_id == trace_id]

    def names(self, trace_id: str) -> Counter[str]:
        return Counter(span.name for span in self.of(trace_id))

    def waited_for(self, trace_id: str, names: Counter[str], seconds: float = 30.0) -> Counter[str]:
        """Returns when at least so many of each name have come."""
        eventually(lambda: names <= self.names(trace_id), seconds, f"{names - self.names(trace_id)} more of {trace_id}")
        return self.names(trace_id)

    def take(self, headers: dict[str, str], body: bytes) -> int:
        """One request, as any collector would read it. The status of the answer."""
        self.requests += 1
        self.held.wait()
        if self.status != 200:
            return self.status
        self.headers.append(headers)
        payload = gzip.decompress(body) if headers.get("content-encoding") == "gzip" else body
        CANARIES.search("exported spans", [payload])
        self._spans += _decoded(ExportTraceServiceRequest.FromString(payload))
        return 200


def _decoded(request: ExportTraceServiceRequest) -> Iterator[Exported]:
    for group in request.resource_spans:
        resource = _values(group.resource.attributes)
        for scope in group.scope_spans:
            yield from (_exported(span, resource) for span in scope.spans)


def _exported(span: ProtoSpan, resource: dict[str, Any]) -> Exported:
    return Exported(
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex(),
        span.name,
        ProtoSpan.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
        span.status.code == Status.STATUS_CODE_ERROR,
        _values(span.attributes),
        resource,
        span.start_time_unix_nano,
        span.end_time_unix_nano,
        [link.trace_id.hex() for link in span.links],
        bool(span.flags & SpanFlags.SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK),
    )


def _values(attributes: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, str(one.value.WhichOneof("value"))) for one in attributes}


@contextmanager
def collector(port: int = 0) -> Iterator[Collector]:
    """One on a free port of loopback, until the block ends."""
    running = Collector()
    running.held.set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            status = running.take(headers, body) if self.path == PATH else 404
            answer = ExportTraceServiceResponse().SerializeToString()
            self.send_response(status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            """The test tells what is wrong."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False

        def handle_error(self, request: object, client_address: object) -> None:
            """Whoever was killed in the middle is gone."""

    with Server(("127.0.0.1", port), Handler) as server:
        running.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield running
        finally:
            running.held.set()
            server.shutdown()
            thread.join()
