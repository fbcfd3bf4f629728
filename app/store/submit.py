"""A job enters: its row, its sealed token and its first task, in one transaction with many others."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from sqlalchemy import ColumnElement, delete, select, tuple_

from app.models.audit import SYSTEM, Action, AuditEntry, Origin
from app.models.job import JobStatus, Stage, TaskStatus
from app.models.limits import NO_LIMITS, LimitState, Refusal, SubmitLimits
from app.store.audit import record
from app.store.database import Transaction
from app.store.schema import callbacks, credentials, idempotency_keys, jobs, tasks
from app.store.submit_limits import gates, limits_in_force

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
    `traceparent`: the span of the request, which all work on the job belongs to.
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
    traceparent: str | None = None


@dataclass(frozen=True, slots=True)
class Submitted:
    """What became of a `NewJob`: accepted under `job_id`, or an earlier job's id, or a key used for another body, or
    refused. `limits`: those of the tenant, and what is left of them."""

    job_id: str
    replayed: bool = False
    conflict: bool = False
    refused: Refusal | None = None
    limits: tuple[LimitState, ...] = ()


def submit(transaction: Transaction, new: Sequence[NewJob], service: SubmitLimits = NO_LIMITS) -> list[Submitted]:
    """Accept the jobs, in their order. An idempotency key seen in the last 24 hours gives the job it gave then.

    `service`: the limits of tenants that have none of their own. A refused job leaves its idempotency key free, and a
    replay counts for nothing.
    """
    limits = limits_in_force(transaction, {job.tenant for job in new}, service)
    answers: list[Submitted] = []
    accepted: list[NewJob] = []
    for job in new:
        answer = _replay(transaction, job) if job.idempotency_key else None
        answers.append(answer or Submitted(job.id))
        if answer is None:
            accepted.append(job)
    if limits:
        answers = _limited(transaction, new, answers, limits)
        accepted = [job for job, answer in zip(new, answers, strict=True) if not (answer.replayed or answer.refused)]
    _insert(transaction, accepted)
    return answers


def is_known(transaction: Transaction, tenant: str, key: str) -> bool:
    """Whether the tenant has used this idempotency key in the last 24 hours."""
    lately = idempotency_keys.c.created_at >= transaction.now - IDEMPOTENCY_SECONDS
    found = select(idempotency_keys.c.job_id).where(_this_key(tenant, key), lately)
    return transaction.connection.execute(found).first() is not None


def _this_key(tenant: str, key: str | None) -> ColumnElement[bool]:
    return (idempotency_keys.c.tenant == tenant) & (idempotency_keys.c.key == key)


def _limited(
    transaction: Transaction, new: Sequence[NewJob], answers: Sequence[Submitted], limits: Mapping[str, SubmitLimits]
) -> list[Submitted]:
    """Behind all keys, in the order in which others lock them."""
    gate_of = gates(transaction, limits)
    refused: dict[str, Refusal] = {}
    found = []
    for job, answer in zip(new, answers, strict=True):
        gate = gate_of.get(job.tenant)
        if gate is None:
            found.append(answer)
            continue
        refusal = refused.get(answer.job_id) if answer.replayed else gate.admit()
        if refusal is not None:
            refused[answer.job_id] = refusal
        found.append(replace(answer, refused=refusal, limits=gate.states()))
    for gate in gate_of.values():
        gate.write()
    _free_keys(transaction, [job for job in new if job.id in refused])
    return found


def _free_keys(transaction: Transaction, refused: Sequence[NewJob]) -> None:
    """The same requests may come again."""
    keys = [(job.tenant, job.idempotency_key, job.id) for job in refused if job.idempotency_key]
    if keys:
        key = tuple_(idempotency_keys.c.tenant, idempotency_keys.c.key, idempotency_keys.c.job_id)
        transaction.connection.execute(delete(idempotency_keys).where(key.in_(keys)))


def _replay(transaction: Transaction, job: NewJob) -> Submitted | None:
    """Keep the key for this job, or find whose it is."""
    this_key = _this_key(job.tenant, job.idempotency_key)
    expired = idempotency_keys.c.created_at < transaction.now - IDEMPOTENCY_SECONDS
    transaction.connection.execute(delete(idempotency_keys).where(this_key & expired))
    row = {
        "tenant": job.tenant,
        "key": job.idempotency_key,
        "body_hash": job.body_hash,
        "job_id": job.id,
        "created_at": transaction.now,
    }
    earlier = select(idempotency_keys.c.job_id, idempotency_keys.c.body_hash).where(this_key)
    while not transaction.insert_ignore(idempotency_keys, [row]):
        first = transaction.connection.execute(earlier).one_or_none()
        if first is not None:  # else it was deleted in between, with its job or for its age
            same = first.body_hash in (job.body_hash, *job.earlier_hashes)
            return Submitted(first.job_id, replayed=True, conflict=not same)
    return None


def _insert(transaction: Transaction, accepted: list[NewJob]) -> None:
    now = transaction.now
    transaction.insert_tuples(
        jobs,
        ("id", "tenant", "status", "created_at", "updated_at", "tasks_open", "credential_version", "token_refreshable")
        + ("traceparent",),
        [
            (job.id, job.tenant, JobStatus.PENDING.value, now, now, 1, 1, job.sealed_grant is not None, job.traceparent)
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
