"""What the publisher clears away: how far the topic has come, and the rows that are in it."""

from sqlalchemy import delete, select, update

from app.store.database import Transaction
from app.store.outbox import HEAD
from app.store.schema import TOMBSTONE, outbox, publisher_head
from app.store.tombstones import clear_tombstones


def note_published(transaction: Transaction, position: int, most: int) -> int:
    """Keep how far the topic has come, and clear away at most so many rows that are in it; how many these were.

    A copy of what Kafka keeps itself: it may lag, and never goes back. Tombstones go with their rows.
    """
    transaction.connection.execute(
        update(publisher_head)
        .where(publisher_head.c.topic == HEAD, publisher_head.c.published < position)
        .values(published=position, updated_at=transaction.now)
    )
    cleared = clear_tombstones(transaction, position, most)
    published = outbox.c.position <= position, outbox.c.kind != TOMBSTONE
    which = select(outbox.c.id).where(*published).order_by(outbox.c.position).limit(most - cleared)
    return cleared + transaction.connection.execute(delete(outbox).where(outbox.c.id.in_(which))).rowcount
