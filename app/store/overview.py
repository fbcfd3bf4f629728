"""What the overview asks of the store, for one tenant: short however much waits or is done."""

from typing import Any, NamedTuple

from sqlalchemy import CTE, RowMapping, Select, bindparam, func, literal, select, union_all

from app.models.job import RUNNING, JobStatus, Stage, TaskStatus
from app.store.database import Transaction
from app.store.schema import jobs, status_is, tasks
from app.store.turns import could_run_from

JOBS_LOOKED_AT = 1_000
"""Of the running jobs no more are looked at, those submitted first: three looks into an index for each, some
milliseconds. Jobs take turns, so work that waits long is in these."""

JOBS_SHOWN = 10


class Waits(NamedTuple):
    """A task that could run, and since when (seconds since 1970)."""

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
    """The task of a running job that could have run for longest. None: nothing is due, or all of it waits for quota."""
    oldest = transaction.connection.execute(_oldest, {"tenant": tenant, "now": transaction.now}).one_or_none()
    return None if oldest is None else Waits(*oldest)


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
    """`id`, `stage`, `due`, `since`: of each of these jobs and each stage the first task that waits."""
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
        select(running.c.id, literal(stage.value).label("stage"), due.label("due"), running.c.waiting_until)
        for stage, due in first.items()
    )
    firsts = union_all(*found).subquery()
    since = could_run_from(firsts.c.due, firsts.c.waiting_until).label("since")
    return select(firsts.c.id, firsts.c.stage, firsts.c.due, since).cte("due_longest")


def _due_longest_of_all() -> Select[Any]:
    """`id`, `stage`, `resource`, `since`: one statement, for a task found by one may be taken before the next."""
    firsts = _due_longest()
    oldest = (
        select(firsts.c.id, firsts.c.stage, firsts.c.due, firsts.c.since)
        .where(firsts.c.since <= bindparam("now"))
        .order_by(firsts.c.since, firsts.c.id)
        .limit(1)
        .cte("oldest")
    )
    resource = (
        select(tasks.c.resource)
        .where(
            tasks.c.stage == oldest.c.stage,
            status_is(tasks.c.status, TaskStatus.WAITING),
            tasks.c.tenant == bindparam("tenant"),
            tasks.c.job_id == oldest.c.id,
            tasks.c.due_at == oldest.c.due,
        )
        .order_by(tasks.c.id)
        .limit(1)
        .scalar_subquery()
    )
    return select(oldest.c.id, oldest.c.stage, resource, oldest.c.since)


_oldest = _due_longest_of_all()
