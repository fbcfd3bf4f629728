"""What people do to a job. `app/models/transitions.py` says what is possible in which state.

Each function locks the job's row and touches only that and the token: O(1), however many tasks the job has.
"""

from collections.abc import Callable

from sqlalchemy import RowMapping, literal, select, update

from app.credentials import Sealed, SealedTokenError, UnknownSealingKeyError, key_id_of
from app.models.errors import JobNotFoundError
from app.models.job import JobStatus, Problem
from app.models.transitions import JobAction, require
from app.models.views import JobView
from app.store.database import Transaction
from app.store.ends import end_job, park_for_token, wipe_token
from app.store.loads import clock_anew
from app.store.reads import read_job, require_storable
from app.store.schema import credentials, jobs
from app.store.turns import could_run_from

ResealGrant = Callable[[bytes], Sealed]
"""A sealed grant of the job under the newest key."""


WIPED_WHILE_PAUSED = Problem(
    "token_too_old", "The job's token was wiped for its age while the job was paused. Send a new one to go on."
)


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
    """To `processing`, or to `pending` when nothing was called yet; its token may have been wiped for its age."""
    job = _lock(transaction, tenant, job_id, JobAction.RESUME)
    status = JobStatus.PROCESSING if job["calls"] else JobStatus.PENDING
    rested = {"waiting_until": could_run_from(literal(transaction.now), jobs.c.waiting_until)}
    _change(transaction, job_id, status=status.value, **rested, **clock_anew(transaction))
    if not _has_token(transaction, job_id):
        park_for_token(transaction, job_id, WIPED_WHILE_PAUSED)
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
    reseal_grant: ResealGrant | None = None,
) -> JobView:
    """Work in flight keeps its old token; a refusal of that one no longer counts, since the version is another. What
    the job waited for is over.

    Whose quota the new one spends is asked anew: it may come from another Google project. A grant (and with it a
    token that may be empty: it is asked for) replaces the one that the job had; without one that stays, under the same
    key as the new token: a row has one key.
    """
    job = _lock(transaction, tenant, job_id, JobAction.REPLACE_TOKEN)
    status = JobStatus(job["status"])
    version = job["credential_version"] + 1
    if sealed_grant is None and reseal_grant is not None:
        key_id, sealed_grant = _grant_that_stays(transaction, job_id, key_id, reseal_grant)
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
    waited = {"waiting_reason": None, "waiting_until": transaction.now}
    changes = {**unknown, **waited, **_NO_ERROR, **clocked}
    _change(transaction, job_id, status=after.value, credential_version=version, **changes)
    return read_job(transaction, tenant, job_id)


def _has_token(transaction: Transaction, job_id: str) -> bool:
    found = select(credentials.c.job_id).where(credentials.c.job_id == job_id)
    return transaction.connection.execute(found).first() is not None


def _grant_that_stays(
    transaction: Transaction, job_id: str, key_id: str, reseal_grant: ResealGrant
) -> tuple[str, bytes | None]:
    """The key of the row, and the job's grant under it (None: it has none). One that does not open stays as it is,
    and the row names the key that is missing for it."""
    found = select(credentials.c.sealed_grant).where(credentials.c.job_id == job_id)
    grant = transaction.connection.execute(found).scalar_one_or_none()
    if grant is None:
        return key_id, None
    try:
        return key_id, reseal_grant(grant).data
    except UnknownSealingKeyError:
        return key_id_of(grant), grant
    except SealedTokenError:
        return key_id, grant


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
