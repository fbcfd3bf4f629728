"""Jobs whose time is over: hidden, then swept (`sweep`)."""

from typing import NamedTuple

from sqlalchemy import ColumnElement, select, update

from app.models.durations import DAY_SECONDS
from app.models.job import ENDED
from app.store.database import Transaction
from app.store.owners import HIDDEN, SWEPT
from app.store.schema import jobs, status_in
from app.store.tenants import tenant_settings
from app.store.tombstones import put_fence

MOST_HIDDEN = 100
"""Jobs that wait to be swept at a time: while Kafka is away no more are hidden."""


TENANTS_A_LOOK = 100
"""Most tenants have nothing to hide: looking at one costs two reads of an index."""


class Retention(NamedTuple):
    """How many jobs were hidden, and the tenant after which to look on; None: all tenants were looked at."""

    hidden: int
    after: str | None


def hide_outdated(transaction: Transaction, days: int, after: str | None, limit: int, *, publishes: bool) -> Retention:
    """Hide jobs that ended more than their tenant's days ago, at most `limit` of the next tenant that has such.

    `days`: of a tenant that has none of its own; 0 keeps everything.
    """
    for _ in range(TENANTS_A_LOOK):
        after = _tenant_after(transaction, after or "")
        if after is None:
            return Retention(0, None)
        own = tenant_settings(transaction, after).retention_days
        kept = days if own is None else own
        hidden = _hide_of(transaction, after, kept, limit, publishes=publishes) if kept else 0
        if hidden:
            return Retention(hidden, after)
    return Retention(0, after)


def _hide_of(transaction: Transaction, tenant: str, days: int, limit: int, *, publishes: bool) -> int:
    waiting = select(jobs.c.id).where(jobs.c.tenant == SWEPT).limit(MOST_HIDDEN)
    free = MOST_HIDDEN - len(transaction.connection.execute(waiting).scalars().all())
    over = (
        select(jobs.c.id)
        .where(jobs.c.tenant == tenant, jobs.c.finished_at < transaction.now - days * DAY_SECONDS)
        .order_by(jobs.c.finished_at)
        .limit(min(limit, free))
    )
    return sum(
        hide_job(transaction, tenant, job_id, SWEPT, fence=publishes)
        for job_id in transaction.connection.execute(over).scalars().all()
    )


def hide_job(transaction: Transaction, tenant: str, job_id: str, owner: str, *, fence: bool) -> bool:
    """Take a job that has ended out of its tenant's sight. False: it is not the tenant's, or has not ended (any more).

    `fence`: it is not swept before everything that it has announced is published.
    """
    which: ColumnElement[bool] = (jobs.c.id == job_id) & (jobs.c.tenant == tenant)
    changed = update(jobs).where(which, status_in(jobs.c.status, ENDED)).values(tenant=owner)
    if transaction.connection.execute(changed).rowcount == 0:
        return False
    if fence:
        put_fence(transaction, tenant, job_id)
    return True


def _tenant_after(transaction: Transaction, after: str) -> str | None:
    """By the index of jobs that have ended, one step of it."""
    statement = (
        select(jobs.c.tenant)
        .where(jobs.c.tenant > after, jobs.c.tenant.not_in(HIDDEN), jobs.c.finished_at.is_not(None))
        .order_by(jobs.c.tenant)
        .limit(1)
    )
    tenant: str | None = transaction.connection.execute(statement).scalar_one_or_none()
    return tenant
