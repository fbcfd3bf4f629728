"""What metrics ask of the store, over all tenants. However much waits or is done, a scrape costs no more."""

from collections.abc import Collection, Mapping
from typing import NamedTuple

from sqlalchemy import CTE, ColumnElement, ScalarSelect, Table, and_, case, false, func, literal, not_, select, union

from app.models.job import DEFAULT_PROJECT, RUNNING, JobStatus, Stage, TaskStatus
from app.store.database import Transaction
from app.store.schema import OUT, dead_letters, jobs, status_in, status_is, tasks
from app.store.turns import could_run_from, token_is_to_come

COUNTED_UP_TO = 10_000
"""Of what may be millions, no more are counted of each kind: the number says that there are many, and costs 1 ms."""

JOBS_LOOKED_AT = 250
"""Of the jobs in each state that runs so many that stood still longest, and as many that moved last: those that starve
and those that are served. Each costs three looks into an index."""

EXPIRING_SECONDS = 600.0
"""Before an access token ends: time for somebody to send another. Google's live an hour."""


class Runnable(NamedTuple):
    """Tasks that could run now; and for how many seconds the first of them, or of those that are released and that no
    worker took, could have run."""

    tasks: int = 0
    seconds: float = 0.0


def jobs_by_state(transaction: Transaction, up_to: int = COUNTED_UP_TO) -> dict[JobStatus, int]:
    """Every state with its number of jobs, counted `up_to` so many, from an index alone."""
    counted = {status: _count(jobs, up_to, status_is(jobs.c.status, status)) for status in JobStatus}
    return dict(zip(counted, transaction.connection.execute(select(*counted.values())).one(), strict=True))


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


def runnable_by_stage(
    transaction: Transaction, closed: Mapping[str, Collection[str]], up_to: int = COUNTED_UP_TO
) -> dict[Stage, Runnable]:
    """Stage → its due tasks of running jobs, but for those whose Google project is among `closed` of the stage, and
    those whose token is being renewed.

    Jobs first, then their tasks: what a paused job has waiting is not looked at, however much it is.
    """
    running, now = _running(transaction.now), transaction.now
    ready = {stage: _ready(running, stage, closed.get(stage, ()), now) for stage in Stage}
    counts = {stage: _due(ready[stage], stage, up_to, now) for stage in Stage}
    firsts = {stage: select(func.min(ready[stage].c.since)).scalar_subquery() for stage in Stage}
    asked = [number for stage in Stage for number in (counts[stage], firsts[stage], _first_not_taken(stage))]
    row = transaction.connection.execute(select(*asked)).one()
    found = zip(Stage, row[::3], row[1::3], row[2::3], strict=True)
    return {stage: Runnable(count, _age(now, first, not_taken)) for stage, count, first, not_taken in found}


def tokens_expiring(transaction: Transaction, up_to: int = COUNTED_UP_TO) -> int:
    """Running jobs whose access token ends soon, or has, and that have no grant to get another by."""
    expiry = select(jobs.c.token_expires_at, jobs.c.token_refreshable)
    some = expiry.where(status_in(jobs.c.status, RUNNING)).limit(up_to).subquery()
    soon = some.c.token_expires_at <= transaction.now + EXPIRING_SECONDS
    statement = select(func.count()).select_from(some).where(soon, some.c.token_refreshable.is_(False))
    return int(transaction.connection.execute(statement).scalar_one())


def _running(now: float) -> CTE:
    """Some of the jobs that run, each by a walk along an index; and whether their tasks wait for a token."""
    held_up = token_is_to_come(literal(now)).label("held_up")
    some = [
        select(jobs.c.tenant, jobs.c.id, jobs.c.google_project, jobs.c.waiting_until, held_up)
        .where(status_is(jobs.c.status, status))
        .order_by(end)
        .limit(JOBS_LOOKED_AT)
        .subquery()
        for status in RUNNING
        for end in (jobs.c.updated_at, jobs.c.updated_at.desc())
    ]
    return union(*(select(part) for part in some)).cte("running_jobs")


def _ready(running: CTE, stage: Stage, closed: Collection[str], now: float) -> CTE:
    """The jobs of which a task is due, and since when the first could run: of each job one look into an index."""
    waits = (tasks.c.stage == stage.value, status_is(tasks.c.status, TaskStatus.WAITING))
    of_job = (tasks.c.tenant == running.c.tenant, tasks.c.job_id == running.c.id)
    first = select(func.min(tasks.c.due_at)).where(*waits, *of_job).scalar_subquery()
    open_to_it = (_has_quota(running, closed, now), not_(running.c.held_up))
    of_running = (running.c.tenant, running.c.id, running.c.waiting_until)
    firsts = select(*of_running, first.label("due")).where(*open_to_it).subquery()
    since = could_run_from(firsts.c.due, firsts.c.waiting_until).label("since")
    return select(firsts.c.tenant, firsts.c.id, since).where(firsts.c.due <= now).cte(f"ready_{stage.value}")


def _has_quota(running: CTE, closed: Collection[str], now: float) -> ColumnElement[bool]:
    """As the scheduler sees it: `app.store.turns.Job.is_kept_back`."""
    waits = func.coalesce(running.c.waiting_until, 0.0) > now if DEFAULT_PROJECT in closed else false()
    return case(
        (running.c.google_project.is_(None), not_(waits)), else_=running.c.google_project.not_in(sorted(closed))
    )


def _due(ready: CTE, stage: Stage, up_to: int, now: float) -> ScalarSelect[int]:
    """How many tasks of the stage are due."""
    waits = (tasks.c.stage == stage.value, status_is(tasks.c.status, TaskStatus.WAITING), tasks.c.due_at <= now)
    of_job = and_(tasks.c.tenant == ready.c.tenant, tasks.c.job_id == ready.c.id, *waits)
    some = select(literal(1)).select_from(ready.join(tasks, of_job)).limit(up_to).subquery()
    return select(func.count()).select_from(some).scalar_subquery()


def _first_not_taken(stage: Stage) -> ScalarSelect[float]:
    """Since when the first task that is released could run: those that are out are few."""
    released = (tasks.c.stage == stage.value, status_is(tasks.c.status, TaskStatus.RELEASED))
    since = could_run_from(tasks.c.due_at, jobs.c.waiting_until)
    first = select(func.min(since)).join_from(tasks, jobs, jobs.c.id == tasks.c.job_id)
    return first.where(*released).scalar_subquery()


def _age(now: float, *since: float | None) -> float:
    """Of the earliest; nothing is early that is released before its quota opens."""
    return max((max(0.0, now - moment) for moment in since if moment is not None), default=0.0)


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
