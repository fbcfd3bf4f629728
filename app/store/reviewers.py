"""Reviews of one reviewer found and erased, wherever in the tenant they are.

Google gives reviewers no id: they are found by display name, in all of the tenant's reviews, or a review by its own
name. A tenant's reviews are gone through by number, so a row must not appear behind the place where the look is:
each leg begins when all that is being inserted is committed.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import exists, func, select, update

from app.models.erasure import ReviewKey
from app.models.job import OPEN
from app.store.database import Transaction
from app.store.erasures import add_to_order
from app.store.numbers import delete_numbers
from app.store.republish import measure_extent
from app.store.schema import dead_letters, erasures, jobs, locations, reviews, status_in
from app.store.tombstones import Place, bury_reviews

NUMBERS_A_LOOK = 20_000
"""Reviews gone through at once, of all tenants: a short read."""


class Found(NamedTuple):
    """A review to erase, by its number and its location's."""

    seq: int
    location_no: int


class Look(NamedTuple):
    """What was found, and up to which number."""

    found: Sequence[Found]
    reached: int


def look_for_reviewer(transaction: Transaction, tenant: str, name: str, leg: tuple[int, int], limit: int) -> Look:
    """Reviews of a display name in the leg (behind the first number, up to the second), at most `limit` of them."""
    after, upto = leg
    last = min(upto, after + NUMBERS_A_LOOK)
    statement = (
        select(reviews.c.seq, reviews.c.location_no)
        .where(reviews.c.seq > after, reviews.c.seq <= last, reviews.c.tenant == tenant, reviews.c.reviewer == name)
        .order_by(reviews.c.seq)
        .limit(limit)
    )
    found = [Found._make(row) for row in transaction.connection.execute(statement)]
    return Look(found, found[-1].seq if len(found) == limit else last)


def look_for_review(transaction: Transaction, tenant: str, key: ReviewKey, limit: int) -> Sequence[Found]:
    """The copies of one review, at most `limit` of them."""
    statement = (
        select(reviews.c.seq, reviews.c.location_no)
        .join(locations, locations.c.no == reviews.c.location_no)
        .where(locations.c.tenant == tenant, locations.c.location == key.location)
        .where(reviews.c.review_id == key.review_id)
        .limit(limit)
    )
    return [Found._make(row) for row in transaction.connection.execute(statement)]


class ReviewCount(NamedTuple):
    """Reviews, and the jobs that have them."""

    jobs: int
    reviews: int


class CountedPiece(NamedTuple):
    """What a piece of the look for a reviewer counted, and up to which number."""

    jobs: set[str]
    reviews: int
    reached: int


_there = locations.join(reviews, reviews.c.location_no == locations.c.no).join(jobs, jobs.c.id == locations.c.job_id)


def count_review(transaction: Transaction, tenant: str, key: ReviewKey) -> ReviewCount:
    """The copies of one review in the tenant's jobs."""
    statement = (
        select(func.count())
        .select_from(_there)
        .where(locations.c.tenant == tenant, locations.c.location == key.location, jobs.c.tenant == tenant)
        .where(reviews.c.review_id == key.review_id)
    )
    copies = int(transaction.connection.execute(statement).scalar_one())
    return ReviewCount(copies, copies)


def count_reviewer(transaction: Transaction, tenant: str, name: str, after: int) -> CountedPiece | None:
    """Reviews of a display name in the next piece behind a number; None: there are no more reviews."""
    newest = transaction.connection.execute(select(func.max(reviews.c.seq))).scalar() or 0
    if after >= newest:
        return None
    last = min(newest, after + NUMBERS_A_LOOK)
    statement = (
        select(jobs.c.id, func.count())
        .select_from(_there)
        .where(reviews.c.seq > after, reviews.c.seq <= last, reviews.c.tenant == tenant, reviews.c.reviewer == name)
        .where(jobs.c.tenant == tenant)
        .group_by(jobs.c.id)
    )
    rows = transaction.connection.execute(statement).all()
    return CountedPiece({row[0] for row in rows}, sum(row[1] for row in rows), last)


def erase_reviews(
    transaction: Transaction, order: int, location_no: int, numbers: Sequence[int], *, tombstones: bool
) -> int:
    """Erase these reviews of one location; how many were still there.

    The rows in the order in which a settle takes them: reviews, location, job.
    """
    connection = transaction.connection
    row = connection.execute(_place_of(location_no)).one_or_none()
    if row is None:
        return 0
    place = Place._make(row)
    there = select(reviews.c.seq, reviews.c.review_id).where(reviews.c.seq.in_(numbers)).with_for_update()
    rows = connection.execute(there.where(reviews.c.location_no == location_no)).all()
    if not rows:
        return 0
    delete_numbers(transaction, reviews, [row.seq for row in rows])
    review_ids = [row.review_id for row in rows]
    erase_letters_of(transaction, place.tenant, place.location, review_ids)
    fewer = len(rows)
    connection.execute(
        update(locations).where(locations.c.no == location_no).values(fetched=locations.c.fetched - fewer)
    )
    connection.execute(
        update(jobs).where(jobs.c.id == place.job_id).values(reviews_fetched=jobs.c.reviews_fetched - fewer)
    )
    add_to_order(transaction, order, found_reviews=fewer)
    if tombstones:
        bury_reviews(transaction, place, review_ids)
    return fewer


def _place_of(location_no: int) -> Any:
    return select(locations.c.no, locations.c.tenant, locations.c.job_id, locations.c.location).where(
        locations.c.no == location_no
    )


def erase_letters_of(transaction: Transaction, tenant: str, location: str, review_ids: Sequence[str]) -> None:
    """Dead letters of these reviews, in whichever job one was too large to be kept."""
    places = select(locations.c.job_id).where(locations.c.tenant == tenant, locations.c.location == location)
    names = [f"{location}/reviews/{review_id}" for review_id in review_ids]
    which = (dead_letters.c.job_id.in_(places), dead_letters.c.resource.in_(names))
    numbers = transaction.connection.execute(select(dead_letters.c.id).where(*which)).scalars().all()
    delete_numbers(transaction, dead_letters, numbers)


def older_jobs_run(transaction: Transaction, tenant: str, created_at: float) -> bool:
    """Whether jobs of the tenant that were there by then go on, and may still bring what is to be erased."""
    older = (jobs.c.tenant == tenant, status_in(jobs.c.status, OPEN), jobs.c.created_at <= created_at)
    return bool(transaction.connection.execute(select(exists().where(*older))).scalar())


def begin_leg(transaction: Transaction, order: int, reached: int) -> int:
    """Note up to where to look next, which is the answer: up to there, every review is visible now."""
    upto = max(reached, measure_extent(transaction).last_seq)
    note_leg(transaction, order, reached, upto)
    return upto


def note_leg(transaction: Transaction, order: int, reached: int, upto: int) -> None:
    """How far the look has come."""
    changed = update(erasures).where(erasures.c.id == order).values(reached=reached, upto=upto)
    transaction.connection.execute(changed)
