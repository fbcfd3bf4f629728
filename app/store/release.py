"""Which tasks are released next: round robin over the jobs, a few of each, so that a small job overtakes a huge one.

Nothing here depends on how many tasks wait. Jobs are found one by one in an index (a loose index scan), and of each
only as many tasks are read as are released; a paused job with a million tasks costs one look.
"""

from collections import Counter
from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import NamedTuple

from sqlalchemy import (
    CTE,
    ColumnElement,
    Select,
    and_,
    bindparam,
    exists,
    func,
    literal,
    literal_column,
    not_,
    or_,
    select,
    tuple_,
    update,
)

from app.models.job import DEFAULT_PROJECT, RUNNING, Stage, TaskStatus, Work
from app.store.database import HotStatement, Transaction
from app.store.schema import OUT, credentials, jobs, status_in, status_is, tasks

RELEASE_SECONDS = 300.0
"""A released task that nobody claimed for so long was lost on its way: five minutes are ample for a topic whose lag is
bounded by the window, and a second copy does no harm."""

SAME_WAIT_SECONDS = 1.0
"""Waits of a job that end so close to each other are told as one."""

MOST_JOBS = 200
"""Looked at in one pass; further ones have their turn in the next."""


class Window(NamedTuple):
    """How many tasks of a stage may be out and not yet claimed: of all jobs together, and of one job.

    Each replica makes it for its own slots. How many replicas there are shows in what they hold (`widened`).
    """

    total: int
    per_job: int

    def widened(self, held: int) -> "Window":
        """For replicas that hold `held` tasks together: as many again are at hand, however many replicas there are.

        One job may have no more than these, all of them four times as many: a small job's task is released behind one
        round of a huge job's tasks, not behind all of them.
        """
        return Window(max(self.total, 4 * held), max(self.per_job, held))


class QuotaWait(NamedTuple):
    """Why nothing of a Google project's jobs can be released, in words for people, and for how many seconds."""

    reason: str
    seconds: float


NO_WAITS: Mapping[str, QuotaWait] = MappingProxyType({})


class Released(NamedTuple):
    """The tasks released, for the broker; the job at which the next pass goes on; whether the round is over."""

    works: list[Work]
    last_job: str
    complete: bool


def release(
    transaction: Transaction,
    stage: Stage,
    window: Window,
    after: str = "",
    closed: Mapping[str, QuotaWait] = NO_WAITS,
    *,
    began: str | None = None,
) -> Released:
    """Release due tasks of running jobs, beginning with the job that follows `after`.

    A round ends when something was released, or when every job was looked at: `began` is where it began (None: here).
    Tasks of jobs whose Google project is among `closed` stay: its quota is spent, and they could only come back. The
    jobs are told so.
    The caller hands them to the broker after the commit; what is lost between the two is found by `reclaim_expired`.
    """
    held, out = _out(transaction, stage)
    window = window.widened(held)
    room = window.total - sum(out.values())
    if room <= 0:
        return Released([], after, complete=True)
    looked_at, all_seen = _jobs_in_turn(transaction, stage, after, after if began is None else began)
    due = [job for job in looked_at if job.due]
    for job in sorted(due):  # by their ids, as whoever else locks several jobs
        _tell(transaction, job, closed.get(job.project))
    ready = [job.id for job in due if job.project not in closed and out[job.id] < window.per_job][:room]
    works: list[Work] = []
    # A fair share first; what small jobs leave of it is for those that have more.
    for share in (max(1, room // max(1, len(ready))), window.per_job):
        for job_id in ready:
            wanted = min(share, window.per_job - out[job_id], room - len(works))
            taken = _release_of(transaction, stage, job_id, wanted) if wanted > 0 else []
            out[job_id] += len(taken)
            works += taken
    last = ready[-1] if ready else looked_at[-1].id if looked_at else after
    return Released(works, last, complete=all_seen or bool(works))


def unrelease(transaction: Transaction, works: Collection[Work]) -> None:
    """The broker did not take these: they wait again, and copies that got through nevertheless are worthless."""
    transaction.connection.execute(
        update(tasks)
        .where(
            tuple_(tasks.c.id, tasks.c.version).in_([(work.task_id, work.version) for work in works]),
            status_is(tasks.c.status, TaskStatus.RELEASED),
        )
        .values(status=TaskStatus.WAITING.value, version=tasks.c.version + 1, lease_until=None)
    )


def next_due(transaction: Transaction) -> float | None:
    """When, in seconds since 1970, the next task becomes due that is not due yet."""
    due: float | None = _next_due.execute(transaction, {"now": transaction.now}).scalar()
    return due


def _out(transaction: Transaction, stage: Stage) -> tuple[int, Counter[str]]:
    """How many tasks all replicas hold; and job → its tasks that are released and not claimed yet."""
    held, released = 0, Counter[str]()
    for status, job_id, count in _count_out.execute(transaction, {"stage": stage.value}):
        if status == TaskStatus.HELD:
            held += count
        else:
            released[job_id] = count
    return held, released


_waits = and_(tasks.c.stage == bindparam("stage"), status_is(tasks.c.status, TaskStatus.WAITING))

# The scheduler asks these again and again, also when there is nothing to do.
_next_due = HotStatement(
    select(func.min(tasks.c.due_at)).where(
        status_is(tasks.c.status, TaskStatus.WAITING), tasks.c.due_at > bindparam("now")
    )
)
_count_out = HotStatement(
    select(tasks.c.status, tasks.c.job_id, func.count())
    .where(tasks.c.stage == bindparam("stage"), status_in(tasks.c.status, OUT))
    .group_by(tasks.c.status, tasks.c.job_id)
)


class _Job(NamedTuple):
    """A job with waiting tasks. `due`: it runs, has a token or may ask for one, and at least one of them is due."""

    id: str
    due: bool
    project: str
    waiting_until: float | None


def _tell(transaction: Transaction, job: _Job, wait: QuotaWait | None) -> None:
    """Why nothing of the job happens, where people look: once for each wait, which is never timed to the millisecond
    twice."""
    if wait is None:
        return
    until = transaction.now + wait.seconds
    if (job.waiting_until or 0.0) >= until - SAME_WAIT_SECONDS:
        return
    transaction.connection.execute(
        update(jobs).where(jobs.c.id == job.id).values(waiting_reason=wait.reason, waiting_until=until)
    )


def _jobs_in_turn(transaction: Transaction, stage: Stage, after: str, began: str) -> tuple[list[_Job], bool]:
    """The next jobs with waiting tasks in the order of their ids: to the end, then from the front up to `began`.

    And whether the round, which began behind `began`, is through with them.
    """
    behind = [] if after < began else _following(transaction, stage, after, MOST_JOBS)
    room = MOST_JOBS - len(behind)
    if not room:
        return behind, False
    front = _following(transaction, stage, after if after < began else "", room)
    before = [job for job in front if job.id <= began]
    return behind + before, len(before) < room or before[-1].id == began


def _following(transaction: Transaction, stage: Stage, after: str, most: int) -> list[_Job]:
    values = {"stage": stage.value, "after": after, "now": transaction.now, "most": most}
    return [_Job._make(row) for row in _jobs_after.execute(transaction, values)]


def waiting_jobs() -> CTE:
    """The ids (`job_id`) of the next `:most` jobs with waiting tasks of `:stage`, in order, behind `:after`.

    Each step is one look into the index of waiting tasks. The steps are counted, because SQLite takes all of them
    before it hands out the first row.
    """
    first = select(func.min(tasks.c.job_id).label("job_id"), literal(1).label("step"))
    walk = first.where(_waits, tasks.c.job_id > bindparam("after")).cte("waiting_jobs", recursive=True)
    following = select(func.min(tasks.c.job_id)).where(_waits, tasks.c.job_id > walk.c.job_id).scalar_subquery()
    more = and_(walk.c.job_id.is_not(None), walk.c.step < bindparam("most"))
    return walk.union_all(select(following, walk.c.step + 1).where(more))


def _what_a_job_holds() -> Select[str, bool, str, float | None]:
    walk = waiting_jobs()
    due = exists(select(literal(1)).where(_waits, tasks.c.job_id == jobs.c.id, tasks.c.due_at <= bindparam("now")))
    project = func.coalesce(jobs.c.google_project, DEFAULT_PROJECT)
    works = and_(status_in(jobs.c.status, RUNNING), due, not_(and_(jobs.c.token_refreshable, _token_is_to_come())))
    columns = (jobs.c.id, works, project, jobs.c.waiting_until)
    return select(*columns).select_from(walk.join(jobs, jobs.c.id == walk.c.job_id)).limit(bindparam("most"))


def _token_is_to_come() -> ColumnElement[bool]:
    """The job has no token that lives, and one is asked for, or cannot be had just now: its tasks could only come
    back."""
    now: ColumnElement[float] = bindparam("now")
    dead = or_(jobs.c.token_expires_at <= now, func.length(credentials.c.sealed) == literal_column("0"))
    return exists(
        select(literal(1)).where(credentials.c.job_id == jobs.c.id, credentials.c.refreshing_until > now, dead)
    )


_jobs_after = HotStatement(_what_a_job_holds())

_release_due = HotStatement(
    update(tasks)
    .where(
        tasks.c.id.in_(
            select(tasks.c.id)
            .where(_waits, tasks.c.job_id == bindparam("job"), tasks.c.due_at <= bindparam("now"))
            .order_by(tasks.c.due_at, tasks.c.id)
            .limit(bindparam("most"))
            .with_for_update(skip_locked=True)
        )
    )
    .values(
        status=literal_column(f"'{TaskStatus.RELEASED.value}'"),
        version=tasks.c.version + 1,
        lease_until=bindparam("lost_at"),
    )
    .returning(
        tasks.c.due_at, tasks.c.id, tasks.c.version, tasks.c.tenant, tasks.c.resource, tasks.c.account, tasks.c.title
    )
)


def _release_of(transaction: Transaction, stage: Stage, job_id: str, limit: int) -> list[Work]:
    """The job's tasks that have been due longest."""
    now = transaction.now
    values = {"stage": stage.value, "job": job_id, "now": now, "most": limit, "lost_at": now + RELEASE_SECONDS}
    rows = sorted(_release_due.execute(transaction, values), key=lambda row: (row.due_at, row.id))
    return [Work(row.id, row.version, stage, row.tenant, job_id, row.resource, row.account, row.title) for row in rows]
