"""The reviews of all jobs in the order of `seq`, for readers that come back for what is new.

A row may be handed out only when no row with a smaller `seq` can still appear. SQLite has one writer: what is
committed is complete. PostgreSQL draws `seq` before the commit, and a transaction that drew a smaller one may commit
later. So a page first notes how far `seq` was drawn and then which transactions were begun by then (`horizon`): a
settle updates its task before it inserts reviews, so whoever drew a number had begun. Once all of these have ended,
everything up to the noted number is final. The cursor carries both, so each visit makes final what the last one noted;
a transaction that stays open delays the feed, and never costs a row.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from msgspec.structs import replace
from sqlalchemy import Row, func, select, text

from app.store.cursors import FeedCursor
from app.store.database import Transaction
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
        .order_by(reviews.c.seq)
        .limit(limit)
    )
    return transaction.connection.execute(statement).all()


def _bounds(transaction: Transaction, position: FeedCursor) -> FeedCursor:
    """The position with what is final by now, and what will be."""
    if transaction.connection.dialect.name != "postgresql":
        newest = transaction.connection.execute(select(func.max(reviews.c.seq))).scalar()
        return FeedCursor(position.after, newest or 0)
    drawn = transaction.connection.execute(_drawn).scalar_one()
    oldest, next_begun = transaction.connection.execute(_transactions).one()
    if oldest == next_begun:
        return FeedCursor(position.after, max(drawn, position.settled), drawn, next_begun)
    if oldest >= position.horizon:
        return FeedCursor(position.after, max(position.drawn, position.settled), drawn, next_begun)
    return position


_drawn = text("SELECT coalesce(pg_sequence_last_value(pg_get_serial_sequence('reviews', 'seq')::regclass), 0)")

_transactions = text(
    "SELECT pg_snapshot_xmin(now_open)::text::bigint, pg_snapshot_xmax(now_open)::text::bigint"
    " FROM pg_current_snapshot() AS now_open"
)
"""The oldest transaction that is still open, and the next to begin; the same when none is open."""
