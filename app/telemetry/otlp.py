"""Spans that are recorded, by OpenTelemetry's SDK, and sent to a collector by OTLP over HTTP.

Imported only where tracing is on: the SDK takes a fifth of a second to import. Nothing here may hold up the service:
spans wait in a bounded queue, a thread sends them, and what the collector does not take is dropped, counted and said
once.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from contextvars import Token
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import structlog
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider, sampling
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)
from opentelemetry.trace import Span as SdkSpan
from opentelemetry.trace import Tracer as SdkOwnTracer

from app.telemetry import conventions, tracing
from app.telemetry.events import Event
from app.telemetry.redaction import redact
from app.telemetry.tracing import Attributes, Kind, Span, TraceContext

FLUSH_SECONDS = 2.0
"""How long a stop waits for the collector to take what is left."""

_KINDS = {kind: SpanKind[kind.name] for kind in Kind}
_NOWHERE = Context()

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Destination:
    """A collector. `endpoint`: the URL that spans are posted to; `timeout` in seconds, for a batch with its retries;
    `queue` and `batch` in spans; `delay` in seconds, how long a span waits for others of its batch."""

    endpoint: str
    headers: Mapping[str, str] = field(repr=False)
    timeout: float
    gzip: bool
    certificate: str | None
    queue: int
    batch: int
    delay: float


class OtlpTracer:
    """The tracer of a process, from its making until `close`. `dropped` is told of spans that will never arrive."""

    def __init__(
        self,
        destination: Destination,
        resource: Mapping[str, str],
        *,
        sampler: str,
        ratio: float,
        dropped: Callable[[int], None],
    ) -> None:
        _silence_exporter()
        self._queue = _BoundedQueue(destination, _Losses(dropped))
        provider = TracerProvider(
            sampler=sampler_of(sampler, ratio), resource=Resource.create(dict(resource)), shutdown_on_exit=False
        )
        provider.add_span_processor(self._queue)
        self._tracer: SdkOwnTracer = provider.get_tracer("review-fetcher")

    def start(self, name: str, kind: Kind, parent: TraceContext | None, attributes: Attributes) -> Span:
        started = self._tracer.start_span(name, _context_of(parent), _KINDS[kind], dict(attributes))
        return _Recorded(started) if started.is_recording() else _NotSampled(started)

    def flush(self) -> None:
        """Send what waits now. Blocks until the collector has answered."""
        self._queue.force_flush()

    async def close(self) -> None:
        """What waits is sent, for `FLUSH_SECONDS` at most; the rest is dropped. Idempotent."""
        await self._queue.close(FLUSH_SECONDS)


def sampler_of(name: str, ratio: float) -> sampling.Sampler:
    """By its name in OTEL_TRACES_SAMPLER. One by ratio decides by the trace's id, so all processes decide alike."""
    plain = name.removeprefix("parentbased_")
    chosen: sampling.Sampler = {
        "always_on": sampling.ALWAYS_ON,
        "always_off": sampling.ALWAYS_OFF,
        "traceidratio": sampling.TraceIdRatioBased(ratio),
    }[plain]
    return chosen if plain == name else sampling.ParentBased(chosen)


def _context_of(parent: TraceContext | None) -> Context:
    if parent is None:
        return _NOWHERE
    flags = TraceFlags(TraceFlags.SAMPLED if parent.sampled else TraceFlags.DEFAULT)
    named = SpanContext(int(parent.trace_id, 16), int(parent.span_id, 16), is_remote=True, trace_flags=flags)
    return set_span_in_context(NonRecordingSpan(named), _NOWHERE)


class _Entered(Span):
    """What runs inside belongs to this span, recorded or not."""

    __slots__ = ("_context", "_span", "_token")

    def __init__(self, span: SdkSpan) -> None:
        found = span.get_span_context()
        self._span = span
        self._context = TraceContext(f"{found.trace_id:032x}", f"{found.span_id:016x}", found.trace_flags.sampled)
        self._token: Token[TraceContext | None] | None = None

    @property
    def context(self) -> TraceContext:
        return self._context

    def __enter__(self) -> Self:
        self._token = tracing.enter(self._context)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._token is not None:
            tracing.leave(self._token)


class _NotSampled(_Entered):
    """The decision travels with the context, so that nobody records a part of the trace."""

    __slots__ = ()


class _Recorded(_Entered):
    __slots__ = ("_failed",)
    recording = True

    def __init__(self, span: SdkSpan) -> None:
        super().__init__(span)
        self._failed = False

    def tell(self, attributes: Attributes) -> None:
        foreign = {name: redact(str(value)) for name, value in attributes.items() if name in conventions.FOREIGN}
        self._span.set_attributes({**attributes, **foreign})

    def rename(self, name: str) -> None:
        self._span.update_name(name)

    def failed(self, error_type: str) -> None:
        self._failed = True
        self._span.set_attribute(conventions.ERROR_TYPE, error_type)
        self._span.set_status(Status(StatusCode.ERROR))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        if kind is not None and not self._failed:
            self.failed(kind.__name__)
        self._span.end()


class _Losses:
    """Counts what is dropped; says so when it begins, and that it is over when the collector takes spans again."""

    def __init__(self, dropped: Callable[[int], None]) -> None:
        self._dropped = dropped
        self._losing = False

    def lost(self, count: int, why: str) -> None:
        if count <= 0:
            return
        self._dropped(count)
        if not self._losing:
            self._losing = True
            log.warning(Event.SPANS_DROPPED, count=count, why=why)

    def taken(self) -> None:
        if self._losing:
            self._losing = False
            log.info(Event.SPANS_TAKEN)


class _Counting(SpanExporter):
    """The exporter of OTLP, and what became of each batch."""

    def __init__(self, destination: Destination, losses: _Losses, taken_out: Callable[[int], None]) -> None:
        self._losses = losses
        self._taken_out = taken_out
        self._exporter = OTLPSpanExporter(
            endpoint=destination.endpoint,
            certificate_file=destination.certificate,
            headers=dict(destination.headers),
            timeout=destination.timeout,
            compression=Compression.Gzip if destination.gzip else Compression.NoCompression,
        )

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        try:
            result = self._exporter.export(spans)
        except Exception:
            result = SpanExportResult.FAILURE
        self._taken_out(len(spans))
        if result is SpanExportResult.SUCCESS:
            self._losses.taken()
        else:
            self._losses.lost(len(spans), "the collector did not take them")
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()  # type: ignore[no-untyped-call] # OpenTelemetry leaves it untyped


class _BoundedQueue(SpanProcessor):
    """The SDK's batches behind a bound of our own, because the SDK does not tell what it drops."""

    def __init__(self, destination: Destination, losses: _Losses) -> None:
        self._most = destination.queue
        self._losses = losses
        self._waiting = 0
        self._lock = threading.Lock()
        self._closed = False
        self._batches = BatchSpanProcessor(
            _Counting(destination, losses, self._taken_out),
            max_queue_size=destination.queue + destination.batch,
            schedule_delay_millis=destination.delay * 1000,
            max_export_batch_size=destination.batch,
        )

    def on_end(self, span: ReadableSpan) -> None:
        with self._lock:
            room = self._waiting < self._most and not self._closed
            self._waiting += int(room)
        if room:
            self._batches.on_end(span)
        else:
            self._losses.lost(1, "too many wait for the collector")

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._batches.force_flush(timeout_millis)

    def _taken_out(self, count: int) -> None:
        with self._lock:
            self._waiting -= count

    async def close(self, seconds: float) -> None:
        """The SDK's own stop waits for up to half a minute: it goes on in a thread that ends with the process."""
        if self._closed:
            return
        self._closed = True
        loop, ended = asyncio.get_running_loop(), asyncio.Event()

        def end() -> None:
            self._batches.shutdown()  # type: ignore[no-untyped-call] # OpenTelemetry leaves it untyped
            if not loop.is_closed():
                loop.call_soon_threadsafe(ended.set)

        threading.Thread(target=end, name="tracing-end", daemon=True).start()
        try:
            async with asyncio.timeout(seconds):
                await ended.wait()
        except TimeoutError:
            self._losses.lost(self._waiting, "the process stops")


def _silence_exporter() -> None:
    """What it logs may quote the collector's address and answers, at each batch; `_Losses` says what matters."""
    for name in ("opentelemetry", "urllib3"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
