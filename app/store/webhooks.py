"""Messages to callbacks: written in the transaction that ends a job, taken by one replica at a time, kept with the job.

A message that was taken is due again when its lease ends, so what a dead process had in hand is sent by another. Every
change is a compare-and-set on `version` that raises it: who comes late changes nothing.
"""

import secrets
from collections.abc import Collection
from typing import NamedTuple

from sqlalchemy import RowMapping, and_, bindparam, insert, literal, select, tuple_, update

from app.models.errors import WebhookNotFoundError
from app.models.webhooks import (
    EVENT_OF,
    WebhookAttempt,
    WebhookList,
    WebhookMessage,
    WebhookStatus,
    WebhookView,
)
from app.store.database import HotStatement, Transaction
from app.store.job_view import job_view, moment
from app.store.reads import require_job
from app.store.schema import callbacks, jobs, status_is, webhooks

MOST_SHOWN = 100
"""A job has one message, or a few; one that is redriven for ever has many."""

_job_with_callback = HotStatement(
    select(jobs)
    .join(callbacks, and_(callbacks.c.job_id == jobs.c.id, callbacks.c.tenant == jobs.c.tenant))
    .where(jobs.c.id == bindparam("job"))
)

_waits = status_is(webhooks.c.status, WebhookStatus.WAITING)


class DueWebhook(NamedTuple):
    """A message in hand: what to send, where (sealed), and the version that its outcome must still find."""

    id: int
    version: int
    tenant: str
    job_id: str
    message_id: str
    body: bytes
    attempts: int
    sealed_url: bytes


def tell_callback(transaction: Transaction, job_id: str) -> None:
    """The job has just come to an end, or to wait for a token: if it has a callback, one message says so."""
    row = _job_with_callback.execute(transaction, {"job": job_id}).mappings().one_or_none()
    if row is None:
        return
    job = job_view(row, transaction.now)
    event = EVENT_OF[job.status]
    message = WebhookMessage(type=event, timestamp=moment(transaction.now), data=job)
    transaction.connection.execute(
        insert(webhooks).values(
            tenant=row["tenant"],
            job_id=job_id,
            message_id=f"msg_{secrets.token_hex(16)}",
            event=event.value,
            body=message.model_dump_json().encode(),
            status=WebhookStatus.WAITING.value,
            due_at=transaction.now,
            created_at=transaction.now,
        )
    )


def anything_due(transaction: Transaction) -> bool:
    """Whether there is a message to take."""
    due = select(literal(1)).where(_waits, webhooks.c.due_at <= transaction.now).limit(1)
    return transaction.connection.execute(due).first() is not None


def take_webhooks(transaction: Transaction, limit: int, lease: float) -> list[DueWebhook]:
    """At most `limit` messages, those that have been due longest: the caller's for `lease` seconds."""
    ids = _longest_due(transaction, limit)
    transaction.connection.execute(
        update(webhooks)
        .where(webhooks.c.id.in_(ids))
        .values(version=webhooks.c.version + 1, due_at=transaction.now + lease)
    )
    columns = [callbacks.c[name] if name == "sealed_url" else webhooks.c[name] for name in DueWebhook._fields]
    statement = (
        select(*columns)
        .join(callbacks, callbacks.c.job_id == webhooks.c.job_id)
        .where(webhooks.c.id.in_(ids))
        .order_by(webhooks.c.id)
    )
    return [DueWebhook._make(row) for row in transaction.connection.execute(statement)]


def _longest_due(transaction: Transaction, limit: int) -> list[int]:
    """Locked. As a subquery of the update PostgreSQL may ask it several times, and then takes more than the limit."""
    statement = (
        select(webhooks.c.id)
        .where(_waits, webhooks.c.due_at <= transaction.now)
        .order_by(webhooks.c.due_at, webhooks.c.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return list(transaction.connection.execute(statement).scalars())


def give_back(transaction: Transaction, versions: Collection[tuple[int, int]], delay: float) -> None:
    """The messages named by (id, version) were not sent: they are due in `delay` seconds."""
    transaction.connection.execute(
        update(webhooks)
        .where(tuple_(webhooks.c.id, webhooks.c.version).in_(list(versions)), _waits)
        .values(version=webhooks.c.version + 1, due_at=transaction.now + delay)
    )


def note_attempt(transaction: Transaction, message_id: int, version: int, attempt: WebhookAttempt) -> bool:
    """Write what came of it. False: nothing is written, for another has taken it, or it was re-sent by hand."""
    delivered = attempt.status is WebhookStatus.DELIVERED
    noted = transaction.connection.execute(
        update(webhooks)
        .where(webhooks.c.id == message_id, webhooks.c.version == version, _waits)
        .values(
            version=webhooks.c.version + 1,
            attempts=webhooks.c.attempts + 1,
            status=attempt.status.value,
            due_at=transaction.now + (attempt.retry_in or 0.0),
            answered=attempt.answered,
            last_error=attempt.error,
            delivered_at=transaction.now if delivered else webhooks.c.delivered_at,
        )
    )
    return noted.rowcount == 1


def list_webhooks(transaction: Transaction, tenant: str, job_id: str) -> WebhookList:
    """The newest messages about the job. Raises JobNotFoundError."""
    require_job(transaction, tenant, job_id)
    shown = select(callbacks.c.shown_url).where(callbacks.c.job_id == job_id, callbacks.c.tenant == tenant)
    which = (webhooks.c.job_id == job_id, webhooks.c.tenant == tenant)
    statement = select(webhooks).where(*which).order_by(webhooks.c.id.desc()).limit(MOST_SHOWN)
    return WebhookList(
        callback_url=transaction.connection.execute(shown).scalar_one_or_none(),
        items=[_view(row) for row in transaction.connection.execute(statement).mappings()],
    )


def resend(transaction: Transaction, tenant: str, job_id: str, webhook_id: int) -> WebhookView:
    """The message is due now, with all its attempts again. Raises JobNotFoundError, WebhookNotFoundError."""
    require_job(transaction, tenant, job_id)
    row = (
        transaction.connection.execute(
            update(webhooks)
            .where(webhooks.c.id == webhook_id, webhooks.c.job_id == job_id, webhooks.c.tenant == tenant)
            .values(
                version=webhooks.c.version + 1,
                status=WebhookStatus.WAITING.value,
                attempts=0,
                due_at=transaction.now,
            )
            .returning(webhooks)
        )
        .mappings()
        .one_or_none()
    )
    if row is None:
        raise WebhookNotFoundError
    return _view(row)


def _view(row: RowMapping) -> WebhookView:
    waits = row["status"] == WebhookStatus.WAITING
    delivered_at = row["delivered_at"]
    columns = ("id", "message_id", "event", "status", "attempts", "answered", "last_error")
    return WebhookView(
        next_attempt_at=moment(row["due_at"]) if waits else None,
        created_at=moment(row["created_at"]),
        delivered_at=None if delivered_at is None else moment(delivered_at),
        **{name: row[name] for name in columns},
    )
