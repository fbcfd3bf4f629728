"""What tells readers of reviews-raw that a review was erased: rows for the publisher, until they are in the topic."""

from collections.abc import Collection
from typing import NamedTuple

from sqlalchemy import delete, insert, select

from app.store.database import Transaction
from app.store.numbers import delete_numbers
from app.store.outbox import lock_head
from app.store.owners import SWEPT
from app.store.schema import FENCE, TOMBSTONE, jobs, kind_is, locations, outbox, reviews, tombstones

TOMBSTONE_BYTES = 100
"""Its key, about."""


class Place(NamedTuple):
    """A location of a job, by its number, with the tenant whose it was."""

    no: int
    tenant: str
    job_id: str
    location: str


def bury_reviews(transaction: Transaction, place: Place, review_ids: Collection[str]) -> None:
    """Send a tombstone for each of these reviews, which were just deleted here, that no other job has kept.

    So a key gets one, with its last copy. Positions are stamped on what is committed: a publisher that still saw one
    of the reviews has given its position before.

    The look for other copies is under the lock of the head: a page that has its position by then is committed, and
    seen; every other one, also of a settle that is under way, gets its position behind our tombstone (`stamp`).
    """
    lock_head(transaction)  # nobody else numbers tombstones now either: ours follow each other
    gone = sorted(set(review_ids) - _kept_elsewhere(transaction, place, review_ids))
    if not gone:
        return
    columns = ("tenant", "location", "review_id", "created_at")
    rows = [(place.tenant, place.location, review_id, transaction.now) for review_id in gone]
    numbers = transaction.insert_numbered(tombstones, columns, rows, "id")
    _announce(transaction, place, TOMBSTONE, numbers)


def put_fence(transaction: Transaction, tenant: str, job_id: str) -> None:
    """Behind all that the job has announced. The job has ended, so nothing of it comes later."""
    _announce(transaction, Place(0, tenant, job_id, ""), FENCE, ())


def _announce(transaction: Transaction, place: Place, kind: str, numbers: Collection[int]) -> None:
    transaction.connection.execute(
        insert(outbox).values(
            tenant=place.tenant,
            job_id=place.job_id,
            location_no=0,
            first_seq=min(numbers, default=0),
            last_seq=max(numbers, default=0),
            review_count=len(numbers),
            review_bytes=len(numbers) * TOMBSTONE_BYTES,
            created_at=transaction.now,
            kind=kind,
        )
    )


def _kept_elsewhere(transaction: Transaction, place: Place, review_ids: Collection[str]) -> set[str]:
    """A job that retention is sweeping keeps nothing."""
    others = (
        select(locations.c.no)
        .join(jobs, jobs.c.id == locations.c.job_id)
        .where(locations.c.tenant == place.tenant, locations.c.location == place.location)
        .where(locations.c.no != place.no, jobs.c.tenant != SWEPT)
    )
    numbers = transaction.connection.execute(others).scalars().all()
    if not numbers:
        return set()
    found = select(reviews.c.review_id).where(
        reviews.c.location_no.in_(numbers), reviews.c.review_id.in_(list(review_ids))
    )
    return set(transaction.connection.execute(found.distinct()).scalars())


def clear_tombstones(transaction: Transaction, position: int, most: int) -> int:
    """Forget at most so many rows of tombstones that are in the topic, and what they name; how many rows these were."""
    sent = (
        select(outbox.c.id, outbox.c.first_seq, outbox.c.last_seq)
        .where(kind_is(TOMBSTONE), outbox.c.position <= position)
        .order_by(outbox.c.position)
        .limit(most)
    )
    rows = transaction.connection.execute(sent).all()
    for row in rows:
        delete_numbers(transaction, tombstones, range(row.first_seq, row.last_seq + 1))
    if rows:
        transaction.connection.execute(delete(outbox).where(outbox.c.id.in_([row.id for row in rows])))
    return len(rows)
