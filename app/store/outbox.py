"""What the publisher asks of the store: positions for committed outbox rows, the next of them, how far it has come.

Positions are stamped under the lock of one head row, so they follow the order in which rows became visible; ids do not.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Select, bindparam, func, literal_column, null, select, union_all, update

from app.models.events import Topic
from app.store.database import HotStatement, StoreUnavailableError, Transaction
from app.store.schema import (
    DEAD_LETTER,
    PAGE_OF_REVIEWS,
    TOMBSTONE,
    dead_letters,
    jobs,
    kind_is,
    locations,
    outbox,
    publisher_head,
    reviews,
    tombstones,
)

HEAD = Topic.REVIEWS_RAW.value
"""The key of the one head row: positions number the whole outbox, whatever the topic is called on its cluster."""

ROWS_A_READ = 1_000
"""Outbox rows looked at for one batch. One is a page of Google's, of 50 reviews."""


COUNTED_ROWS = 20_000
"""Of the rows that wait, no more are counted: a million reviews of Google's pages, in some milliseconds."""


class Head(NamedTuple):
    """`position`: the last one stamped. `published`: the last one known to be in the topic of these ids.

    No ids: nothing was published yet. Empty ids (`ANY_TOPIC`): whatever topic there is, is accepted.
    """

    position: int
    published: int
    cluster_id: str | None
    topic_id: str | None


class Page(NamedTuple):
    """One outbox row of reviews; `created_at` in seconds since 1970, `traceparent` the span that its job belongs to."""

    position: int
    tenant: str
    job_id: str
    account: str
    location: str
    created_at: float
    traceparent: str | None = None


class Letter(NamedTuple):
    """One outbox row of a dead letter."""

    position: int
    tenant: str
    job_id: str
    id: int
    stage: str
    resource: str
    cause: str
    detail: str
    attempts: int
    cursor: str | None
    created_at: float
    traceparent: str | None = None


class Tombstone(NamedTuple):
    """A review that was erased, `created_at` seconds since 1970."""

    position: int
    tenant: str
    location: str
    review_id: str
    created_at: float


class Batch(NamedTuple):
    """The outbox rows up to `position`, and whether more are stamped already. Each list is in the order of positions.

    A row of `reviews`: its page's position, then the fields of `Review` but for the name.
    """

    position: int
    pages: dict[int, Page]
    reviews: Sequence[Sequence[Any]]
    letters: list[Letter]
    more: bool
    tombstones: Sequence[Tombstone] = ()


class Stamped(NamedTuple):
    """How many rows got a position now, and the last position of all: another may have stamped before us."""

    number: int
    last: int


class Lag(NamedTuple):
    """Reviews that are not in the topic yet, and for how many seconds the first of them has been stored."""

    reviews: int
    seconds: float


_head = select(
    publisher_head.c.position, publisher_head.c.published, publisher_head.c.cluster_id, publisher_head.c.topic_id
).where(publisher_head.c.topic == HEAD)
_locked_head = HotStatement(_head.with_for_update())


def read_head(transaction: Transaction) -> Head:
    """How far stamping and publishing have come."""
    row = transaction.connection.execute(_head).one_or_none()
    return Head(0, 0, None, None) if row is None else Head(*row)


def lock_head(transaction: Transaction) -> Head:
    """The same, and nobody else stamps until this transaction ends."""
    row = _locked_head.execute(transaction, {}).one_or_none()
    if row is None:
        transaction.insert_ignore(publisher_head, [{"topic": HEAD}])
        row = _locked_head.execute(transaction, {}).one()
    return Head(*row)


def _unstamped(rank: int, *kind: ColumnElement[bool]) -> Select[tuple[int, int]]:
    which = select(outbox.c.id).where(outbox.c.position.is_(None), *kind)
    first = which.order_by(outbox.c.id).limit(bindparam("most")).subquery()
    return select(first.c.id, literal_column(str(rank)).label("rank"))


# Rows of all kinds are read from an index alone, so a tombstone may be found twice.
_found = union_all(_unstamped(0, kind_is(TOMBSTONE)), _unstamped(1)).subquery()
_ranked = select(_found.c.id, func.min(_found.c.rank).label("rank")).group_by(_found.c.id).subquery()
_fresh = select(_ranked).order_by(_ranked.c.rank, _ranked.c.id).limit(bindparam("most")).subquery()
_placed = select(_fresh.c.id, func.row_number().over(order_by=(_fresh.c.rank, _fresh.c.id)).label("place")).subquery()
_stamp = HotStatement(
    update(outbox).where(outbox.c.id == _placed.c.id).values(position=_placed.c.place + bindparam("last"))
)
_move_head = HotStatement(
    update(publisher_head).where(publisher_head.c.topic == HEAD).values(position=bindparam("newest"))
)


class StoreWentBackError(StoreUnavailableError):
    """The store has forgotten positions that it had given out: a standby that lacked the last commits took the place of
    its primary, or a backup that of the store."""


def stamp(transaction: Transaction, most: int, known: int = 0) -> Stamped:
    """Number committed rows that have no position yet, at most so many: tombstones first, the others by their ids.

    Of what a tombstone is about, nothing is left that could be sent behind it. Another job may have stored the same
    review since, in a page with a smaller id: that is to be sent behind it (`bury_reviews`).

    `known`: the last position that the caller has seen. StoreWentBackError when the store gave out less: the same
    numbers would be given to other rows, which a reader that is past them would never see.
    """
    last = lock_head(transaction).position
    if last < known:
        raise StoreWentBackError(f"the store gave out position {known} and knows of {last} only: it went back")
    stamped = _stamp.execute(transaction, {"most": most, "last": last}).rowcount
    if stamped:
        _move_head.execute(transaction, {"newest": last + stamped})
    return Stamped(stamped, last + stamped)


_next_rows = HotStatement(
    select(
        outbox.c.position,
        outbox.c.tenant,
        outbox.c.job_id,
        locations.c.account,
        locations.c.location,
        outbox.c.created_at,
        jobs.c.traceparent,
        outbox.c.kind,
        outbox.c.review_count,
        outbox.c.review_bytes,
    )
    .join_from(outbox, locations, locations.c.no == outbox.c.location_no, isouter=True)
    .outerjoin(jobs, jobs.c.id == outbox.c.job_id)
    .where(outbox.c.position > bindparam("after"))
    .order_by(outbox.c.position)
    .limit(ROWS_A_READ)
)

_within = outbox.c.position > bindparam("after"), outbox.c.position <= bindparam("upto")

# By their numbers, which are nearly a page's own. A planner does not know how few lie between two others, and would go
# by the location where it could: through all of its reviews for each of its pages. So this is no equality, and of no
# column as it is in an index.
_location_of_review = reviews.c.location_no + literal_column("0")

_their_reviews = HotStatement(
    select(
        outbox.c.position,
        *(reviews.c[name] for name in "review_id rating comment reviewer create_time update_time reply raw".split()),
    )
    .join_from(
        outbox,
        reviews,
        (reviews.c.seq >= outbox.c.first_seq)
        & (reviews.c.seq <= outbox.c.last_seq)
        & (_location_of_review >= outbox.c.location_no)
        & (_location_of_review <= outbox.c.location_no),
    )
    .where(*_within, kind_is(PAGE_OF_REVIEWS))
    .order_by(outbox.c.position, reviews.c.seq)
)

_their_letters = HotStatement(
    select(
        outbox.c.position,
        dead_letters.c.tenant,
        dead_letters.c.job_id,
        dead_letters.c.id,
        dead_letters.c.stage,
        dead_letters.c.resource,
        dead_letters.c.cause,
        dead_letters.c.detail,
        dead_letters.c.attempts,
        dead_letters.c.cursor,
        dead_letters.c.created_at,
        jobs.c.traceparent,
    )
    .join_from(outbox, dead_letters, dead_letters.c.id == outbox.c.first_seq)
    .outerjoin(jobs, jobs.c.id == outbox.c.job_id)
    .where(*_within, outbox.c.kind == DEAD_LETTER)
    .order_by(outbox.c.position)
)

_their_tombstones = HotStatement(
    select(
        outbox.c.position,
        tombstones.c.tenant,
        tombstones.c.location,
        tombstones.c.review_id,
        tombstones.c.created_at,
    )
    .join_from(outbox, tombstones, (tombstones.c.id >= outbox.c.first_seq) & (tombstones.c.id <= outbox.c.last_seq))
    .where(*_within, kind_is(TOMBSTONE))
    .order_by(outbox.c.position, tombstones.c.id)
)


def read_batch(transaction: Transaction, after: int, most_reviews: int, most_bytes: int) -> Batch | None:
    """The outbox rows that follow a position, at least one: as many as hold so much. None when there are none."""
    rows = _next_rows.execute(transaction, {"after": after}).all()
    count = size = 0
    pages: dict[int, Page] = {}
    upto = 0
    kinds = Counter[str]()
    for row in rows:
        count += row.review_count
        size += row.review_bytes
        if upto and (count > most_reviews or size > most_bytes):
            break
        upto = row.position
        kinds[row.kind] += 1
        if row.kind == PAGE_OF_REVIEWS:
            pages[upto] = Page(*row[:7])
    if not upto:
        return None
    span = {"after": after, "upto": upto}
    found = _their_reviews.fetch(transaction, span) if pages else []
    buried = _their_letters.execute(transaction, span).all() if kinds[DEAD_LETTER] else []
    erased = _their_tombstones.execute(transaction, span).all() if kinds[TOMBSTONE] else []
    more = len(rows) == ROWS_A_READ or upto < rows[-1].position
    return Batch(upto, pages, found, [Letter(*row) for row in buried], more, [Tombstone(*row) for row in erased])


def set_head(transaction: Transaction, head: Head) -> None:
    """Under the lock of `lock_head`."""
    transaction.connection.execute(
        update(publisher_head)
        .where(publisher_head.c.topic == HEAD)
        .values(**head._asdict(), updated_at=transaction.now)
    )


def unstamp(transaction: Transaction, after: int) -> None:
    """The rows behind a position are to be given new ones. Under the lock of `lock_head`."""
    transaction.connection.execute(update(outbox).where(outbox.c.position > after).values(position=null()))


_published = select(publisher_head.c.published).where(publisher_head.c.topic == HEAD).scalar_subquery()
_waiting = (
    (outbox.c.position > func.coalesce(_published, 0), outbox.c.position),
    (outbox.c.position.is_(None), outbox.c.id),
)
_left = union_all(
    *(
        select(outbox.c.review_count, outbox.c.created_at, outbox.c.tenant)
        .where(which)
        .order_by(order)
        .limit(COUNTED_ROWS)
        .subquery()
        .select()
        for which, order in _waiting
    )
).subquery()
_behind = select(func.coalesce(func.sum(_left.c.review_count), 0), func.min(_left.c.created_at))
_lag = HotStatement(_behind)
_lag_of = HotStatement(_behind.where(_left.c.tenant == bindparam("tenant")))


def lag(transaction: Transaction) -> Lag:
    """What is still to be published, by the head's copy: at most a second's worth of it may be in the topic already.

    One statement: between two, rows that were not stamped yet would become rows that are.
    """
    return _told(transaction, _lag.execute(transaction, {}).one())


def lag_of(transaction: Transaction, tenant: str) -> Lag:
    """The tenant's part of it."""
    return _told(transaction, _lag_of.execute(transaction, {"tenant": tenant}).one())


def _told(transaction: Transaction, behind: Sequence[Any]) -> Lag:
    reviews_left, oldest = behind
    return Lag(int(reviews_left), 0.0 if oldest is None else max(0.0, transaction.now - oldest))
