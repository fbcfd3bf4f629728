"""What the scheduler does, in the traces of the jobs whose tasks it releases."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from app.models.events import TOPIC_OF
from app.models.job import Stage, Work
from app.telemetry import conventions, tracing
from app.telemetry.tracing import Kind, Span


@contextmanager
def release_spans(works: Sequence[Work], system: str) -> Iterator[Sequence[Work]]:
    """One span for each stage of each recorded job. Its work then belongs to that span: so a trace shows how long
    a message was on its way."""
    if not tracing.is_on():
        yield works
        return
    with ExitStack() as spans:
        begun = {key: spans.enter_context(_span(of, system)) for key, of in _by_job(works).items()}
        yield [_in_span(work, begun.get((work.stage, work.job_id))) for work in works]


def _by_job(works: Sequence[Work]) -> dict[tuple[Stage, str], list[Work]]:
    found: dict[tuple[Stage, str], list[Work]] = {}
    for work in works:
        if work.traceparent:
            found.setdefault((work.stage, work.job_id), []).append(work)
    return found


def _span(works: Sequence[Work], system: str) -> Span:
    first, topic = works[0], TOPIC_OF[works[0].stage]
    span = tracing.child_of(first.traceparent, f"{conventions.SEND} {topic}", Kind.PRODUCER)
    if span.recording:
        span.tell(
            conventions.sent(system, topic, len(works))
            | {conventions.JOB_ID: first.job_id, conventions.TENANT: first.tenant}
        )
    return span


def _in_span(work: Work, span: Span | None) -> Work:
    return work if span is None or span.context is None else work._replace(traceparent=span.context.traceparent)
