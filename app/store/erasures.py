"""Orders to erase: given, listed, and how far each is."""

from sqlalchemy import ColumnElement, RowMapping, delete, func, insert, select, update

from app.models.erasure import ErasureKind, ErasureList, ErasureStatus, ErasureView
from app.models.errors import ErasureNotFoundError, JobNotEndedError, JobNotFoundError
from app.models.job import ENDED, JobStatus
from app.store.cursors import ErasuresCursor, decode, encode
from app.store.database import Transaction
from app.store.job_view import moment
from app.store.owners import ERASED
from app.store.reads import require_storable
from app.store.retention import hide_job
from app.store.schema import api_keys, erasures, idempotency_keys, jobs

_NAMES_NOBODY = (ErasureKind.TENANT, ErasureKind.JOB)
"""Orders whose subject may be shown, and kept."""


def order_job(transaction: Transaction, tenant: str, job_id: str) -> ErasureView:
    """The job is gone from sight with this transaction. Raises JobNotFoundError, JobNotEndedError."""
    require_storable(job_id)
    locked = select(jobs.c.status).where(jobs.c.id == job_id, jobs.c.tenant == tenant).with_for_update()
    status = transaction.connection.execute(locked).scalar_one_or_none()
    if status is None:
        raise JobNotFoundError
    if JobStatus(status) not in ENDED:
        raise JobNotEndedError(status)
    hide_job(transaction, tenant, job_id, ERASED, fence=False)
    mine = (idempotency_keys.c.tenant == tenant, idempotency_keys.c.job_id == job_id)
    transaction.connection.execute(delete(idempotency_keys).where(*mine))
    return _order(transaction, tenant, ErasureKind.JOB, job_id, jobs_erased=1)


def order_tenant(transaction: Transaction, tenant: str) -> ErasureView:
    """Everything of the tenant. Its stored API keys go with this transaction, so that nothing new is submitted."""
    transaction.connection.execute(delete(api_keys).where(api_keys.c.tenant == tenant))
    return _order(transaction, tenant, ErasureKind.TENANT, tenant)


def order_reviewer(transaction: Transaction, tenant: str, kind: ErasureKind, subject: str) -> ErasureView:
    """The reviews of a display name, or one review by its name."""
    return _order(transaction, tenant, kind, subject)


def _order(
    transaction: Transaction, tenant: str, kind: ErasureKind, subject: str, *, jobs_erased: int = 0
) -> ErasureView:
    row = {
        "tenant": tenant,
        "kind": kind.value,
        "subject": subject,
        "status": ErasureStatus.RUNNING.value,
        "created_at": transaction.now,
        "jobs_erased": jobs_erased,
    }
    inserted = transaction.connection.execute(insert(erasures).values(row).returning(erasures))
    return _view(inserted.mappings().one())


def read_erasure(transaction: Transaction, tenant: str, erasure_id: int) -> ErasureView:
    """Raises ErasureNotFoundError."""
    this = select(erasures).where(erasures.c.id == erasure_id, erasures.c.tenant == tenant)
    row = transaction.connection.execute(this).mappings().one_or_none()
    if row is None:
        raise ErasureNotFoundError
    return _view(row)


def list_erasures(transaction: Transaction, tenant: str, limit: int, cursor: str | None) -> ErasureList:
    """The tenant's orders, newest first, behind the cursor. Raises BadCursorError."""
    which: list[ColumnElement[bool]] = [erasures.c.tenant == tenant]
    if cursor is not None:
        which.append(erasures.c.id < decode(cursor, ErasuresCursor).before)
    statement = select(erasures).where(*which).order_by(erasures.c.id.desc()).limit(limit + 1)
    rows = transaction.connection.execute(statement).mappings().all()
    last = rows[limit - 1] if len(rows) > limit else None
    return ErasureList(
        items=[_view(row) for row in rows[:limit]],
        next_cursor=encode(ErasuresCursor(last["id"])) if last else None,
    )


def open_order(transaction: Transaction, after: int) -> RowMapping | None:
    """The next order behind this id that is not carried out yet."""
    statement = select(erasures).where(erasures.c.id > after, erasures.c.finished_at.is_(None))
    return transaction.connection.execute(statement.order_by(erasures.c.id).limit(1)).mappings().one_or_none()


def job_is_there(transaction: Transaction, job_id: str) -> bool:
    """Whether anything is left of a job: its own row is the last."""
    return transaction.connection.execute(select(jobs.c.id).where(jobs.c.id == job_id)).first() is not None


def add_to_order(transaction: Transaction, erasure_id: int, *, found_jobs: int = 0, found_reviews: int = 0) -> None:
    """Count what was erased for it."""
    transaction.connection.execute(
        update(erasures)
        .where(erasures.c.id == erasure_id)
        .values(
            jobs_erased=erasures.c.jobs_erased + found_jobs, reviews_erased=erasures.c.reviews_erased + found_reviews
        )
    )


def count_swept(transaction: Transaction, tenant: str, job_id: str, found_reviews: int) -> None:
    """Count reviews of a hidden job for the order that hid it: its own, else the tenant's, the older one first."""
    its_own = (erasures.c.kind == ErasureKind.JOB.value) & (erasures.c.subject == job_id)
    its_tenant_s = erasures.c.kind == ErasureKind.TENANT.value
    order = (
        select(erasures.c.id)
        .where(erasures.c.tenant == tenant, erasures.c.finished_at.is_(None), its_own | its_tenant_s)
        .order_by(its_tenant_s, erasures.c.id)
        .limit(1)
    )
    erasure_id = transaction.connection.execute(order).scalar_one_or_none()
    if erasure_id is not None:
        add_to_order(transaction, erasure_id, found_reviews=found_reviews)


def finish_order(transaction: Transaction, erasure_id: int, kind: ErasureKind) -> None:
    """Nothing is left of what it names; nor is the name of a reviewer."""
    values: dict[str, object] = {"status": ErasureStatus.DONE.value, "finished_at": transaction.now}
    if kind not in _NAMES_NOBODY:
        values["subject"] = ""
    transaction.connection.execute(update(erasures).where(erasures.c.id == erasure_id).values(values))


def count_tenant(transaction: Transaction, tenant: str) -> tuple[int, int]:
    """Jobs and reviews of the tenant, by the counters of its jobs."""
    counted = select(func.count(), func.coalesce(func.sum(jobs.c.reviews_fetched), 0)).where(jobs.c.tenant == tenant)
    row = transaction.connection.execute(counted).one()
    return int(row[0]), int(row[1])


def _view(row: RowMapping) -> ErasureView:
    kind = ErasureKind(row["kind"])
    finished_at = row["finished_at"]
    return ErasureView(
        id=row["id"],
        kind=kind,
        subject=row["subject"] if kind in _NAMES_NOBODY else None,
        status=row["status"],
        created_at=moment(row["created_at"]),
        finished_at=None if finished_at is None else moment(finished_at),
        jobs_erased=row["jobs_erased"],
        reviews_erased=row["reviews_erased"],
    )
