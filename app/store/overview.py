"""What the overview asks of the store, for one tenant: short however much waits or is done."""

from typing import NamedTuple

from sqlalchemy import CTE, RowMapping, bindparam, func, literal, select, union_all

from app.models.job import RUNNING, JobStatus, Stage, TaskStatus
from app.store.database import Transaction
from app.store.schema import jobs, status_is, tasks

JOBS_LOOKED_AT = 1_000
"""Of the running jobs no more are looked at, those submitted first: three looks into an index for each, some
milliseconds. Jobs take turns, so work that waits long is in these."""

JOBS_SHOWN = 10


class Waits(NamedTuple):
    """A task that is due, and since when (seconds since 1970)."""

    job_id: str
    stage: str
    resource: str
    since: float


def jobs_by_state_of(transaction: Transaction, tenant: str) -> dict[JobStatus, int]:
    """Every state with its number of the tenant's jobs, from an index alone."""
    statement = select(jobs.c.status, func.count()).where(jobs.c.tenant == tenant).group_by(jobs.c.status)
    rows = transaction.connection.execute(statement)
    return dict.fromkeys(JobStatus, 0) | {JobStatus(status): count for status, count in rows}


def waiting_jobs_of(transaction: Transaction, tenant: str) -> list[RowMapping]:
    """Running jobs that wait: `id`, `waiting_reason` and `waiting_until`; those submitted first."""
    running = _running_jobs()
    statement = (
        select(running.c.id, running.c.waiting_reason, running.c.waiting_until)
        .where(running.c.waiting_until > transaction.now)
        .order_by(running.c.created_at, running.c.id)
        .limit(JOBS_SHOWN)
    )
    return list(transaction.connection.execute(statement, {"tenant": tenant}).mappings())


def tokenless_jobs_of(transaction: Transaction, tenant: str) -> list[RowMapping]:
    """Rows of jobs that wait for a token; those submitted last."""
    statement = (
        select(jobs)
        .where(jobs.c.tenant == tenant, status_is(jobs.c.status, JobStatus.NEEDS_TOKEN))
        .order_by(jobs.c.created_at.desc(), jobs.c.id.desc())
        .limit(JOBS_SHOWN)
    )
    return list(transaction.connection.execute(statement).mappings())


def oldest_waiting_of(transaction: Transaction, tenant: str) -> Waits | None:
    """The task of a running job that has been due longest. None: nothing is due."""
    oldest = transaction.connection.execute(_oldest, {"tenant": tenant, "now": transaction.now}).one_or_none()
    if oldest is None:
        return None
    of_job = (tasks.c.stage == oldest.stage, tasks.c.tenant == tenant, tasks.c.job_id == oldest.id)
    waits = status_is(tasks.c.status, TaskStatus.WAITING)
    which = select(tasks.c.resource).where(waits, *of_job, tasks.c.due_at == oldest.since)
    resource = transaction.connection.execute(which.order_by(tasks.c.id).limit(1)).scalar_one()
    return Waits(oldest.id, oldest.stage, resource, oldest.since)


def _running_jobs() -> CTE:
    """The tenant's running jobs that were submitted first; of each state so many, each by a walk along an index."""
    of_each = [
        select(jobs.c.id, jobs.c.created_at, jobs.c.waiting_reason, jobs.c.waiting_until)
        .where(jobs.c.tenant == bindparam("tenant"), status_is(jobs.c.status, status))
        .order_by(jobs.c.created_at, jobs.c.id)
        .limit(JOBS_LOOKED_AT)
        .subquery()
        for status in RUNNING
    ]
    return union_all(*(select(part) for part in of_each)).cte("running_jobs")


def _due_longest() -> CTE:
    """`id`, `stage`, `since`: of each of these jobs and each stage the first task that waits."""
    running = _running_jobs()
    first = {
        stage: select(func.min(tasks.c.due_at))
        .where(
            tasks.c.stage == literal(stage.value),
            status_is(tasks.c.status, TaskStatus.WAITING),
            tasks.c.tenant == bindparam("tenant"),
            tasks.c.job_id == running.c.id,
        )
        .scalar_subquery()
        for stage in Stage
    }
    found = (
        select(running.c.id, literal(stage.value).label("stage"), due.label("since")) for stage, due in first.items()
    )
    return union_all(*found).cte("due_longest")


_firsts = _due_longest()
_oldest = (
    select(_firsts.c.id, _firsts.c.stage, _firsts.c.since)
    .where(_firsts.c.since <= bindparam("now"))
    .order_by(_firsts.c.since, _firsts.c.id)
    .limit(1)
)
