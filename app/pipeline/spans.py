"""What a worker does, in the trace of its job: one span a page, and in it the calls to Google and the settle.

A span for the whole task would be open for hours at a long list, and a crash would lose it with all that hangs on it.
"""

from app.broker.base import Broker
from app.models.events import TOPIC_OF
from app.models.job import HeldTask, TaskStatus
from app.models.settlement import Settled
from app.pipeline.outcome import DeadLetter, Outcome, Retry
from app.telemetry import conventions, tracing
from app.telemetry.tracing import Kind, Span

SETTLE = "settle"

_OUTCOMES = {"Advance": "advance", "Snooze": "snooze", "Retry": "retry", "DeadLetter": "dead_letter"}


def page_span(task: HeldTask, broker: Broker) -> Span:
    """One page of the task in hand, from the decision to call Google to its settle."""
    topic = broker.topic(TOPIC_OF[task.stage])
    span = tracing.child_of(task.traceparent, f"{conventions.PROCESS} {topic}", Kind.CONSUMER)
    if span.recording:
        span.tell(
            conventions.processed(broker.system, topic, broker.group(task.stage))
            | {
                conventions.TENANT: task.tenant,
                conventions.JOB_ID: task.job_id,
                conventions.TASK_ID: task.task_id,
                conventions.RESOURCE: task.resource,
                conventions.PAGE: task.pages + 1,
                conventions.ATTEMPT: task.attempt + 1,
            }
        )
    return span


def tell_page(span: Span, outcome: Outcome, settled: Settled) -> None:
    """How it ended. Waiting is no failure."""
    if not span.recording:
        return
    word = _OUTCOMES[type(outcome).__name__]
    span.tell({conventions.OUTCOME: word})
    if isinstance(outcome, Retry | DeadLetter):
        span.failed(conventions.error_type(outcome.problem.status, outcome.problem.type))
    elif settled.move is not None and settled.move.status is TaskStatus.DEAD and settled.move.error is not None:
        span.failed(conventions.error_type(settled.move.error.status, settled.move.error.type))


def settle_span() -> Span:
    """The one transaction of a page, with the waits for a store that is away."""
    return tracing.child(SETTLE, Kind.CLIENT)


def tell_settled(span: Span, settled: Settled, system: str) -> None:
    span.tell(
        {
            conventions.DB_SYSTEM_NAME: system,
            conventions.TASK_STATUS: settled.status or "dropped",
            conventions.REVIEWS_NEW: settled.new_reviews,
            conventions.REVIEWS_DUPLICATE: settled.duplicates,
            conventions.TASKS_NEW: settled.new_tasks,
        }
    )
    if settled.job_ended is not None:
        span.tell({conventions.JOB_STATUS: settled.job_ended})
