"""Reviews, tombstones and dead letters as records of their topics: the one place where these messages are put together.

The `Struct`s here are the schema too: docs/asyncapi.json is made from them. Everything in a message comes from the
store, so that a record that is sent again is the same, byte for byte.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import groupby
from operator import itemgetter
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Raw, Struct

from app.broker.transactions import Headers, OutRecord
from app.models.access import DEFAULT_TENANT
from app.models.events import Topic
from app.store.outbox import Batch, Letter, Page, Tombstone

JSON = b"application/json"
TOMBSTONE_TYPE = b"tombstone"
TRACEPARENT = "traceparent"


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
    topic = topic_prefix + Topic.REVIEWS_RAW
    if batch.tombstones:
        yield from _in_order(batch, topic)
    else:
        yield from _reviews(batch, batch.reviews, topic)
    for letter in batch.letters:
        yield _dead_letter(letter, topic_prefix + Topic.DEAD_LETTERS)


def _in_order(batch: Batch, topic: str) -> Iterator[OutRecord]:
    """A review that was fetched again after its tombstone comes after it."""
    left = deque(batch.tombstones)
    for position, page in groupby(batch.reviews, key=itemgetter(0)):
        while left and left[0].position < position:
            yield _tombstone(left.popleft(), topic)
        yield from _reviews(batch, page, topic)
    for tombstone in left:
        yield _tombstone(tombstone, topic)


def _tombstone(tombstone: Tombstone, topic: str) -> OutRecord:
    """Nothing of the review but its key."""
    key = f"{_tenant_prefix(tombstone.tenant)}{tombstone.location}/reviews/{tombstone.review_id}"
    message_id = f"tombstone_{_moment(tombstone.created_at)}_{key}"
    headers: Headers = [("message_id", message_id.encode()), ("type", TOMBSTONE_TYPE)]
    return OutRecord(topic, key.encode(), None, headers)


def _reviews(batch: Batch, rows: Iterable[Sequence[Any]], topic: str) -> Iterator[OutRecord]:
    position = -1
    for row in rows:
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
    if page.traceparent:
        headers.append((TRACEPARENT, page.traceparent))
    return OutRecord(topic, key.encode(), _encode(envelope), headers)


def _key_prefix(page: Page) -> str:
    """Reviews of a location have their place in the topic by their own name, and tenants do not share it."""
    return f"{_tenant_prefix(page.tenant)}{page.location}/reviews/"


def _tenant_prefix(tenant: str) -> str:
    return "" if tenant == DEFAULT_TENANT else f"{tenant}/"


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
    if letter.traceparent:
        headers.append((TRACEPARENT, letter.traceparent))
    return OutRecord(topic, key.encode(), _encode(envelope), headers)


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()
