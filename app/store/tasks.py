"""The life of a task between its release and its settle: claimed, its lease extended or run out.

Every transition is a compare-and-set on `version` that raises it, so whoever holds an old copy changes nothing.
"""

from collections.abc import Collection
from functools import lru_cache
from typing import Any

from sqlalchemy import ColumnElement, and_, bindparam, case, exists, func, or_, select, tuple_, update

from app.models.job import RUNNING, HeldTask, JobStatus, Stage, TaskStatus
from app.store.database import HotStatement, Transaction
from app.store.schema import OUT, credentials, jobs, locations, status_in, status_is, tasks, tenants

_job_runs = exists(select(jobs.c.id).where(jobs.c.id == tasks.c.job_id, status_in(jobs.c.status, RUNNING)))


def claim(transaction: Transaction, wanted: Collection[tuple[int, int]], holder: str, lease: float) -> list[HeldTask]:
    """Take the tasks named by (id, version) that are still released under that version, for `lease` seconds.

    What is not in the answer is not to be worked on: an old copy, a task taken by another, or a job that does not run.
    """
    if not wanted:
        return []
    named = _names(wanted)
    taken = {"holder": holder, "lease_until": transaction.now + lease}
    hit = [row[0] for row in _take(len(wanted)).execute(transaction, named | taken)]
    if len(hit) < len(wanted):
        _leave(len(wanted)).execute(transaction, named)
    return _held(transaction, hit)


def _names(wanted: Collection[tuple[int, int]]) -> dict[str, int]:
    return {
        name: value
        for number, (task_id, version) in enumerate(wanted)
        for name, value in ((f"task{number}", task_id), (f"at{number}", version))
    }


def _named(count: int) -> ColumnElement[bool]:
    """So many tasks, each by its id and version."""
    return or_(
        *(
            and_(tasks.c.id == bindparam(f"task{number}"), tasks.c.version == bindparam(f"at{number}"))
            for number in range(count)
        )
    )


@lru_cache(maxsize=256)
def _take(count: int) -> HotStatement:
    return HotStatement(
        update(tasks)
        .where(_named(count), status_is(tasks.c.status, TaskStatus.RELEASED), _job_runs)
        .values(
            status=TaskStatus.HELD.value,
            holder=bindparam("holder"),
            lease_until=bindparam("lease_until"),
            version=tasks.c.version + 1,
            crashes=tasks.c.crashes + 1,
        )
        .returning(tasks.c.id)
    )


@lru_cache(maxsize=256)
def _leave(count: int) -> HotStatement:
    """Released, but their job does not run: they wait again."""
    return HotStatement(
        update(tasks)
        .where(_named(count), status_is(tasks.c.status, TaskStatus.RELEASED))
        .values(status=TaskStatus.WAITING.value, version=tasks.c.version + 1)
    )


_TASK_COLUMNS = "version stage tenant job_id resource account title cursor walk pages restarts missing attempt crashes"

_HELD_COLUMNS = (
    *(tasks.c[name] for name in _TASK_COLUMNS.split()),
    tasks.c.id.label("task_id"),
    tasks.c.location_no,
    jobs.c.google_project.label("project"),
    jobs.c.pages_settled,
    jobs.c.credential_version,
    func.coalesce(credentials.c.sealed, b"").label("sealed_token"),
    jobs.c.token_refreshable,
    jobs.c.token_expires_at,
    credentials.c.refreshed_at.label("token_refreshed_at"),
    func.coalesce(locations.c.fetched, 0).label("location_fetched"),
    locations.c.total.label("location_total"),
    locations.c.verified.label("location_verified"),
    tenants.c.drop_reviewers,
    jobs.c.traceparent,
    jobs.c.status.label("job_status"),
)


@lru_cache(maxsize=256)
def _look(count: int) -> HotStatement:
    return HotStatement(
        select(*_HELD_COLUMNS)
        .join(jobs, jobs.c.id == tasks.c.job_id)
        .outerjoin(credentials, credentials.c.job_id == tasks.c.job_id)
        .outerjoin(locations, locations.c.no == tasks.c.location_no)
        .outerjoin(tenants, tenants.c.tenant == tasks.c.tenant)
        .where(tasks.c.id.in_([bindparam(f"task{number}") for number in range(count)]))
        .order_by(tasks.c.id)
    )


def _held(transaction: Transaction, ids: list[int]) -> list[HeldTask]:
    """The tasks just taken, with what their work needs; their jobs have begun."""
    if not ids:
        return []
    values = {f"task{number}": task_id for number, task_id in enumerate(ids)}
    rows = [dict(row) for row in _look(len(ids)).execute(transaction, values).mappings()]
    begun = {row["job_id"] for row in rows if row.pop("job_status") == JobStatus.PENDING}
    _start_jobs(transaction, begun)
    return [_held_task(row) for row in rows]


def _held_task(row: dict[str, Any]) -> HeldTask:
    verified, drops = row["location_verified"], row["drop_reviewers"]  # numbers in SQLite
    row |= {
        "stage": Stage(row["stage"]),
        "location_verified": None if verified is None else bool(verified),
        "drop_reviewers": None if drops is None else bool(drops),
        "token_refreshable": bool(row["token_refreshable"]),
    }
    return HeldTask(**row)


def _start_jobs(transaction: Transaction, job_ids: Collection[str]) -> None:
    if not job_ids:
        return
    transaction.connection.execute(
        update(jobs)
        .where(jobs.c.id.in_(sorted(job_ids)), status_is(jobs.c.status, JobStatus.PENDING))
        .values(status=JobStatus.PROCESSING.value, updated_at=transaction.now)
    )


def extend(transaction: Transaction, task_ids: Collection[int], holder: str, lease: float) -> int:
    """Extend the leases of the tasks that `holder` still holds; returns how many were extended.

    Those that are being settled right now are passed over: the settle leaves them enough of their leases, and one slow
    commit would cost all others theirs.
    """
    held = (tasks.c.id.in_(task_ids), tasks.c.holder == holder, status_is(tasks.c.status, TaskStatus.HELD))
    free = select(tasks.c.id).where(*held).with_for_update(skip_locked=True)
    return transaction.connection.execute(
        update(tasks).where(tasks.c.id.in_(free)).values(lease_until=transaction.now + lease)
    ).rowcount


def let_go(transaction: Transaction, versions: Collection[tuple[int, int]], holder: str) -> int:
    """Of the tasks named by (id, version), those that `holder` holds under that version wait again as they were.

    A claim that is given back does not count as one that ended with its process; what a settle left held has none.
    """
    named = tuple_(tasks.c.id, tasks.c.version).in_(list(versions))
    held = (tasks.c.holder == holder) & status_is(tasks.c.status, TaskStatus.HELD)
    one_less = case((tasks.c.crashes > 0, tasks.c.crashes - 1), else_=0)
    return _wait_again(transaction, named & held, crashes=one_less)


def reclaim_expired(transaction: Transaction) -> int:
    """Tasks whose holder let the lease run out wait again, due at once; so do released ones that nobody claimed."""
    return _reclaim(transaction, status_in(tasks.c.status, OUT), tasks.c.lease_until < transaction.now)


def reclaim_all(transaction: Transaction) -> int:
    """With the in-process broker, at start: whatever was released or held was so by a process that is gone.

    So is who asked Google for a new access token.
    """
    asked = credentials.c.refreshing_until.is_not(None)
    transaction.connection.execute(update(credentials).where(asked).values(refreshing_until=None))
    return _reclaim(transaction, status_in(tasks.c.status, OUT))


def reclaim_released(transaction: Transaction) -> int:
    """What was released and not claimed waits again, under a new version: copies on their way are worthless."""
    return _reclaim(transaction, status_is(tasks.c.status, TaskStatus.RELEASED))


def _reclaim(transaction: Transaction, *which: ColumnElement[bool]) -> int:
    """What is claimed, extended or settled just now is left alone: to wait for it might be to wait in a circle."""
    by_its_index = tasks.c.lease_until.is_not(None)
    ids = select(tasks.c.id).where(by_its_index, *which).with_for_update(skip_locked=True)
    return _wait_again(transaction, tasks.c.id.in_(ids))


def _wait_again(transaction: Transaction, which: ColumnElement[bool], **changes: ColumnElement[int]) -> int:
    return transaction.connection.execute(
        update(tasks)
        .where(which)
        .values(
            status=TaskStatus.WAITING.value,
            version=tasks.c.version + 1,
            holder=None,
            lease_until=None,
            due_at=transaction.now,
            **changes,
        )
    ).rowcount
