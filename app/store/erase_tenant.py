"""Everything of a tenant erased: its jobs are ended and hidden, and what belongs to no job goes at last."""

from sqlalchemy import Table, delete, exists, select, tuple_

from app.models.job import OPEN, JobStatus
from app.store.database import Transaction
from app.store.ends import end_job, wipe_token
from app.store.erasures import add_to_order
from app.store.owners import ERASED
from app.store.retention import hide_job
from app.store.schema import activity, api_keys, idempotency_keys, jobs, submit_rates, tenants

JOBS_A_STEP = 50

_OF_NO_JOB: tuple[Table, ...] = (idempotency_keys, activity, api_keys, submit_rates, tenants)


def erase_tenant_step(transaction: Transaction, order: int, tenant: str, limit: int) -> bool:
    """Hide some of the tenant's jobs, or delete some of its other rows. False: nothing is left of it.

    Its jobs are swept before more of them are hidden.
    """
    if _any_hidden(transaction):
        return True
    hidden = _hide_some(transaction, tenant)
    if hidden:
        add_to_order(transaction, order, found_jobs=hidden)
        return True
    return any(_delete_some(transaction, table, tenant, limit) for table in _OF_NO_JOB)


def _any_hidden(transaction: Transaction) -> bool:
    return bool(transaction.connection.execute(select(exists().where(jobs.c.tenant == ERASED))).scalar())


def _hide_some(transaction: Transaction, tenant: str) -> int:
    some = select(jobs.c.id, jobs.c.status).where(jobs.c.tenant == tenant).order_by(jobs.c.created_at, jobs.c.id)
    rows = transaction.connection.execute(some.limit(JOBS_A_STEP).with_for_update()).all()
    for row in rows:
        if JobStatus(row.status) in OPEN:
            end_job(transaction, row.id, JobStatus.CANCELLED, None)
            wipe_token(transaction, row.id)
        hide_job(transaction, tenant, row.id, ERASED, fence=False)
    return len(rows)


def _delete_some(transaction: Transaction, table: Table, tenant: str, limit: int) -> bool:
    """Whether there were any."""
    key = tuple_(*table.primary_key.columns)
    which = select(*table.primary_key.columns).where(table.c.tenant == tenant).limit(limit)
    return transaction.connection.execute(delete(table).where(key.in_(which))).rowcount > 0
