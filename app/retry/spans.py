"""What the scheduler does, in the traces of the jobs whose tasks it releases."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from app.broker.base import Broker
from app.models.events import TOPIC_OF
from app.models.job import Stage, Work
from app.telemetry import conventions, tracing
from app.telemetry.tracing import Kind, Span


@contextmanager
def release_spans(works: Sequence[Work], broker: Broker) -> Iterator[Sequence[Work]]:
    """One span for each stage of each recorded job. Its work then belongs to that span: so a trace shows how long
    a message was on its way. None of them is entered: what happens inside belongs to all of them."""
    if not tracing.is_on():
        yield works
        return
    with ExitStack() as spans:
        begun = {key: spans.push(_span(of, broker)) for key, of in _by_job(works).items()}
        yield [_in_span(work, begun.get((work.stage, work.job_id))) for work in works]


def _by_job(works: Sequence[Work]) -> dict[tuple[Stage, str], list[Work]]:
    found: dict[tuple[Stage, str], list[Work]] = {}
    for work in works:
        if work.traceparent:
            found.setdefault((work.stage, work.job_id), []).append(work)
    return found


def _span(works: Sequence[Work], broker: Broker) -> Span:
    first, topic = works[0], broker.topic(TOPIC_OF[works[0].stage])
    span = tracing.child_of(first.traceparent, f"{conventions.SEND} {topic}", Kind.PRODUCER)
    if span.recording:
        span.tell(
            conventions.sent(broker.system, topic, len(works))
            | {conventions.JOB_ID: first.job_id, conventions.TENANT: first.tenant}
        )
    return span


def _in_span(work: Work, span: Span | None) -> Work:
    return work if span is None or span.context is None else work._replace(traceparent=span.context.traceparent)
