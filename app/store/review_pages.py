"""Reviews as they are handed out: pages of rows, each a short read whose cost is its own size.

`reviews` knows no job, only the location's number: a page goes through the job's locations by name and, within each,
through the unique key (location_no, review_id), so no page sorts or skips what others have read.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, bindparam, select

from app.store.cursors import ReviewsCursor
from app.store.database import Transaction
from app.store.schema import locations, reviews

PAGE_BYTES = 8 * 1024 * 1024
"""A page ends early behind so many bytes of Google's objects: a review may have 900 kB, a page 1,000 reviews."""

ROWS_A_QUERY = 250
"""What a page of the largest reviews holds in vain in memory, when it ends early, is at most so many."""

LOCATIONS_A_LOOK = 500
"""Locations looked up at once; small ones share one query for their reviews."""


class ReviewRow(NamedTuple):
    """A review with its job, account and location: the fields of `ReviewView`, `raw` as Google's bytes."""

    job_id: str
    account: str
    location: str
    review_id: str
    name: str
    rating: int | None
    comment: str | None
    reviewer: str | None
    create_time: str | None
    update_time: str | None
    reply: str | None
    raw: bytes


class ReviewPage(NamedTuple):
    """Reviews, and where the page ended; None: there are no more."""

    reviews: list[ReviewRow]
    last: ReviewsCursor | None


class _Place(NamedTuple):
    no: int
    account: str
    location: str
    fetched: int


REVIEW_COLUMNS = tuple(
    reviews.c[name] for name in "review_id name rating comment reviewer create_time update_time reply raw".split()
)
"""The last columns of a `ReviewRow`, in its order."""


def read_reviews(transaction: Transaction, job_id: str, limit: int, after: ReviewsCursor | None) -> ReviewPage:
    """At most `limit` reviews of a job behind `after`, by location and review id.

    Whether the tenant has the job is the caller's to check. What is inserted before `after` meanwhile is not seen.
    """
    rows: list[ReviewRow] = []
    size = 0
    for row in _walk(transaction, job_id, min(limit + 1, ROWS_A_QUERY), after):
        if len(rows) == limit or size >= PAGE_BYTES:
            return ReviewPage(rows, ReviewsCursor(job_id, rows[-1].location, rows[-1].review_id))
        rows.append(row)
        size += len(row.raw)
    return ReviewPage(rows, None)


def _walk(transaction: Transaction, job_id: str, rows: int, after: ReviewsCursor | None) -> Iterator[ReviewRow]:
    """The rest of the location that `after` stands in, then the locations behind it; about `rows` a query.

    Nothing is asked for before the reader wants it.
    """
    behind = ""
    if after is not None:
        behind = after.location
        for place in _places(transaction, job_id, locations.c.location == behind, 1):
            yield from _of_one(transaction, job_id, place, after.review_id, rows)
    while places := _places(transaction, job_id, locations.c.location > behind, LOCATIONS_A_LOOK):
        for group in _groups(places, rows):
            if len(group) == 1:
                yield from _of_one(transaction, job_id, group[0], None, rows)
            else:
                yield from _of_several(transaction, job_id, group)
        behind = places[-1].location


def _places(transaction: Transaction, job_id: str, which: ColumnElement[bool], limit: int) -> list[_Place]:
    """Locations that have rows, by name. `fetched` is written with the rows, so it is their number."""
    statement = (
        select(locations.c.no, locations.c.account, locations.c.location, locations.c.fetched)
        .where(locations.c.job_id == job_id, which, locations.c.fetched > 0)
        .order_by(locations.c.location)
        .limit(limit)
    )
    return [_Place._make(row) for row in transaction.connection.execute(statement)]


def _groups(places: Sequence[_Place], rows: int) -> Iterator[Sequence[_Place]]:
    """Neighbours that have at most `rows` rows together; one that has more stands alone."""
    start = together = 0
    for index, place in enumerate(places):
        if index > start and together + place.fetched > rows:
            yield places[start:index]
            start, together = index, 0
        together += place.fetched
    yield places[start:]


_from_first = (
    select(*REVIEW_COLUMNS)
    .where(reviews.c.location_no == bindparam("number"))
    .order_by(reviews.c.review_id)
    .limit(bindparam("rows"))
)

_from_behind = _from_first.where(reviews.c.review_id > bindparam("after"))

_of_many = (
    select(reviews.c.location_no, *REVIEW_COLUMNS)
    .where(reviews.c.location_no.in_(bindparam("numbers", expanding=True)))
    .order_by(reviews.c.location_no, reviews.c.review_id)
)


def _of_several(transaction: Transaction, job_id: str, group: Sequence[_Place]) -> Iterator[ReviewRow]:
    by_place: dict[int, list[tuple[Any, ...]]] = defaultdict(list)
    for row in transaction.connection.execute(_of_many, {"numbers": [place.no for place in group]}):
        by_place[row[0]].append(tuple(row[1:]))
    for place in group:
        head = (job_id, place.account, place.location)
        for columns in by_place[place.no]:
            yield ReviewRow._make(head + columns)


def _of_one(transaction: Transaction, job_id: str, place: _Place, after: str | None, rows: int) -> Iterator[ReviewRow]:
    head = (job_id, place.account, place.location)
    while True:
        values = {"number": place.no, "rows": rows} | ({} if after is None else {"after": after})
        statement = _from_first if after is None else _from_behind
        found = transaction.connection.execute(statement, values).all()
        for columns in found:
            yield ReviewRow._make(head + tuple(columns))
        if len(found) < rows:
            return
        after = found[-1].review_id
