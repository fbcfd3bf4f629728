"""The rows of jobs that nobody sees any more, deleted in short transactions until the job's own row goes last.

What was broken off is gone on with by whoever looks next: what is left says by itself what is to be done.
"""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import delete, exists, select

from app.store.database import Transaction
from app.store.erasures import count_swept
from app.store.numbers import delete_numbers
from app.store.owners import ERASED, SWEPT
from app.store.schema import (
    FENCE,
    callbacks,
    credentials,
    dead_letters,
    jobs,
    kind_is,
    locations,
    other_accounts,
    outbox,
    reviews,
    tasks,
    webhooks,
)
from app.store.tombstones import Place, bury_reviews

PLACES_A_STEP = 50
"""Locations that one transaction empties at most, however few rows they have."""


class Step(NamedTuple):
    """Rows deleted, reviews among them, and whether there is more to do at once."""

    rows: int = 0
    reviews: int = 0
    more: bool = False


def sweep_step(transaction: Transaction, limit: int, *, publishes: bool) -> Step:
    """Delete at most `limit` rows of one hidden job.

    Where reviews are published, a job whose retention is over waits until all of its own are in the topic.
    """
    for owner in (ERASED, SWEPT):
        job_id = _next_job(transaction, owner, behind_fence=publishes and owner == SWEPT)
        if job_id is not None:
            return _sweep_job(transaction, job_id, limit, ordered=owner == ERASED, publishes=publishes)
    return Step()


def _next_job(transaction: Transaction, owner: str, *, behind_fence: bool) -> str | None:
    statement = select(jobs.c.id).where(jobs.c.tenant == owner).order_by(jobs.c.created_at, jobs.c.id).limit(1)
    if behind_fence:
        statement = statement.where(~exists().where(kind_is(FENCE), outbox.c.job_id == jobs.c.id))
    job_id: str | None = transaction.connection.execute(statement).scalar_one_or_none()
    return job_id


def _sweep_job(transaction: Transaction, job_id: str, limit: int, *, ordered: bool, publishes: bool) -> Step:
    places = _next_places(transaction, job_id)
    found = _empty_places(transaction, places, limit, tombstones=publishes and ordered)
    if found and ordered:
        count_swept(transaction, places[0].tenant, job_id, found)
    rows = found
    for table in (tasks, dead_letters, webhooks):
        if rows >= limit:
            break
        key = table.primary_key.columns[0]
        which = select(key).where(table.c.job_id == job_id).order_by(key).limit(limit - rows)
        numbers = transaction.connection.execute(which).scalars().all()
        delete_numbers(transaction, table, numbers)
        rows += len(numbers)
    if rows >= limit or _has_places(transaction, job_id):
        return Step(rows, found, more=True)
    for rest in (callbacks, credentials):
        transaction.connection.execute(delete(rest).where(rest.c.job_id == job_id))
    transaction.connection.execute(delete(jobs).where(jobs.c.id == job_id))
    return Step(rows + 1, found, more=True)


def _next_places(transaction: Transaction, job_id: str) -> list[Place]:
    statement = (
        select(locations.c.no, locations.c.tenant, locations.c.job_id, locations.c.location)
        .where(locations.c.job_id == job_id)
        .order_by(locations.c.location)
        .limit(PLACES_A_STEP)
    )
    return [Place._make(row) for row in transaction.connection.execute(statement)]


def _empty_places(transaction: Transaction, places: Sequence[Place], limit: int, *, tombstones: bool) -> int:
    """Reviews of these locations, and those locations that have none left; how many reviews these were."""
    found = 0
    for place in places:
        found += _empty_place(transaction, place, limit - found, tombstones=tombstones)
        if found >= limit:
            return found
        others = delete(other_accounts).where(other_accounts.c.location_no == place.no)
        transaction.connection.execute(others)
        delete_numbers(transaction, locations, [place.no])
    return found


def _empty_place(transaction: Transaction, place: Place, limit: int, *, tombstones: bool) -> int:
    statement = (
        select(reviews.c.seq, reviews.c.review_id)
        .where(reviews.c.location_no == place.no)
        .order_by(reviews.c.review_id)
        .limit(limit)
    )
    rows = transaction.connection.execute(statement).all()
    delete_numbers(transaction, reviews, [row.seq for row in rows])
    if tombstones and rows:
        bury_reviews(transaction, place, [row.review_id for row in rows])
    return len(rows)


def _has_places(transaction: Transaction, job_id: str) -> bool:
    statement = select(locations.c.no).where(locations.c.job_id == job_id).limit(1)
    return transaction.connection.execute(statement).first() is not None
