"""A job enters: its row, its sealed token and its first task, in one transaction with many others."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import delete, select

from app.models.audit import SYSTEM, Action, AuditEntry, Origin
from app.models.job import JobStatus, Stage, TaskStatus
from app.store.audit import record
from app.store.database import Transaction
from app.store.schema import callbacks, credentials, idempotency_keys, jobs, tasks

IDEMPOTENCY_SECONDS = 24 * 3600.0


class Callback(NamedTuple):
    """Where the job's end is told: the sealed URL, the key it is sealed with, and the URL without its query."""

    key_id: str
    sealed_url: bytes
    shown_url: str


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job to accept. `sealed` holds its access token, empty when `sealed_grant` holds what one is asked for by;
    `body_hash` is the keyed hash of the request's body, `earlier_hashes` are those by the older sealing keys.
    """

    id: str
    tenant: str
    key_id: str
    sealed: bytes
    idempotency_key: str | None = None
    body_hash: str = ""
    sealed_grant: bytes | None = None
    callback: Callback | None = None
    by: Origin = SYSTEM
    earlier_hashes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Submitted:
    """What became of a `NewJob`: accepted under `job_id`, or an earlier job's id, or a key used for another body."""

    job_id: str
    replayed: bool = False
    conflict: bool = False


def submit(transaction: Transaction, new: Sequence[NewJob]) -> list[Submitted]:
    """Accept the jobs, in their order. An idempotency key seen in the last 24 hours gives the job it gave then."""
    answers: list[Submitted] = []
    accepted: list[NewJob] = []
    for job in new:
        answer = _replay(transaction, job) if job.idempotency_key else None
        answers.append(answer or Submitted(job.id))
        if answer is None:
            accepted.append(job)
    _insert(transaction, accepted)
    return answers


def _replay(transaction: Transaction, job: NewJob) -> Submitted | None:
    """Keep the key for this job, or find whose it is."""
    this_key = (idempotency_keys.c.tenant == job.tenant) & (idempotency_keys.c.key == job.idempotency_key)
    expired = idempotency_keys.c.created_at < transaction.now - IDEMPOTENCY_SECONDS
    transaction.connection.execute(delete(idempotency_keys).where(this_key & expired))
    row = {
        "tenant": job.tenant,
        "key": job.idempotency_key,
        "body_hash": job.body_hash,
        "job_id": job.id,
        "created_at": transaction.now,
    }
    if transaction.insert_ignore(idempotency_keys, [row]):
        return None
    first = transaction.connection.execute(
        select(idempotency_keys.c.job_id, idempotency_keys.c.body_hash).where(this_key)
    ).one()
    same = first.body_hash in (job.body_hash, *job.earlier_hashes)
    return Submitted(first.job_id, replayed=True, conflict=not same)


def _insert(transaction: Transaction, accepted: list[NewJob]) -> None:
    now = transaction.now
    transaction.insert_tuples(
        jobs,
        ("id", "tenant", "status", "created_at", "updated_at", "tasks_open", "credential_version", "token_refreshable"),
        [
            (job.id, job.tenant, JobStatus.PENDING.value, now, now, 1, 1, job.sealed_grant is not None)
            for job in accepted
        ],
    )
    transaction.insert_tuples(
        credentials,
        ("job_id", "tenant", "version", "key_id", "sealed", "created_at", "sealed_grant"),
        [(job.id, job.tenant, 1, job.key_id, job.sealed, now, job.sealed_grant) for job in accepted],
    )
    transaction.insert_tuples(
        tasks,
        ("tenant", "job_id", "stage", "resource", "status", "due_at"),
        [(job.tenant, job.id, Stage.ACCOUNTS.value, "accounts", TaskStatus.WAITING.value, now) for job in accepted],
    )
    transaction.insert_tuples(
        callbacks,
        ("job_id", "tenant", *Callback._fields),
        [(job.id, job.tenant, *job.callback) for job in accepted if job.callback],
    )
    record(transaction, *(AuditEntry(job.tenant, Action.JOB_SUBMIT, job.id, job.by) for job in accepted))
