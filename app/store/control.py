"""What people do to a job. `app/models/transitions.py` says what is possible in which state.

Each function locks the job's row and touches only that and the token: O(1), however many tasks the job has.
"""

from sqlalchemy import RowMapping, select, update

from app.models.errors import JobNotFoundError
from app.models.job import JobStatus
from app.models.transitions import JobAction, require
from app.models.views import JobView
from app.store.database import Transaction
from app.store.ends import end_job, wipe_token
from app.store.loads import clock_anew
from app.store.reads import read_job, require_storable
from app.store.schema import credentials, jobs


def cancel(transaction: Transaction, tenant: str, job_id: str) -> JobView:
    """End the job. Its tasks are swept later; until then claim and settle refuse them by the job's state."""
    _lock(transaction, tenant, job_id, JobAction.CANCEL)
    end_job(transaction, job_id, JobStatus.CANCELLED, None)
    wipe_token(transaction, job_id)
    return read_job(transaction, tenant, job_id)


def pause(transaction: Transaction, tenant: str, job_id: str) -> JobView:
    _lock(transaction, tenant, job_id, JobAction.PAUSE)
    _change(transaction, job_id, status=JobStatus.PAUSED.value)
    return read_job(transaction, tenant, job_id)


def resume(transaction: Transaction, tenant: str, job_id: str) -> JobView:
    """To `processing`, or to `pending` when nothing was called yet."""
    job = _lock(transaction, tenant, job_id, JobAction.RESUME)
    status = JobStatus.PROCESSING if job["calls"] else JobStatus.PENDING
    _change(transaction, job_id, status=status.value, **clock_anew(transaction))
    return read_job(transaction, tenant, job_id)


def replace_token(
    transaction: Transaction,
    tenant: str,
    job_id: str,
    key_id: str,
    sealed: bytes,
    *,
    token_wait: float,
    sealed_grant: bytes | None = None,
) -> JobView:
    """Work in flight keeps its old token; a refusal of that one no longer counts, since the version is another.

    Whose quota the new one spends is asked anew: it may come from another Google project. A grant (and with it a
    token that may be empty: it is asked for) replaces the one that the job had; without one that stays.
    """
    job = _lock(transaction, tenant, job_id, JobAction.REPLACE_TOKEN)
    status = JobStatus(job["status"])
    version = job["credential_version"] + 1
    row = {
        "version": version,
        "key_id": key_id,
        "sealed": sealed,
        "created_at": transaction.now,
        "wipe_after": transaction.now + token_wait if status is JobStatus.DLQ else None,
        "refreshing_until": None,
        "refreshed_at": None,
        **({} if sealed_grant is None else {"sealed_grant": sealed_grant}),
    }
    insert = transaction.insert_or_keep(credentials).values(job_id=job_id, tenant=tenant, **row)
    transaction.connection.execute(insert.on_conflict_do_update(index_elements=[credentials.c.job_id], set_=row))
    after = JobStatus.PROCESSING if status is JobStatus.NEEDS_TOKEN else status
    unknown = {"google_project": None, "token_expires_at": None, "token_refreshable": _has_grant(transaction, job_id)}
    clocked = clock_anew(transaction) if after is not status else {}
    _change(transaction, job_id, status=after.value, credential_version=version, **unknown, **_NO_ERROR, **clocked)
    return read_job(transaction, tenant, job_id)


def _has_grant(transaction: Transaction, job_id: str) -> bool:
    found = select(credentials.c.sealed_grant.is_not(None)).where(credentials.c.job_id == job_id)
    return bool(transaction.connection.execute(found).scalar_one())


_NO_ERROR: dict[str, object] = {"error_type": None, "error_detail": None, "error_status": None}


def _lock(transaction: Transaction, tenant: str, job_id: str, action: JobAction) -> RowMapping:
    """The job's row, held until the commit. Raises JobNotFoundError, IllegalTransitionError."""
    require_storable(job_id)
    statement = select(jobs).where(jobs.c.id == job_id, jobs.c.tenant == tenant).with_for_update()
    row = transaction.connection.execute(statement).mappings().one_or_none()
    if row is None:
        raise JobNotFoundError
    require(JobStatus(row["status"]), action)
    return row


def _change(transaction: Transaction, job_id: str, **values: object) -> None:
    transaction.connection.execute(update(jobs).where(jobs.c.id == job_id).values(updated_at=transaction.now, **values))
