"""What metrics ask of the store, over all tenants. Nothing here counts tasks that are done: they may be millions."""

from sqlalchemy import func, select

from app.models.job import RUNNING, JobStatus, TaskStatus
from app.store.database import Transaction
from app.store.schema import dead_letters, jobs, outbox, status_in, status_is, tasks

_waiting = status_is(tasks.c.status, TaskStatus.WAITING)


def jobs_by_state(transaction: Transaction) -> dict[JobStatus, int]:
    """Every state with its number of jobs, from an index alone."""
    rows = transaction.connection.execute(select(jobs.c.status, func.count()).group_by(jobs.c.status))
    return dict.fromkeys(JobStatus, 0) | {JobStatus(status): count for status, count in rows}


def tasks_by_stage_and_state(transaction: Transaction) -> dict[tuple[str, TaskStatus], int]:
    """(stage, state) → tasks that wait, are out, or are dead and were not redriven; what is missing is 0."""
    waiting = select(tasks.c.stage, func.count()).where(_waiting).group_by(tasks.c.stage)
    counts = {(stage, TaskStatus.WAITING): int(count) for stage, count in transaction.connection.execute(waiting)}
    out = (
        select(tasks.c.stage, tasks.c.status, func.count())
        .where(
            tasks.c.lease_until.is_not(None),
            tasks.c.status.in_([TaskStatus.RELEASED.value, TaskStatus.HELD.value]),
        )
        .group_by(tasks.c.stage, tasks.c.status)
    )
    counts |= {(stage, TaskStatus(status)): count for stage, status, count in transaction.connection.execute(out)}
    dead = (
        select(dead_letters.c.stage, func.count())
        .where(dead_letters.c.redriven_at.is_(None), dead_letters.c.task_id.is_not(None))
        .group_by(dead_letters.c.stage)
    )
    counts |= {(stage, TaskStatus.DEAD): count for stage, count in transaction.connection.execute(dead)}
    return counts


def oldest_runnable_task_age(transaction: Transaction) -> float:
    """For how many seconds the oldest due task of a running job has been due; 0 when none is."""
    statement = (
        select(tasks.c.due_at)
        .join(jobs, jobs.c.id == tasks.c.job_id)
        .where(_waiting, tasks.c.due_at <= transaction.now, status_in(jobs.c.status, RUNNING))
        .order_by(tasks.c.due_at)
        .limit(1)
    )
    due: float | None = transaction.connection.execute(statement).scalar()
    return 0.0 if due is None else max(0.0, transaction.now - due)


def outbox_size(transaction: Transaction) -> int:
    """Rows that the publisher has still to send, or to clear away."""
    return int(transaction.connection.execute(select(func.count()).select_from(outbox)).scalar_one())
