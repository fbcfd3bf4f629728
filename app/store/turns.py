"""Who has waiting tasks: tenants in turn, and of each its jobs in turn.

Both are found one by one in the index of waiting tasks (a loose index scan), so nothing here depends on how many tasks
wait, nor on how many jobs one tenant has: a pass looks at so many tenants and so many jobs, and the next goes on.
"""

from collections.abc import Collection, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple

from sqlalchemy import (
    CTE,
    ColumnElement,
    Text,
    and_,
    bindparam,
    case,
    cast,
    exists,
    false,
    func,
    literal,
    literal_column,
    not_,
    or_,
    select,
    union_all,
)

from app.models.job import DEFAULT_PROJECT, RUNNING, Stage, TaskStatus
from app.store.database import HotStatement, Transaction
from app.store.schema import credentials, jobs, status_in, status_is, tasks, tenants

MOST_JOBS = 200
"""Looked at in one pass, of all tenants together; further ones have their turn in the next."""

MOST_TENANTS = 100
"""Looked at in one pass: at least two jobs of each."""

MOST_PLACES = 10_000
"""Tenants whose place in their own round is remembered; one that is forgotten begins anew."""


class Turn(NamedTuple):
    """A place in a round over names: behind `after`, in a round that began behind `began`."""

    after: str = ""
    began: str = ""

    def anew(self) -> "Turn":
        """The same place, and a round that begins here."""
        return Turn(self.after, self.after)


NO_TURNS: Mapping[str, Turn] = MappingProxyType({})


class Place(NamedTuple):
    """Where a pass goes on: among the tenants, and among the jobs of each."""

    tenants: Turn = Turn()
    jobs: Mapping[str, Turn] = NO_TURNS

    def anew(self) -> "Place":
        return Place(self.tenants.anew(), {tenant: turn.anew() for tenant, turn in self.jobs.items()})


class Job(NamedTuple):
    """A job with waiting tasks. `due`: it runs, has a token or may ask for one, and at least one of them is due.
    `waiting_until`: when its last wait ends or ended, as people were told."""

    tenant: str
    id: str
    due: bool
    project: str | None
    waiting_until: float | None
    traceparent: str | None = None

    def is_kept_back(self, closed: Collection[str], now: float) -> bool:
        """Whether its Google project is among those without quota. A job whose project is not known goes on, to learn
        of it, unless it has just tried in vain and was told to wait for the budget that stood in."""
        if self.project is not None:
            return self.project in closed
        return DEFAULT_PROJECT in closed and (self.waiting_until or 0.0) > now


class Looked(NamedTuple):
    """Of a tenant: where its round was, the jobs looked at, in turn, and whether the round is through with them."""

    weight: int
    turn: Turn
    jobs: list[Job]
    all_seen: bool


def look(transaction: Transaction, stage: Stage, place: Place) -> tuple[dict[str, Looked], bool]:
    """The next tenants with waiting tasks, in turn, with their next jobs; and whether these were all tenants."""
    weights, all_seen = _tenants_in_turn(transaction, stage, place.tenants)
    if not weights:
        return {}, all_seen
    each = max(1, MOST_JOBS // len(weights))
    turns = {tenant: place.jobs.get(tenant, Turn()) for tenant in weights}
    found = _jobs_in_turn(transaction, stage, turns, each)
    return {tenant: Looked(weights[tenant], turns[tenant], *found[tenant]) for tenant in weights}, all_seen


def _tenants_in_turn(transaction: Transaction, stage: Stage, turn: Turn) -> tuple[dict[str, int], bool]:
    """Tenant → weight, in turn: to the end, then from the front up to where the round began."""
    most = MOST_TENANTS
    behind = [] if turn.after < turn.began else tenants_behind(transaction, stage, turn.after, most)
    room = most - len(behind)
    if not room:
        return dict(behind), False
    front = tenants_behind(transaction, stage, turn.after if turn.after < turn.began else "", room)
    before = [(tenant, weight) for tenant, weight in front if tenant <= turn.began]
    return dict(behind + before), len(before) < room or before[-1][0] == turn.began


def tenants_behind(transaction: Transaction, stage: Stage, after: str, most: int) -> list[tuple[str, int]]:
    """At most so many tenants with waiting tasks, by name, with their weights."""
    rows = _tenants_after.execute(transaction, {"stage": stage.value, "after": after, "most": most})
    return [(tenant, weight) for tenant, weight in rows]


def _jobs_in_turn(
    transaction: Transaction, stage: Stage, turns: Mapping[str, Turn], each: int
) -> dict[str, tuple[list[Job], bool]]:
    """Of each tenant at most so many jobs, in the order of their ids: to the end, then from the front."""
    first = _jobs_behind(transaction, stage, {tenant: turn.after for tenant, turn in turns.items()}, each)
    wrapped = {tenant for tenant, turn in turns.items() if turn.after < turn.began}
    through = [
        tenant for tenant in turns if tenant not in wrapped and turns[tenant].after and len(first[tenant]) < each
    ]
    front = _jobs_behind(transaction, stage, dict.fromkeys(through, ""), each)
    found = {}
    for tenant, turn in turns.items():
        behind, ahead = ([], first[tenant]) if tenant in wrapped else (first[tenant], front.get(tenant, []))
        room = each - len(behind)
        before = [job for job in ahead[:room] if job.id <= turn.began]
        found[tenant] = (behind + before, room > 0 and (len(before) < room or before[-1].id == turn.began))
    return found


def _jobs_behind(transaction: Transaction, stage: Stage, after: Mapping[str, str], most: int) -> dict[str, list[Job]]:
    found: dict[str, list[Job]] = {tenant: [] for tenant in after}
    if not after:
        return found
    values: dict[str, object] = {"stage": stage.value, "now": transaction.now, "most": most}
    for number, (tenant, job_id) in enumerate(after.items()):
        values |= {f"tenant{number}": tenant, f"after{number}": job_id}
    for row in _jobs_after(len(after)).execute(transaction, values):
        found[row[0]].append(Job._make(row))
    return found


waits = and_(tasks.c.stage == bindparam("stage"), status_is(tasks.c.status, TaskStatus.WAITING))


def _walk_of_tenants() -> CTE:
    """The steps are counted, because SQLite takes all of them before it hands out the first row."""
    first = select(func.min(tasks.c.tenant).label("tenant"), literal(1).label("step"))
    walk = first.where(waits, tasks.c.tenant > bindparam("after")).cte("waiting_tenants", recursive=True)
    following = select(func.min(tasks.c.tenant)).where(waits, tasks.c.tenant > walk.c.tenant).scalar_subquery()
    more = and_(walk.c.tenant.is_not(None), walk.c.step < bindparam("most"))
    return walk.union_all(select(following, walk.c.step + 1).where(more))


def waiting_jobs(count: int = 1) -> CTE:
    """The ids (`tenant`, `job_id`) of the next `:most` jobs with waiting tasks of `:stage`, of each of `count` tenants
    (`:tenant0` …) behind its `:after0` …, in order. Each step is one look into the index of waiting tasks."""
    begin = [
        select(
            cast(bindparam(f"tenant{number}"), Text).label("tenant"),
            cast(bindparam(f"after{number}"), Text).label("job_id"),
        )
        for number in range(count)
    ]
    begins = union_all(*begin).cte("begins") if count > 1 else begin[0].cte("begins")
    first = select(begins.c.tenant, _job_behind(begins).label("job_id"), literal(1).label("step"))
    walk = first.cte("waiting_jobs", recursive=True)
    more = and_(walk.c.job_id.is_not(None), walk.c.step < bindparam("most"))
    return walk.union_all(select(walk.c.tenant, _job_behind(walk), walk.c.step + 1).where(more))


def _job_behind(place: CTE) -> ColumnElement[str | None]:
    which = (waits, tasks.c.tenant == place.c.tenant, tasks.c.job_id > place.c.job_id)
    return select(func.min(tasks.c.job_id)).where(*which).scalar_subquery()


def token_is_to_come(now: ColumnElement[float]) -> ColumnElement[bool]:
    """The job has no token that lives, and one is asked for, or cannot be had just now: its tasks could only come
    back."""
    dead = or_(jobs.c.token_expires_at <= now, func.length(credentials.c.sealed) == literal_column("0"))
    asked_for = (credentials.c.job_id == jobs.c.id, credentials.c.refreshing_until > now, dead)
    return and_(jobs.c.token_refreshable, exists(select(literal(1)).where(*asked_for)))


def could_run_from(due: ColumnElement[float], waiting_until: ColumnElement[float]) -> ColumnElement[float]:
    """Since when, or from when on, a task that is `due` could run, by its job's last wait: tasks that wait for quota
    are due long before.

    For a job that goes on after it stood still, `due` is now: that is its last wait then.
    """
    return case((waiting_until > due, waiting_until), else_=due)


_walked = _walk_of_tenants()
_tenants_after = HotStatement(
    select(_walked.c.tenant, func.coalesce(tenants.c.weight, 1))
    .select_from(_walked.outerjoin(tenants, tenants.c.tenant == _walked.c.tenant))
    .where(_walked.c.tenant.is_not(None))
    .order_by(_walked.c.step)
)


@lru_cache(maxsize=MOST_TENANTS)
def _jobs_after(count: int) -> HotStatement:
    walk = waiting_jobs(count)
    of_job = (waits, tasks.c.tenant == walk.c.tenant, tasks.c.job_id == walk.c.job_id)
    # The first by the index. For an EXISTS PostgreSQL may read all that waits into a hash.
    due = select(func.min(tasks.c.due_at)).where(*of_job).scalar_subquery() <= bindparam("now")
    works = and_(status_in(jobs.c.status, RUNNING), due, not_(token_is_to_come(bindparam("now"))))
    of_jobs = (jobs.c.google_project, jobs.c.waiting_until, jobs.c.traceparent)
    columns = (walk.c.tenant, walk.c.job_id, func.coalesce(works, false()), *of_jobs)
    return HotStatement(
        select(*columns)
        .select_from(walk.outerjoin(jobs, jobs.c.id == walk.c.job_id))
        .where(walk.c.job_id.is_not(None))
        .order_by(walk.c.tenant, walk.c.step)
    )
