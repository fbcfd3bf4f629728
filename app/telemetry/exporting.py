"""Spans to a collector, by OTLP over HTTP. Nothing here may hold up the service.

They wait in a bounded queue, a thread sends them, and what the collector does not take is dropped, counted, said once.
Imported only where tracing is on.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import structlog
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from app.telemetry.events import Event

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
        self._said = _overheard()
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
            self._losses.lost(len(spans), f"the collector did not take them: {self._said.last}")
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()  # type: ignore[no-untyped-call] # OpenTelemetry leaves it untyped


class BoundedQueue(SpanProcessor):
    """The SDK's batches behind a bound of our own, because the SDK does not tell what it drops."""

    def __init__(self, destination: Destination, dropped: Callable[[int], None]) -> None:
        """`dropped` is told of spans that will never arrive, in any thread."""
        losses = _Losses(dropped)
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
            with suppress(RuntimeError):  # the loop has been closed meanwhile: nobody waits any more
                loop.call_soon_threadsafe(ended.set)

        threading.Thread(target=end, name="tracing-end", daemon=True).start()
        try:
            async with asyncio.timeout(seconds):
                await ended.wait()
        except TimeoutError:
            self._losses.lost(self._waiting, "the process stops")


class _Overheard(logging.Filter):
    """Keeps the newest line of a logger, and lets none through: the exporter has some for each batch, and nothing but
    these tells why one failed. `_Losses` says it once."""

    last = "no answer"

    def filter(self, record: logging.LogRecord) -> bool:
        self.last = record.getMessage()
        return False


def _overheard() -> _Overheard:
    logging.getLogger("urllib3").setLevel(logging.CRITICAL)
    logging.getLogger("opentelemetry.sdk").setLevel(logging.CRITICAL)
    exporter = logging.getLogger("opentelemetry.exporter.otlp.proto.http.trace_exporter")
    for earlier in [one for one in exporter.filters if isinstance(one, _Overheard)]:
        exporter.removeFilter(earlier)
    overheard = _Overheard()
    exporter.addFilter(overheard)
    return overheard
