"""Webhooks: what is told to a job's callback, what came of it, and how it is shown."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from app.models.job import JobStatus
from app.models.views import Count, JobView, View


class WebhookEvent(StrEnum):
    """What happened to the job: an end, or that it waits for a new token."""

    COMPLETED = "review_fetch.completed"
    FAILED = "review_fetch.failed"
    DLQ = "review_fetch.dlq"
    CANCELLED = "review_fetch.cancelled"
    NEEDS_TOKEN = "review_fetch.needs_token"  # noqa: S105 - an event


EVENT_OF = {
    JobStatus.COMPLETED: WebhookEvent.COMPLETED,
    JobStatus.FAILED: WebhookEvent.FAILED,
    JobStatus.DLQ: WebhookEvent.DLQ,
    JobStatus.CANCELLED: WebhookEvent.CANCELLED,
    JobStatus.NEEDS_TOKEN: WebhookEvent.NEEDS_TOKEN,
}


class WebhookStatus(StrEnum):
    """waiting (until it is due, or under way) → delivered | failed; a re-send leads back to waiting."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    FAILED = "failed"


class WebhookMessage(View):
    """The body that a receiver gets: fixed when it happened, and the same at every attempt."""

    type: WebhookEvent
    """What happened."""
    timestamp: datetime
    """When it happened."""
    data: JobView
    """The job as it stood then."""


@dataclass(frozen=True, slots=True)
class WebhookAttempt:
    """What came of sending a message once: the HTTP status if there was one, and why it does not count as delivered.

    `retry_in`: seconds until the next attempt; None when there is none.
    """

    answered: int | None = None
    error: str | None = None
    retry_in: float | None = None

    @property
    def status(self) -> WebhookStatus:
        if self.error is None:
            return WebhookStatus.DELIVERED
        return WebhookStatus.FAILED if self.retry_in is None else WebhookStatus.WAITING


class WebhookView(View):
    """A message to a job's callback, and what came of it."""

    id: int
    """For a re-send."""
    message_id: str
    """The header `webhook-id`: the same at every attempt, so a receiver knows a message that it has had."""
    event: WebhookEvent
    """What happened to the job."""
    status: WebhookStatus
    """`waiting`, `delivered` (the receiver answered 2xx), or `failed` (given up)."""
    attempts: Count
    """Attempts since it was written, or since it was last re-sent by hand."""
    next_attempt_at: datetime | None
    """While it waits: when it is sent next."""
    answered: int | None
    """The HTTP status of the last answer; null when the last attempt brought none."""
    last_error: str | None
    """Why the last attempt did not deliver it."""
    created_at: datetime
    """When it happened."""
    delivered_at: datetime | None
    """When the receiver last answered 2xx."""


class WebhookList(View):
    """The newest messages about a job, newest first."""

    callback_url: str | None
    """Where they go, without the query; null when the job has no callback."""
    items: Annotated[list[WebhookView], Field(max_length=100)]


class WebhookSecrets(View):
    """Secrets of a tenant: who knows one can forge messages to its receivers."""

    secrets: list[str]
    """Each message is signed with each of these, one for each sealing key, newest first. A receiver needs one."""
