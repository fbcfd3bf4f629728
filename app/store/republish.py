"""Everything announced anew: outbox rows made from the stored reviews, for a topic that has lost them.

In blocks, each a short transaction, while settles go on. What is broken off has at most announced some reviews twice,
and is begun anew.
"""

from typing import NamedTuple

from sqlalchemy import delete, func, insert, literal, select

from app.models.audit import ALL_TENANTS, SYSTEM, Action, AuditEntry, Origin
from app.store.audit import audited
from app.store.database import Database, Transaction
from app.store.outbox import Lag, lag, lock_head, read_head, unstamp
from app.store.owners import HIDDEN, hidden_jobs
from app.store.published import accept_any_topic
from app.store.schema import PAGE_OF_REVIEWS, jobs, kind_is, locations, outbox, reviews

TOPIC = "reviews-raw"
"""As people know it, whatever prefix it has."""

NUMBERS_A_BLOCK = 10_000
NUMBERS_A_ROW = 500
"""An outbox row is published as a whole: it spans no more of `reviews` than that."""

ROWS_A_DELETE = 5_000


class PublishedSoFar(NamedTuple):
    """What the store knows: positions stamped and published, what waits, and how many reviews there are."""

    position: int
    published: int
    waiting: Lag
    reviews: int


class Extent(NamedTuple):
    """The reviews up to `last_seq` were all visible, and the outbox rows that named them are up to `last_row`."""

    last_seq: int
    last_row: int


async def go_on_from_here(store: Database, by: Origin = SYSTEM) -> None:
    """Accept the topic as it is: what was not sent yet goes to it."""
    entry = AuditEntry(ALL_TENANTS, Action.REPUBLISH, TOPIC, by, {"everything": False})
    await store.write(audited(accept_any_topic, entry))


async def announce_everything(store: Database, by: Origin = SYSTEM) -> None:
    """Announce every stored review, once, and accept the topic as it is. Who wants that is written down first."""
    entry = AuditEntry(ALL_TENANTS, Action.REPUBLISH, TOPIC, by, {"everything": True})
    extent = await store.write(audited(measure_extent, entry))
    after = 0
    while after < extent.last_seq:
        after = await store.write(announce_block, extent, after)
    while await store.write(drop_old_rows, extent):
        pass
    await store.write(accept_everything_anew)


def accept_everything_anew(transaction: Transaction) -> None:
    """Dead letters and tombstones that wait get new positions, as the reviews have: another store that published to the
    topic meanwhile may have used theirs, and Kafka's position is past them.
    """
    unstamp(transaction, lock_head(transaction).published)
    accept_any_topic(transaction)


def published_so_far(transaction: Transaction) -> PublishedSoFar:
    """For people, before they decide."""
    head = read_head(transaction)
    stored = transaction.connection.execute(select(func.coalesce(func.sum(jobs.c.reviews_fetched), 0))).scalar_one()
    return PublishedSoFar(head.position, head.published, lag(transaction), int(stored))


def measure_extent(transaction: Transaction) -> Extent:
    """Waits for the settles that are inserting reviews, and keeps others from it for this moment."""
    connection = transaction.connection
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("LOCK TABLE reviews IN SHARE MODE")
    last_seq = connection.execute(select(func.max(reviews.c.seq))).scalar()
    last_row = connection.execute(select(func.max(outbox.c.id))).scalar()
    return Extent(last_seq or 0, last_row or 0)


def announce_block(transaction: Transaction, extent: Extent, after: int) -> int:
    """Announce the block of reviews behind a number; the last number it looked at.

    Not those of a job that is being swept: these leave with what was announced of them before its fence.
    """
    upto = min(after + NUMBERS_A_BLOCK, extent.last_seq)
    first, last = func.min(reviews.c.seq), func.max(reviews.c.seq)
    rows = (
        select(
            reviews.c.tenant,
            locations.c.job_id,
            reviews.c.location_no,
            first,
            last,
            literal(transaction.now),
            func.count(),
            func.sum(func.length(reviews.c.raw)),
        )
        .join_from(reviews, locations, locations.c.no == reviews.c.location_no)
        .join(jobs, jobs.c.id == locations.c.job_id)
        .where(reviews.c.seq > after, reviews.c.seq <= upto, jobs.c.tenant.not_in(HIDDEN))
        .group_by(reviews.c.tenant, locations.c.job_id, reviews.c.location_no, reviews.c.seq // NUMBERS_A_ROW)
        .order_by(first)
    )
    columns = "tenant job_id location_no first_seq last_seq created_at review_count review_bytes".split()
    transaction.connection.execute(insert(outbox).from_select(columns, rows))
    return upto


def drop_old_rows(transaction: Transaction, extent: Extent) -> bool:
    """Clear away some of the outbox rows that are announced anew; whether there may be more."""
    old = outbox.c.id <= extent.last_row, kind_is(PAGE_OF_REVIEWS), outbox.c.job_id.not_in(hidden_jobs)
    which = select(outbox.c.id).where(*old).order_by(outbox.c.id).limit(ROWS_A_DELETE)
    return transaction.connection.execute(delete(outbox).where(outbox.c.id.in_(which))).rowcount == ROWS_A_DELETE
