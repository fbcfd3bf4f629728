"""What is shown of jobs: short reads, page by page, always behind a keyset cursor.

Every query names the tenant; another tenant's job is as unknown as none. Locations are read in `location_reads`,
reviews in `review_pages` and `feed`, dead letters in `letters`.
"""

from collections.abc import Collection

from sqlalchemy import ColumnElement, bindparam, select, tuple_

from app.models.errors import JobNotFoundError
from app.models.job import JobStatus
from app.models.views import JobList, JobView
from app.store.cursors import JobsCursor, decode_of_tenant, encode_of_tenant
from app.store.database import Transaction
from app.store.job_view import job_view
from app.store.schema import jobs
from app.store.texts import is_storable

_one_job = select(jobs).where(jobs.c.id == bindparam("job"), jobs.c.tenant == bindparam("tenant"))


def read_job(transaction: Transaction, tenant: str, job_id: str) -> JobView:
    """The job as it stands. Raises JobNotFoundError."""
    require_storable(job_id)
    row = transaction.connection.execute(_one_job, {"job": job_id, "tenant": tenant}).mappings().one_or_none()
    if row is None:
        raise JobNotFoundError
    return job_view(row, transaction.now)


_several_jobs = select(jobs).where(jobs.c.id.in_(bindparam("ids", expanding=True)))


def read_jobs(transaction: Transaction, which: Collection[tuple[str, str]]) -> dict[tuple[str, str], JobView]:
    """(tenant, job id) → the job as it stands, for those that there are."""
    wanted = set(which)
    rows = transaction.connection.execute(_several_jobs, {"ids": [job_id for _, job_id in wanted]}).mappings()
    found = {(row["tenant"], row["id"]): row for row in rows}
    return {key: job_view(row, transaction.now) for key, row in found.items() if key in wanted}


def require_job(transaction: Transaction, tenant: str, job_id: str) -> None:
    """Raises JobNotFoundError unless the tenant has this job."""
    require_storable(job_id)
    statement = select(jobs.c.id).where(jobs.c.id == job_id, jobs.c.tenant == tenant)
    if transaction.connection.execute(statement).scalar_one_or_none() is None:
        raise JobNotFoundError


def require_storable(job_id: str) -> None:
    """Raises JobNotFoundError for an id that no job can have, so that the database need not choke on it."""
    if not is_storable(job_id):
        raise JobNotFoundError


def list_jobs(
    transaction: Transaction, tenant: str, status: JobStatus | None, limit: int, cursor: str | None
) -> JobList:
    """The tenant's jobs, newest first, behind the cursor. Raises BadCursorError."""
    which: list[ColumnElement[bool]] = [jobs.c.tenant == tenant]
    if status is not None:
        which.append(jobs.c.status == status.value)
    if cursor is not None:
        behind = decode_of_tenant(cursor, JobsCursor, tenant)
        which.append(tuple_(jobs.c.created_at, jobs.c.id) < tuple_(behind.created_at, behind.job_id))
    statement = select(jobs).where(*which).order_by(jobs.c.created_at.desc(), jobs.c.id.desc()).limit(limit + 1)
    rows = transaction.connection.execute(statement).mappings().all()
    last = rows[limit - 1] if len(rows) > limit else None
    return JobList(
        jobs=[job_view(row, transaction.now) for row in rows[:limit]],
        next_cursor=encode_of_tenant(JobsCursor(last["created_at"], last["id"]), tenant) if last else None,
    )
