"""What the publisher does, in the traces of the jobs whose messages it sends."""

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from app.models.events import Topic
from app.store.outbox import Batch
from app.telemetry import conventions, tracing
from app.telemetry.tracing import Kind


@contextmanager
def publish_spans(batch: Batch, topic_prefix: str) -> Iterator[None]:
    """One span for each recorded job of the batch: a batch holds messages of many jobs, each with its trace. None of
    them is entered: what happens inside belongs to all of them."""
    if not tracing.is_on():
        yield
        return
    with ExitStack() as spans:
        for (kind, job_id, traceparent), count in _of_jobs(batch).items():
            topic = topic_prefix + kind
            span = tracing.child_of(traceparent, f"{conventions.SEND} {topic}", Kind.PRODUCER)
            if span.recording:
                span.tell(
                    conventions.sent(conventions.KAFKA, topic, count) | {conventions.JOB_ID: job_id},
                )
                spans.push(span)
        yield


def _of_jobs(batch: Batch) -> Counter[tuple[str, str, str]]:
    """(topic, job, traceparent) → how many messages."""
    found = Counter[tuple[str, str, str]]()
    for row in batch.reviews:
        page = batch.pages[row[0]]
        if page.traceparent:
            found[Topic.REVIEWS_RAW, page.job_id, page.traceparent] += 1
    for letter in batch.letters:
        if letter.traceparent:
            found[Topic.DEAD_LETTERS, letter.job_id, letter.traceparent] += 1
    return found
