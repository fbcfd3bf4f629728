"""Spans that are recorded, by OpenTelemetry's SDK.

Imported only where tracing is on: the SDK is slow to import.
"""

from collections.abc import Callable, Mapping
from contextvars import Token
from types import TracebackType
from typing import Self

from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider, sampling
from opentelemetry.trace import (
    Link,
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
from app.telemetry.exporting import BoundedQueue, Destination
from app.telemetry.redaction import redact
from app.telemetry.tracing import Attributes, Kind, Span, TraceContext

FLUSH_SECONDS = 2.0
"""How long a stop waits for the collector to take what is left."""

_KINDS = {kind: SpanKind[kind.name] for kind in Kind}
_NOWHERE = Context()
_BY_PARENT = "parentbased_"


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
        self._queue = BoundedQueue(destination, dropped)
        self._callers_have_a_say = sampler.startswith(_BY_PARENT)
        provider = TracerProvider(
            sampler=sampler_of(sampler, ratio), resource=Resource.create(dict(resource)), shutdown_on_exit=False
        )
        provider.add_span_processor(self._queue)
        self._tracer: SdkOwnTracer = provider.get_tracer("review-fetcher")

    def start(self, name: str, kind: Kind, parent: TraceContext | None, attributes: Attributes) -> Span:
        return _span_of(self._tracer.start_span(name, _context_of(parent), _KINDS[kind], dict(attributes)))

    def serve(self, name: str, caller: TraceContext | None, attributes: Attributes) -> Span:
        """A sampler by ratio looks at the trace's id alone: who chose the id would choose what is recorded. So only
        where the sampler goes by parents is the caller's trace gone on with; elsewhere a new one links to it."""
        if caller is None or self._callers_have_a_say:
            return self.start(name, Kind.SERVER, caller, attributes)
        links = (Link(_named(caller)),)
        return _span_of(self._tracer.start_span(name, _NOWHERE, SpanKind.SERVER, dict(attributes), links))

    def flush(self) -> None:
        """Send what waits now. Blocks until the collector has answered."""
        self._queue.force_flush()

    async def close(self) -> None:
        """What waits is sent, for `FLUSH_SECONDS` at most; the rest is dropped. Idempotent."""
        await self._queue.close(FLUSH_SECONDS)


def sampler_of(name: str, ratio: float) -> sampling.Sampler:
    """By its name in OTEL_TRACES_SAMPLER. One by ratio decides by the trace's id, so all processes decide alike."""
    plain = name.removeprefix(_BY_PARENT)
    chosen: sampling.Sampler = {
        "always_on": sampling.ALWAYS_ON,
        "always_off": sampling.ALWAYS_OFF,
        "traceidratio": sampling.TraceIdRatioBased(ratio),
    }[plain]
    return chosen if plain == name else sampling.ParentBased(chosen)


def _context_of(parent: TraceContext | None) -> Context:
    return _NOWHERE if parent is None else set_span_in_context(NonRecordingSpan(_named(parent)), _NOWHERE)


def _named(context: TraceContext) -> SpanContext:
    flags = TraceFlags(TraceFlags.SAMPLED if context.sampled else TraceFlags.DEFAULT)
    return SpanContext(int(context.trace_id, 16), int(context.span_id, 16), context.remote, flags)


def _span_of(started: SdkSpan) -> Span:
    return _Recorded(started) if started.is_recording() else _NotSampled(started)


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
