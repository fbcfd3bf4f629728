"""Reviews and dead letters as records of their topics: the one place where these messages are put together.

The `Struct`s here are the schema too: docs/asyncapi.json is made from them. Everything in a message comes from the
store, so that a record that is sent again is the same, byte for byte.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Raw, Struct

from app.broker.transactions import Headers, OutRecord
from app.models.access import DEFAULT_TENANT
from app.models.events import Topic
from app.store.outbox import Batch, Letter, Page

JSON = b"application/json"


class ReviewMessage(Struct, tag_field="type", tag="review", gc=False):
    """A review, stored for the first time in its job. `raw` is Google's object as it came."""

    job_id: str
    tenant: str
    account: str
    location: str
    review_id: str
    rating: int | None
    comment: str | None
    reviewer: str | None
    create_time: str | None
    update_time: str | None
    reply: str | None
    raw: Annotated[Raw, msgspec.Meta(description="Google's object, byte for byte")]


class ReviewEnvelope(Struct, gc=False):
    """A record of reviews-raw. `timestamp`: when its page was stored, RFC 3339."""

    topic: Literal["reviews-raw"]
    key: str
    message: ReviewMessage
    timestamp: str
    message_id: str


class DeadLetterMessage(Struct, tag_field="type", tag="dead_letter", gc=False):
    """A task or a review that was given up. `cursor`: the page token at which a redrive resumes."""

    id: int
    job_id: str
    tenant: str
    stage: str
    resource: str
    cause: str
    detail: str
    attempts: int
    cursor: str | None
    created_at: str


class DeadLetterEnvelope(Struct, gc=False):
    """A record of review-fetcher-dlq. `timestamp`: when it was given up, RFC 3339."""

    topic: Literal["review-fetcher-dlq"]
    key: str
    message: DeadLetterMessage
    timestamp: str
    message_id: str


_encode = msgspec.json.Encoder().encode


def records(batch: Batch, topic_prefix: str) -> Iterator[OutRecord]:
    """The batch's records one by one, in order; made as they are asked for."""
    yield from _reviews(batch, topic_prefix + Topic.REVIEWS_RAW)
    for letter in batch.letters:
        yield _dead_letter(letter, topic_prefix + Topic.DEAD_LETTERS)


def _reviews(batch: Batch, topic: str) -> Iterator[OutRecord]:
    position = -1
    for row in batch.reviews:
        if row[0] != position:
            position = row[0]
            page = batch.pages[position]
            prefix, timestamp = _key_prefix(page), _moment(page.created_at)
        yield _review(topic, page, prefix, timestamp, row)


def _review(topic: str, page: Page, prefix: str, timestamp: str, row: Sequence[Any]) -> OutRecord:
    _, review_id, rating, comment, reviewer, create_time, update_time, reply, raw = row
    message = ReviewMessage(
        page.job_id,
        page.tenant,
        page.account,
        page.location,
        review_id,
        rating,
        comment,
        reviewer,
        create_time,
        update_time,
        reply,
        Raw(raw),
    )
    key = prefix + review_id
    message_id = f"reviews-raw_{page.job_id}_{key}"
    envelope = ReviewEnvelope("reviews-raw", key, message, timestamp, message_id)
    headers: Headers = [("message_id", message_id.encode()), ("type", b"review"), ("content-type", JSON)]
    return OutRecord(topic, key.encode(), _encode(envelope), headers)


def _key_prefix(page: Page) -> str:
    """Reviews of a location have their place in the topic by their own name, and tenants do not share it."""
    whose = "" if page.tenant == DEFAULT_TENANT else f"{page.tenant}/"
    return f"{whose}{page.location}/reviews/"


def _dead_letter(letter: Letter, topic: str) -> OutRecord:
    """Keyed by job: the dead letters of one stay in order."""
    moment = _moment(letter.created_at)
    key = letter.job_id if letter.tenant == DEFAULT_TENANT else f"{letter.tenant}/{letter.job_id}"
    message_id = f"review-fetcher-dlq_{letter.id}"
    message = DeadLetterMessage(
        letter.id,
        letter.job_id,
        letter.tenant,
        letter.stage,
        letter.resource,
        letter.cause,
        letter.detail,
        letter.attempts,
        letter.cursor,
        moment,
    )
    envelope = DeadLetterEnvelope("review-fetcher-dlq", key, message, moment, message_id)
    headers: Headers = [
        ("message_id", message_id.encode()),
        ("type", b"dead_letter"),
        ("cause", letter.cause.encode()),
        ("content-type", JSON),
    ]
    return OutRecord(topic, key.encode(), _encode(envelope), headers)


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()
