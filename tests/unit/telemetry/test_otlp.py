"""Spans as the SDK makes them for us, and what becomes of those that nobody takes."""

from io import StringIO

import pytest
import structlog
from opentelemetry.semconv._incubating.attributes import (
    db_attributes,
    error_attributes,
    http_attributes,
    messaging_attributes,
    server_attributes,
    url_attributes,
)

from app.telemetry import conventions, tracing
from app.telemetry.logging import configure_logging
from app.telemetry.otlp import sampler_of
from app.telemetry.tracing import Kind, TraceContext
from tests.support.collector import Collector
from tests.support.traced import PARENT, Traced


def test_the_names_are_those_of_the_conventions() -> None:
    packages = (
        db_attributes,
        error_attributes,
        http_attributes,
        messaging_attributes,
        server_attributes,
        url_attributes,
    )
    known = {value for package in packages for value in vars(package).values() if isinstance(value, str)}
    ours = {value for name, value in vars(conventions).items() if name.isupper() and isinstance(value, str)}
    names = {name for name in ours if "." in name and not name.startswith("review_fetcher.")}
    assert len(names) > 10
    assert names <= known


async def test_a_span_is_sent_with_its_parent_and_what_was_told_of_it(traced: Traced, receiving: Collector) -> None:
    with tracing.server_span("POST", PARENT.traceparent, {"http.request.method": "POST"}) as above:
        assert above.context is not None
        with tracing.child("settle", Kind.CLIENT) as below:
            below.tell({conventions.REVIEWS_NEW: 7})
            assert tracing.current() == below.context
        assert tracing.current() == above.context
        above.rename("POST /somewhere")
    assert tracing.current() is None
    await traced.tracer.close()
    settle, post = receiving.of(PARENT.trace_id)
    assert (post.name, post.kind, post.parent) == ("POST /somewhere", "SERVER", PARENT.span_id)
    assert (settle.name, settle.kind, settle.parent) == ("settle", "CLIENT", post.span_id)
    assert (post.remote, settle.remote) == (True, False), "whose parent another process may have"
    assert settle.attributes == {"review_fetcher.reviews.new": 7}
    assert settle.resource["service.name"] == "test"


async def test_an_error_is_told_by_its_class_and_its_text_by_nothing(traced: Traced, receiving: Collector) -> None:
    with pytest.raises(ValueError, match="a stranger's text"), tracing.child_of(PARENT.traceparent, "x", Kind.CLIENT):
        raise ValueError("a stranger's text")
    with tracing.child_of(PARENT.traceparent, "y", Kind.CLIENT) as span:
        span.failed("timeout")
    await traced.tracer.close()
    told = {span.name: (span.failed, span.attributes) for span in receiving.spans}
    assert told == {"x": (True, {"error.type": "ValueError"}), "y": (True, {"error.type": "timeout"})}


async def test_what_others_have_named_is_looked_through_for_secrets(traced: Traced, receiving: Collector) -> None:
    with tracing.child_of(PARENT.traceparent, "x", Kind.CLIENT) as span:
        span.tell({conventions.RESOURCE: "locations/ya29.what-an-upstream-may-call-itself", conventions.TASK_ID: 7})
    await traced.tracer.close()
    (sent,) = receiving.spans
    assert sent.attributes == {conventions.RESOURCE: "locations/[redacted]", conventions.TASK_ID: 7}


async def test_what_finds_no_room_is_dropped_counted_and_said_once(receiving: Collector) -> None:
    written = StringIO()
    configure_logging(stream=written)
    receiving.held.clear()
    traced = Traced(receiving)
    for _ in range(20):
        with tracing.child_of(PARENT.traceparent, "x", Kind.CLIENT):
            pass
    assert sum(traced.dropped) == 20 - 3, "three wait: those at the collector wait too"
    receiving.held.set()
    await traced.tracer.close()
    assert len(receiving.spans) == 3
    assert written.getvalue().count("spans.dropped") == 1
    structlog.reset_defaults()


async def test_what_the_collector_refuses_is_dropped_and_the_end_does_not_wait_for_it(receiving: Collector) -> None:
    written = StringIO()
    configure_logging(stream=written)
    receiving.status = 401
    traced = Traced(receiving)
    with tracing.child_of(PARENT.traceparent, "x", Kind.CLIENT):
        pass
    await traced.tracer.close()
    await traced.tracer.close()
    assert traced.dropped == [1]
    (line,) = written.getvalue().splitlines()
    assert "spans.dropped" in line
    assert "code: 401" in line
    structlog.reset_defaults()
    with tracing.child_of(PARENT.traceparent, "too late", Kind.CLIENT):
        pass
    assert traced.dropped == [1, 1]


CHOSEN = TraceContext(f"{1:032x}", f"{2:016x}", True)
"""What a sampler by ratio would always take: it looks at the last 16 digits of the trace's id."""


@pytest.mark.parametrize("sampler", ["traceidratio", "always_on", "always_off"])
async def test_a_caller_has_no_say_with_a_sampler_that_does_not_go_by_parents(
    receiving: Collector, sampler: str
) -> None:
    """By no flag and no id: a trace of its own begins, and names the caller's where it is recorded."""
    traced = Traced(receiving, sampler, ratio=1e-9)
    for caller in (CHOSEN, CHOSEN._replace(sampled=False)):
        with tracing.server_span("POST", caller.traceparent, {}) as span:
            assert span.context is not None
            assert span.context.trace_id != CHOSEN.trace_id
            assert span.recording == span.context.sampled == (sampler == "always_on")
    await traced.tracer.close()
    recorded = 2 if sampler == "always_on" else 0
    assert [(span.parent, span.links) for span in receiving.spans] == [("", [CHOSEN.trace_id])] * recorded


@pytest.mark.parametrize("ratio", [0.0, 1.0])
async def test_a_caller_has_its_say_with_one_that_does(receiving: Collector, ratio: float) -> None:
    traced = Traced(receiving, "parentbased_traceidratio", ratio)
    for caller in (CHOSEN, CHOSEN._replace(sampled=False)):
        with tracing.server_span("POST", caller.traceparent, {}) as span:
            assert span.context is not None
            assert (span.context.trace_id, span.recording) == (CHOSEN.trace_id, caller.sampled)
    await traced.tracer.close()
    assert [(span.parent, span.links) for span in receiving.spans] == [(CHOSEN.span_id, [])]


async def test_a_ratio_decides_for_all_that_belongs_to_a_job(receiving: Collector) -> None:
    """Each part is asked about again, with the same id: all or none of them."""
    traced = Traced(receiving, "traceidratio", ratio=0.5)
    decided = set()
    for _ in range(100):
        with tracing.server_span("POST", None, {}) as span:
            assert span.context is not None
            with tracing.child_of(span.context.traceparent, "process", Kind.CONSUMER) as below:
                assert below.recording == span.recording
        decided.add(span.recording)
    await traced.tracer.close()
    assert decided == {True, False}


@pytest.mark.parametrize(
    ("sampler", "ratio", "root", "sampled_parent", "unsampled_parent"),
    [
        ("always_on", 0.0, True, True, True),
        ("always_off", 1.0, False, False, False),
        ("traceidratio", 0.0, False, False, False),
        ("traceidratio", 1.0, True, True, True),
        ("parentbased_always_on", 0.0, True, True, False),
        ("parentbased_always_off", 1.0, False, True, False),
        ("parentbased_traceidratio", 0.0, False, True, False),
        ("parentbased_traceidratio", 1.0, True, True, False),
    ],
)
def test_the_samplers(sampler: str, ratio: float, *, root: bool, sampled_parent: bool, unsampled_parent: bool) -> None:
    from opentelemetry.sdk.trace import TracerProvider

    from app.telemetry.otlp import _context_of

    tracer = TracerProvider(sampler=sampler_of(sampler, ratio), shutdown_on_exit=False).get_tracer("test")
    for parent, expected in (
        (None, root),
        (PARENT, sampled_parent),
        (PARENT._replace(sampled=False), unsampled_parent),
    ):
        span = tracer.start_span("x", _context_of(parent))
        assert span.get_span_context().trace_flags.sampled is expected, parent
