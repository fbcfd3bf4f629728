"""Work as bytes on a topic, and back. Whatever a topic may hold, decoding answers `Work` or says why not."""

from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError

from app.models.events import (
    TOPIC_OF,
    Envelope,
    FetchAccountsEvent,
    FetchLocationsEvent,
    FetchReviewsEvent,
    WorkEvent,
)
from app.models.job import Stage, Work


class PoisonMessageError(Exception):
    """The message is no work event of this service: it goes to the dead-letter topic, and the partition goes on."""


def envelope_of(work: Work, now: float) -> Envelope:
    """The envelope of a work message; `now` in seconds since 1970. Keyed by job, account or location."""
    timestamp = datetime.fromtimestamp(now, UTC).isoformat()
    topic = TOPIC_OF[work.stage]
    return Envelope(
        topic=topic,
        key=work.job_id if work.stage is Stage.ACCOUNTS else work.resource,
        message=_event(work, timestamp),
        timestamp=timestamp,
        message_id=f"{topic}_{work.task_id}_{work.version}",
    )


def decode(payload: bytes | None) -> Work:
    """The work in a message's value; raises `PoisonMessageError` with the cause for anything else."""
    if payload is None:
        raise PoisonMessageError("The message has no value.")
    try:
        envelope = Envelope.model_validate_json(payload)
    except ValidationError as error:
        causes = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()[:3])
        raise PoisonMessageError(f"Not a work event: {causes}") from None
    work = _work(envelope.message)
    if envelope.topic is not TOPIC_OF[work.stage]:
        raise PoisonMessageError(f"A {envelope.message.type} event does not belong on {envelope.topic}.")
    return work


def _event(work: Work, created_at: str) -> WorkEvent:
    match work.stage:
        case Stage.ACCOUNTS:
            return FetchAccountsEvent(**_common(work), created_at=created_at)
        case Stage.LOCATIONS:
            return FetchLocationsEvent(
                **_common(work), created_at=created_at, account_id=work.resource, account_name=work.title
            )
        case Stage.REVIEWS:
            return FetchReviewsEvent(
                **_common(work),
                created_at=created_at,
                account_id=work.account,
                location_id=work.resource,
                location_name=work.title,
            )


def _common(work: Work) -> dict[str, Any]:
    named = {"job_id": work.job_id, "tenant": work.tenant, "task_id": work.task_id, "version": work.version}
    return named | {"weight": work.weight}


def _work(event: WorkEvent) -> Work:
    head = (event.task_id, event.version)
    match event:
        case FetchAccountsEvent():
            return Work(*head, Stage.ACCOUNTS, event.tenant, event.job_id, "accounts", "", "", event.weight)
        case FetchLocationsEvent():
            account = event.account_id
            return Work(
                *head, Stage.LOCATIONS, event.tenant, event.job_id, account, account, event.account_name, event.weight
            )
        case FetchReviewsEvent():
            return Work(
                *head,
                Stage.REVIEWS,
                event.tenant,
                event.job_id,
                event.location_id,
                event.account_id,
                event.location_name,
                event.weight,
            )
