"""What metrics ask of the store, over all tenants. However much waits or is done, a scrape costs no more."""

from sqlalchemy import ColumnElement, ScalarSelect, Table, func, literal, select

from app.models.job import JobStatus, Stage, TaskStatus
from app.store.database import Transaction
from app.store.schema import OUT, dead_letters, jobs, status_in, status_is, tasks

COUNTED_UP_TO = 10_000
"""Of what may be millions, no more are counted of each stage: the number says that there are many, and costs 1 ms."""


def jobs_by_state(transaction: Transaction) -> dict[JobStatus, int]:
    """Every state with its number of jobs, from an index alone."""
    rows = transaction.connection.execute(select(jobs.c.status, func.count()).group_by(jobs.c.status))
    return dict.fromkeys(JobStatus, 0) | {JobStatus(status): count for status, count in rows}


def tasks_by_stage_and_state(transaction: Transaction, up_to: int = COUNTED_UP_TO) -> dict[tuple[str, TaskStatus], int]:
    """(stage, state) → tasks that wait, are out, or are dead and were not redriven; what is missing is 0.

    Those that wait and those that are dead are counted `up_to` so many; how many are out is bounded already.
    """
    waiting = {(stage, TaskStatus.WAITING): _waiting(stage, up_to) for stage in Stage}
    dead = {(stage, TaskStatus.DEAD): _dead(stage, up_to) for stage in Stage}
    counted = waiting | dead
    counts = transaction.connection.execute(select(*counted.values())).one()
    found = {(stage.value, status): count for (stage, status), count in zip(counted, counts, strict=True) if count}
    return found | _out(transaction)


def _waiting(stage: Stage, up_to: int) -> ScalarSelect[int]:
    return _count(tasks, up_to, tasks.c.stage == stage.value, status_is(tasks.c.status, TaskStatus.WAITING))


def _dead(stage: Stage, up_to: int) -> ScalarSelect[int]:
    undriven = (dead_letters.c.redriven_at.is_(None), dead_letters.c.task_id.is_not(None))
    return _count(dead_letters, up_to, dead_letters.c.stage == stage.value, *undriven)


def _count(table: Table, up_to: int, *which: ColumnElement[bool]) -> ScalarSelect[int]:
    some = select(literal(1)).select_from(table).where(*which).limit(up_to).subquery()
    return select(func.count()).select_from(some).scalar_subquery()


def _out(transaction: Transaction) -> dict[tuple[str, TaskStatus], int]:
    by_state = select(tasks.c.stage, tasks.c.status, func.count()).where(status_in(tasks.c.status, OUT))
    rows = transaction.connection.execute(by_state.group_by(tasks.c.stage, tasks.c.status))
    return {(stage, TaskStatus(status)): count for stage, status, count in rows}
