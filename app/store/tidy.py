"""Housekeeping: what is over by time. Each call is a short transaction of at most `limit` rows of a kind."""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Row, delete, select, tuple_, update

from app.models.job import JobStatus, Problem, Stage, TaskStatus
from app.store.activity import purge_activity
from app.store.database import Transaction
from app.store.ends import fail_job
from app.store.schema import credentials, idempotency_keys, jobs, status_is, tasks
from app.store.submit import IDEMPOTENCY_SECONDS
from app.store.turns import tenants_behind, waiting_jobs
from app.store.wiping import wipe

FIRST_STAGE = next(iter(Stage))


class QueuePosition(NamedTuple):
    """A place in the order in which waiting tasks are looked through: after this job of a tenant's, in this stage."""

    stage: str
    tenant: str
    job_id: str


class FailedJob(NamedTuple):
    """A job that waited for a token in vain, and how many seconds after it was accepted it failed."""

    id: str
    after: float


class Tidied(NamedTuple):
    """The jobs that failed, how many of the rest there were, and where the next sweep goes on (None: at the front)."""

    jobs_failed: list[FailedJob]
    tokens_wiped: int
    keys_purged: int
    minutes_forgotten: int
    tasks_closed: int
    sweep_on: QueuePosition | None

    def is_full(self, limit: int) -> bool:
        """Whether there may be more of something than one call does."""
        done = (len(self.jobs_failed), self.tokens_wiped, self.keys_purged, self.minutes_forgotten, self.tasks_closed)
        return limit in done


def tidy(transaction: Transaction, token_wait: float, limit: int, sweep_from: QueuePosition | None = None) -> Tidied:
    """Fail jobs that waited `token_wait` seconds for a token in vain, wipe tokens, keys and activity whose time is
    over, and close the tasks that ended jobs have left in the queue.

    Give `sweep_on` of the last answer as `sweep_from`, so that the whole queue is looked through turn by turn.
    """
    failed = _fail_tokenless(transaction, token_wait, limit)
    wiped = _wipe_tokens(transaction, limit)
    purged = _purge_keys(transaction, limit)
    forgotten = purge_activity(transaction, limit)
    closed, sweep_on = _sweep(transaction, limit, sweep_from)
    return Tidied(failed, wiped, purged, forgotten, closed, sweep_on)


def _fail_tokenless(transaction: Transaction, token_wait: float, limit: int) -> list[FailedJob]:
    statement = (
        select(jobs.c.id, transaction.now - jobs.c.created_at)
        .where(
            jobs.c.status == JobStatus.NEEDS_TOKEN.value,
            jobs.c.updated_at <= transaction.now - token_wait,
        )
        .order_by(jobs.c.updated_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    problem = Problem(
        "token_expired",
        f"Google no longer accepted the access token, and no new one came within {token_wait:,.0f} s. "
        "What was fetched is kept; submit a new job for the rest.",
    )
    waiting = [FailedJob(*row) for row in transaction.connection.execute(statement)]
    for job in waiting:
        fail_job(transaction, job.id, problem)
    return waiting


def _wipe_tokens(transaction: Transaction, limit: int) -> int:
    over = credentials.c.wipe_after <= transaction.now
    which = select(credentials.c.job_id).where(over).order_by(credentials.c.wipe_after).limit(limit)
    return len(wipe(transaction, which, over))


def _purge_keys(transaction: Transaction, limit: int) -> int:
    key = tuple_(idempotency_keys.c.tenant, idempotency_keys.c.key)
    which = (
        select(idempotency_keys.c.tenant, idempotency_keys.c.key)
        .where(idempotency_keys.c.created_at < transaction.now - IDEMPOTENCY_SECONDS)
        .order_by(idempotency_keys.c.created_at)
        .limit(limit)
    )
    return transaction.connection.execute(delete(idempotency_keys).where(key.in_(which))).rowcount


_LEFT_OVER = (JobStatus.CANCELLED, JobStatus.FAILED)
"""The ends that may leave tasks waiting: `completed` and `dlq` have none."""


def _sweep(transaction: Transaction, limit: int, start: QueuePosition | None) -> tuple[int, QueuePosition | None]:
    """Look at `limit` jobs that have waiting tasks and close those of ended jobs; their counters stay as they are."""
    place = start or QueuePosition(FIRST_STAGE, "", "")
    closed = looked = 0
    while looked < limit:
        rows = _waiting(transaction, place, limit - looked)
        for row in rows:
            if row.status in _LEFT_OVER:
                closed += _close(transaction, place, row.id, limit - closed)
            if closed >= limit:
                return closed, place
            place = place._replace(job_id=row.id)
        looked += len(rows)
        if looked < limit:
            following = tenants_behind(transaction, Stage(place.stage), place.tenant, 1)
            if not following:
                return closed, _next_stage(place)
            place = QueuePosition(place.stage, following[0][0], "")
    return closed, place


def _waiting(transaction: Transaction, place: QueuePosition, most: int) -> Sequence[Row[str, str]]:
    walk = waiting_jobs()
    statement = select(jobs.c.id, jobs.c.status).select_from(walk.join(jobs, jobs.c.id == walk.c.job_id))
    values = {"stage": place.stage, "tenant0": place.tenant, "after0": place.job_id, "most": most}
    return transaction.connection.execute(statement, values).all()


def _next_stage(place: QueuePosition) -> QueuePosition | None:
    following = list(Stage)[list(Stage).index(Stage(place.stage)) + 1 :]
    return QueuePosition(following[0], "", "") if following else None


def _close(transaction: Transaction, place: QueuePosition, job_id: str, limit: int) -> int:
    waits = status_is(tasks.c.status, TaskStatus.WAITING)
    of_job = (tasks.c.stage == place.stage, tasks.c.tenant == place.tenant, tasks.c.job_id == job_id)
    which = select(tasks.c.id).where(waits, *of_job)
    return transaction.connection.execute(
        update(tasks)
        .where(tasks.c.id.in_(which.order_by(tasks.c.due_at, tasks.c.id).limit(limit)), waits)
        .values(status=TaskStatus.DONE.value, version=tasks.c.version + 1, holder=None, lease_until=None)
    ).rowcount
