"""What was done by the minute: added to now and then, shown in charts, kept for a day."""

from collections.abc import Iterable
from typing import NamedTuple

from sqlalchemy import delete, select, tuple_

from app.store.database import Transaction
from app.store.schema import activity

MINUTE = 60.0
KEPT_MINUTES = 24 * 60


class Activity(NamedTuple):
    """What was done for a tenant in a minute (since 1970): reviews stored, calls made, calls that Google throttled."""

    tenant: str
    minute: int
    reviews: int = 0
    calls: int = 0
    throttled: int = 0


_COUNTED = ("reviews", "calls", "throttled")


def add_activity(transaction: Transaction, done: Iterable[Activity]) -> None:
    """Add to what replicas have counted, each minute of a tenant once. In key order: replicas add side by side."""
    rows = [item._asdict() for item in sorted(done)]
    insert = transaction.insert_or_keep(activity)
    added = {name: activity.c[name] + insert.excluded[name] for name in _COUNTED}
    statement = insert.on_conflict_do_update(index_elements=[activity.c.tenant, activity.c.minute], set_=added)
    transaction.connection.execute(statement, rows)


def read_activity(transaction: Transaction, tenant: str, first: int, last: int) -> dict[int, Activity]:
    """Minute → what was done in it, from `first` to `last`; minutes in which nothing was done are missing."""
    statement = select(activity).where(activity.c.tenant == tenant, activity.c.minute.between(first, last))
    rows = transaction.connection.execute(statement).mappings()
    return {row["minute"]: Activity(**row) for row in rows}


def purge_activity(transaction: Transaction, limit: int) -> int:
    """Forget minutes that are older than a day, at most so many; how many these were."""
    old = activity.c.minute < int(transaction.now // MINUTE) - KEPT_MINUTES
    key = (activity.c.tenant, activity.c.minute)
    which = select(*key).where(old).order_by(activity.c.minute).limit(limit)
    return transaction.connection.execute(delete(activity).where(tuple_(*key).in_(which))).rowcount
