"""Reviews as they are handed out: pages of rows, each a short read whose cost is its own size.

`reviews` knows no job, only the location's number: a page goes through the job's locations by name and, within each,
through the unique key (location_no, review_id), so no page sorts or skips what others have read.

With a filter a page may have to look at many reviews to find few. It looks at so many and then says where it stands,
so that no read is long, however rare what is sought.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Row, bindparam, or_, select

from app.models.review_filter import EVERYTHING, ReviewFilter
from app.store.database import Transaction
from app.store.schema import locations, reviews

PAGE_BYTES = 8 * 1024 * 1024
"""A page ends early behind so many bytes of Google's objects: a review may have 900 kB, a page 1,000 reviews."""

ROWS_A_QUERY = 250
"""What a page of the largest reviews holds in vain in memory, when it ends early, is at most so many."""

LOCATIONS_A_LOOK = 500
"""Locations looked up at once; small ones share one query for their reviews."""

MOST_LOOKED_AT = 10_000
"""Reviews that a page with a filter looks at before it ends, found or not: about a tenth of a second."""


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


class Position(NamedTuple):
    """Behind this review of this location; None: behind all of the location."""

    location: str
    review_id: str | None


class ReviewPage(NamedTuple):
    """Reviews, and where the page ended; None: there are no more."""

    reviews: list[ReviewRow]
    last: Position | None


class _Place(NamedTuple):
    no: int
    account: str
    location: str
    fetched: int


class _Look(NamedTuple):
    """What one query brought, how many reviews it went over at most, and where it ended."""

    rows: list[ReviewRow]
    looked_at: int
    end: Position


REVIEW_COLUMNS = tuple(
    reviews.c[name] for name in "review_id name rating comment reviewer create_time update_time reply raw".split()
)
"""The last columns of a `ReviewRow`, in its order."""


def read_reviews(
    transaction: Transaction, job_id: str, limit: int, after: Position | None, wanted: ReviewFilter = EVERYTHING
) -> ReviewPage:
    """At most `limit` wanted reviews of a job behind `after`, by location and review id.

    With a filter there may be fewer, or none, although there are more. Whether the tenant has the job is the caller's
    to check. What is inserted before `after` meanwhile is not seen.
    """
    rows: list[ReviewRow] = []
    size = looked_at = 0
    reader = _Reader(transaction, job_id, wanted, _rows_a_query(limit, wanted))
    for look in reader.looks(after):
        for row in look.rows:
            if len(rows) == limit or size >= PAGE_BYTES:
                return ReviewPage(rows, Position(rows[-1].location, rows[-1].review_id))
            rows.append(row)
            size += len(row.raw)
        looked_at += look.looked_at
        if looked_at >= MOST_LOOKED_AT and not wanted.is_everything:
            return ReviewPage(rows, look.end)
    return ReviewPage(rows, None)


def _rows_a_query(limit: int, wanted: ReviewFilter) -> int:
    """One more than the page may have tells whether there are more."""
    return min(limit + 1, ROWS_A_QUERY) if wanted.is_everything else ROWS_A_QUERY


_Piece = tuple[Sequence[Row[Any]], str | None]
"""Rows of one location, and the last review that was looked at for them; None: the location ends there."""

_is_behind = (reviews.c.location_no == bindparam("number"), reviews.c.review_id > bindparam("after"))

_behind = select(*REVIEW_COLUMNS).where(*_is_behind).order_by(reviews.c.review_id)

_first_behind = _behind.limit(bindparam("rows"))

_end_of_piece = (
    select(reviews.c.review_id).where(*_is_behind).order_by(reviews.c.review_id).limit(1).offset(bindparam("before"))
)

_of_many = (
    select(reviews.c.location_no, *REVIEW_COLUMNS)
    .where(reviews.c.location_no.in_(bindparam("numbers", expanding=True)))
    .order_by(reviews.c.location_no, reviews.c.review_id)
)


class _Reader:
    """One way through the reviews of a job, about `rows` a query. Nothing is asked for before it is wanted."""

    def __init__(self, transaction: Transaction, job_id: str, wanted: ReviewFilter, rows: int) -> None:
        self._connection = transaction.connection
        self._job_id = job_id
        self._wanted = wanted
        self._conditions = _conditions(wanted)
        self._rows = rows

    def looks(self, after: Position | None) -> Iterator[_Look]:
        """The rest of the location that `after` stands in, then the locations behind it."""
        behind = ""
        if after is not None:
            behind = after.location
            if after.review_id is not None:
                for place in self._places(locations.c.location == behind, 1):
                    yield from self._of_one(place, after.review_id)
        while places := self._places(locations.c.location > behind, LOCATIONS_A_LOOK):
            for group in _groups(places, self._rows):
                if len(group) == 1:
                    yield from self._of_one(group[0], "")
                else:
                    yield self._of_several(group)
            behind = places[-1].location

    def _places(self, which: ColumnElement[bool], limit: int) -> list[_Place]:
        """Locations that have rows, by name. `fetched` is written with the rows, so it is their number."""
        conditions = [locations.c.job_id == self._job_id, which, locations.c.fetched > 0]
        if self._wanted.location is not None:
            conditions.append(locations.c.location == self._wanted.location)
        statement = (
            select(locations.c.no, locations.c.account, locations.c.location, locations.c.fetched)
            .where(*conditions)
            .order_by(locations.c.location)
            .limit(limit)
        )
        return [_Place._make(row) for row in self._connection.execute(statement)]

    def _of_several(self, group: Sequence[_Place]) -> _Look:
        """All of some small locations."""
        by_place: dict[int, list[Sequence[Any]]] = defaultdict(list)
        statement = _of_many.where(*self._conditions)
        for row in self._connection.execute(statement, {"numbers": [place.no for place in group]}):
            by_place[row[0]].append(row[1:])
        rows = [row for place in group for row in self._wanted_of(place, by_place[place.no])]
        return _Look(rows, sum(place.fetched for place in group), Position(group[-1].location, None))

    def _of_one(self, place: _Place, after: str) -> Iterator[_Look]:
        """A location piece by piece. No review's id is empty, so all are behind the empty one."""
        piece = self._wanted_piece if self._conditions else self._whole_piece
        while True:
            found, end = piece({"number": place.no, "after": after, "rows": self._rows})
            looked_at = min(self._rows, place.fetched)
            yield _Look(list(self._wanted_of(place, found)), looked_at, Position(place.location, end))
            if end is None:
                return
            after = end

    def _whole_piece(self, values: dict[str, Any]) -> _Piece:
        found = self._connection.execute(_first_behind, values).all()
        return found, found[-1].review_id if len(found) == self._rows else None

    def _wanted_piece(self, values: dict[str, Any]) -> _Piece:
        """Where the piece ends is counted in the index alone, without a look at the rows."""
        end: str | None = self._connection.execute(_end_of_piece, values | {"before": self._rows - 1}).scalar()
        upto = [] if end is None else [reviews.c.review_id <= end]
        return self._connection.execute(_behind.where(*upto, *self._conditions), values).all(), end

    def _wanted_of(self, place: _Place, found: Sequence[Sequence[Any]]) -> Iterator[ReviewRow]:
        """What databases would compare each in its own way is compared here."""
        head = (self._job_id, place.account, place.location)
        rows = (ReviewRow._make((*head, *columns)) for columns in found)
        if not self._wanted.reads_text:
            return rows
        return (row for row in rows if self._wanted.fits(row.comment, row.update_time, row.reply))


def _conditions(wanted: ReviewFilter) -> list[ColumnElement[bool]]:
    """What every database decides alike."""
    conditions: list[ColumnElement[bool]] = []
    if wanted.rating:
        stars = [int(one) for one in sorted(wanted.rating - {"none"})]
        rated = reviews.c.rating.in_(stars)
        conditions.append(or_(rated, reviews.c.rating.is_(None)) if "none" in wanted.rating else rated)
    if wanted.has_reply is not None:
        conditions.append(reviews.c.reply.is_not(None) if wanted.has_reply else reviews.c.reply.is_(None))
    return conditions


def _groups(places: Sequence[_Place], rows: int) -> Iterator[Sequence[_Place]]:
    """Neighbours that have at most `rows` rows together; one that has more stands alone."""
    start = together = 0
    for index, place in enumerate(places):
        if index > start and together + place.fetched > rows:
            yield places[start:index]
            start, together = index, 0
        together += place.fetched
    yield places[start:]
