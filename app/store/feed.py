"""The reviews of all jobs in the order of `seq`, for readers that come back for what is new.

Which rows are final says `finality`: a settle updates its task before it inserts reviews, so it has written something
before it draws their numbers.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from msgspec.structs import replace
from sqlalchemy import Row, select

from app.store.cursors import FeedCursor
from app.store.database import Transaction
from app.store.finality import Final, look
from app.store.owners import hidden_jobs
from app.store.review_pages import PAGE_BYTES, REVIEW_COLUMNS, ROWS_A_QUERY, ReviewRow
from app.store.schema import locations, reviews

NUMBERS_A_LOOK = 20_000
"""The rows of other tenants in between are skipped by reading them; so many are a short read."""


class FeedRows(NamedTuple):
    """Reviews, where to go on, and whether there is more at once."""

    reviews: list[ReviewRow]
    last: FeedCursor
    more: bool


def read_feed(transaction: Transaction, tenant: str, position: FeedCursor, limit: int) -> FeedRows:
    """At most `limit` reviews of the tenant behind the position. May be fewer, or none, although there is more."""
    limit = min(limit, ROWS_A_QUERY)
    bounds = _bounds(transaction, position)
    upto = min(bounds.settled, position.after + NUMBERS_A_LOOK)
    rows: list[ReviewRow] = []
    last, size = upto, 0
    for row in _between(transaction, tenant, position.after, upto, limit):
        rows.append(ReviewRow._make(row[1:]))
        size += len(rows[-1].raw)
        if len(rows) == limit or size >= PAGE_BYTES:
            last = row[0]
            break
    last = max(last, position.after)
    return FeedRows(rows, replace(bounds, after=last), last < bounds.settled)


def _between(transaction: Transaction, tenant: str, after: int, upto: int, limit: int) -> Sequence[Row[Any]]:
    statement = (
        select(reviews.c.seq, locations.c.job_id, locations.c.account, locations.c.location, *REVIEW_COLUMNS)
        .join(locations, locations.c.no == reviews.c.location_no)
        .where(reviews.c.seq > after, reviews.c.seq <= upto, reviews.c.tenant == tenant)
        .where(locations.c.job_id.not_in(hidden_jobs))
        .order_by(reviews.c.seq)
        .limit(limit)
    )
    return transaction.connection.execute(statement).all()


def _bounds(transaction: Transaction, position: FeedCursor) -> FeedCursor:
    """The position with what is final by now, and what will be."""
    final = look(transaction, reviews.c.seq, Final(position.settled, position.drawn, position.horizon))
    return FeedCursor(position.after, *final)
