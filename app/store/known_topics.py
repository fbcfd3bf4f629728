"""Which topics the work was sent to: what went to others, that are gone, is released again."""

from sqlalchemy import select, update

from app.store.database import Transaction
from app.store.schema import known_topics
from app.store.tasks import reclaim_released

WORK = "work"


def release_anew_if_other(transaction: Transaction, identity: str) -> int | None:
    """Remember the topics by their `identity`; when others were known before, everything released waits again.

    Returns how many tasks that were, perhaps none; None: the topics are the same.
    """
    transaction.insert_ignore(known_topics, [{"topic": WORK, "identity": identity}])
    mine = known_topics.c.topic == WORK
    known = transaction.connection.execute(select(known_topics.c.identity).where(mine).with_for_update()).scalar_one()
    if known == identity:
        return None
    transaction.connection.execute(update(known_topics).where(mine).values(identity=identity))
    return reclaim_released(transaction)
