"""The life of a task outside its settle: released, claimed, its lease extended or run out.

Every transition is a compare-and-set on `version` that raises it, so whoever holds an old copy changes nothing.
"""

from collections.abc import Collection
from typing import NamedTuple

from sqlalchemy import bindparam, exists, func, select, tuple_, update

from app.models.job import DEFAULT_PROJECT, RUNNING, HeldTask, JobStatus, Stage, TaskStatus, Work
from app.store.database import Transaction
from app.store.schema import credentials, jobs, locations, stages, status_in, tasks

_job_runs = exists(select(jobs.c.id).where(jobs.c.id == tasks.c.job_id, status_in(jobs.c.status, RUNNING)))


def release(transaction: Transaction, stage: Stage, window: int, closed: Collection[str] = ()) -> list[Work]:
    """Release due tasks of a stage, fairest first, as long as fewer than `window` are out and not yet claimed.

    Tasks of jobs whose Google project is among `closed` stay: its quota is spent, and they could only come back.
    The caller hands them to the broker after the commit; what is lost between the two is found by `reclaim_expired`.
    """
    room = window - _released(transaction, stage)
    if room <= 0:
        return []
    due = _due(transaction, stage, room, closed)
    if not due:
        return []
    transaction.connection.execute(
        update(tasks)
        .where(tasks.c.id.in_([row.id for row in due]))
        .values(
            status=TaskStatus.RELEASED.value,
            version=tasks.c.version + 1,
            lease_until=transaction.now + RELEASE_SECONDS,
        )
    )
    _take_turn(transaction, stage, max(row.rank for row in due))
    return [
        Work(row.id, row.version + 1, stage, row.tenant, row.job_id, row.resource, row.account, row.title)
        for row in due
    ]


RELEASE_SECONDS = 300.0
"""A released task that nobody claimed for so long was lost on its way: five minutes are ample for a topic whose lag is
bounded by the window, and a second copy does no harm."""


def unrelease(transaction: Transaction, works: Collection[Work]) -> None:
    """The broker did not take these: they wait again, and copies that got through nevertheless are worthless."""
    transaction.connection.execute(
        update(tasks)
        .where(
            tuple_(tasks.c.id, tasks.c.version).in_([(work.task_id, work.version) for work in works]),
            tasks.c.status == TaskStatus.RELEASED.value,
        )
        .values(status=TaskStatus.WAITING.value, version=tasks.c.version + 1, lease_until=None)
    )


class _Due(NamedTuple):
    id: int
    version: int
    tenant: str
    job_id: str
    resource: str
    account: str
    title: str
    rank: int


def _released(transaction: Transaction, stage: Stage) -> int:
    statement = select(func.count()).where(tasks.c.stage == stage.value, tasks.c.status == TaskStatus.RELEASED.value)
    return int(transaction.connection.execute(statement).scalar_one())


def _due(transaction: Transaction, stage: Stage, limit: int, closed: Collection[str]) -> list[_Due]:
    columns = [tasks.c[name] for name in ("id", "version", "tenant", "job_id", "resource", "account", "title")]
    statement = (
        select(*columns, tasks.c.rank)
        .join(jobs, jobs.c.id == tasks.c.job_id)
        .where(
            tasks.c.stage == stage.value,
            tasks.c.status == TaskStatus.WAITING.value,
            tasks.c.due_at <= transaction.now,
            status_in(jobs.c.status, RUNNING),
        )
        .order_by(tasks.c.rank, tasks.c.id)
        .limit(limit)
        .with_for_update(of=tasks, skip_locked=True)
    )
    if closed:
        project = func.coalesce(jobs.c.google_project, DEFAULT_PROJECT)
        statement = statement.where(project.not_in(closed))
    return [_Due._make(row) for row in transaction.connection.execute(statement)]


def _take_turn(transaction: Transaction, stage: Stage, rank: int) -> None:
    statement = transaction.insert_or_keep(stages).values(stage=stage.value, turn=rank)
    transaction.connection.execute(
        statement.on_conflict_do_update(
            index_elements=[stages.c.stage],
            set_={"turn": statement.excluded.turn},
            where=statement.excluded.turn > stages.c.turn,
        )
    )


def turn(transaction: Transaction, stage: Stage) -> int:
    """The rank released last: a task that joins the queue now queues behind it, not before."""
    statement = select(stages.c.turn).where(stages.c.stage == stage.value)
    return int(transaction.connection.execute(statement).scalar() or 0)


def next_due(transaction: Transaction) -> float | None:
    """When, in seconds since 1970, the next task becomes due that is not due yet."""
    statement = select(func.min(tasks.c.due_at)).where(
        tasks.c.status == TaskStatus.WAITING.value, tasks.c.due_at > transaction.now
    )
    due: float | None = transaction.connection.execute(statement).scalar()
    return due


def claim(transaction: Transaction, wanted: Collection[tuple[int, int]], holder: str, lease: float) -> list[HeldTask]:
    """Take the tasks named by (id, version) that are still released under that version, for `lease` seconds.

    What is not in the answer is not to be worked on: an old copy, a task taken by another, or a job that does not run.
    """
    if not wanted:
        return []
    named = tuple_(tasks.c.id, tasks.c.version).in_(list(wanted))
    released = tasks.c.status == TaskStatus.RELEASED.value
    hit = transaction.connection.execute(
        update(tasks)
        .where(named, released, _job_runs)
        .values(
            status=TaskStatus.HELD.value,
            holder=holder,
            lease_until=transaction.now + lease,
            version=tasks.c.version + 1,
            crashes=tasks.c.crashes + 1,
        )
        .returning(tasks.c.id)
    ).scalars()
    held = _held(transaction, list(hit))
    if len(held) < len(wanted):
        transaction.connection.execute(
            update(tasks).where(named, released).values(status=TaskStatus.WAITING.value, version=tasks.c.version + 1)
        )
    _start_jobs(transaction, {task.job_id for task in held})
    return held


def _start_jobs(transaction: Transaction, job_ids: Collection[str]) -> None:
    if not job_ids:
        return
    transaction.connection.execute(
        update(jobs)
        .where(jobs.c.id.in_(job_ids), jobs.c.status == JobStatus.PENDING.value)
        .values(status=JobStatus.PROCESSING.value, updated_at=transaction.now)
    )


_HELD_COLUMNS = (
    *(
        tasks.c[name]
        for name in (
            "version stage tenant job_id resource account title cursor walk pages restarts missing attempt crashes"
        ).split()
    ),
    tasks.c.id.label("task_id"),
    tasks.c.location_no,
    jobs.c.google_project.label("project"),
    jobs.c.pages_settled,
    jobs.c.credential_version,
    func.coalesce(credentials.c.sealed, b"").label("sealed_token"),
    func.coalesce(locations.c.fetched, 0).label("location_fetched"),
    locations.c.total.label("location_total"),
    locations.c.verified.label("location_verified"),
)

_held_statement = (
    select(*_HELD_COLUMNS)
    .join(jobs, jobs.c.id == tasks.c.job_id)
    .outerjoin(credentials, credentials.c.job_id == tasks.c.job_id)
    .outerjoin(locations, locations.c.no == tasks.c.location_no)
    .where(tasks.c.id.in_(bindparam("ids", expanding=True)))
    .order_by(tasks.c.id)
)


def _held(transaction: Transaction, ids: list[int]) -> list[HeldTask]:
    if not ids:
        return []
    rows = transaction.connection.execute(_held_statement, {"ids": ids}).mappings()
    return [HeldTask(**{**row, "stage": Stage(row["stage"])}) for row in rows]


def extend(transaction: Transaction, task_ids: Collection[int], holder: str, lease: float) -> int:
    """Extend the leases of the tasks that `holder` still holds; returns how many these are."""
    return transaction.connection.execute(
        update(tasks)
        .where(tasks.c.id.in_(task_ids), tasks.c.holder == holder, tasks.c.status == TaskStatus.HELD.value)
        .values(lease_until=transaction.now + lease)
    ).rowcount


def reclaim_expired(transaction: Transaction) -> int:
    """Tasks whose holder let the lease run out wait again, due at once; so do released ones that nobody claimed."""
    taken = status_in(tasks.c.status, (TaskStatus.HELD, TaskStatus.RELEASED))
    return _wait_again(transaction, taken & (tasks.c.lease_until < transaction.now))


def reclaim_all(transaction: Transaction) -> int:
    """With the in-process broker, at start: whatever was released or held was so by a process that is gone."""
    return _wait_again(transaction, status_in(tasks.c.status, (TaskStatus.HELD, TaskStatus.RELEASED)))


def _wait_again(transaction: Transaction, which: object) -> int:
    return transaction.connection.execute(
        update(tasks)
        .where(which)  # type: ignore[arg-type] # a column expression; SQLAlchemy's union of them is private
        .values(
            status=TaskStatus.WAITING.value,
            version=tasks.c.version + 1,
            holder=None,
            lease_until=None,
            due_at=transaction.now,
        )
    ).rowcount
