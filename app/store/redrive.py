"""Dead work is tried again: dead − 1 and open + 1 in one transaction, and a job that ended in `dlq` goes on.

Under the lock of the job, as whatever else brings a dead location back: whoever comes second finds nothing dead.
"""

from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

from sqlalchemy import ColumnElement, RowMapping, bindparam, case, func, select, update

from app.models.job import JobStatus, LocationState, Problem, TaskStatus
from app.models.transitions import TRANSITIONS, JobAction
from app.models.views import RedriveRequest
from app.store.database import Transaction
from app.store.letters import is_parked, undriven
from app.store.loads import clock_anew
from app.store.schema import credentials, dead_letters, jobs, locations, tasks
from app.store.webhooks import tell_callback

MAX_REDRIVES = 5
"""DLQ_MAX_REDRIVES, unless somebody says otherwise."""


class Match(NamedTuple):
    """A dead letter that a request names."""

    id: int
    parked: bool


def match_dead_letters(
    transaction: Transaction,
    tenant: str,
    request: RedriveRequest,
    before: int | None,
    limit: int,
    *,
    max_redrives: int = MAX_REDRIVES,
) -> list[Match]:
    """At most `limit` dead letters that the request names, newest first, behind the id `before`."""
    which = _named(tenant, request)
    if before is not None:
        which.append(dead_letters.c.id < before)
    columns = select(dead_letters.c.id, is_parked(max_redrives).label("parked"))
    statement = columns.where(*which).order_by(dead_letters.c.id.desc()).limit(limit)
    return [Match(row[0], bool(row[1])) for row in transaction.connection.execute(statement)]


def count_matches(transaction: Transaction, tenant: str, request: RedriveRequest, max_redrives: int) -> tuple[int, int]:
    """How many dead letters the request names, and how many of them are parked."""
    parked = func.coalesce(func.sum(case((is_parked(max_redrives), 1), else_=0)), 0)
    row = transaction.connection.execute(select(func.count(), parked).where(*_named(tenant, request))).one()
    return int(row[0]), int(row[1])


def _named(tenant: str, request: RedriveRequest) -> list[ColumnElement[bool]]:
    which = undriven(tenant, request.filter)
    return which if request.ids is None else [*which, dead_letters.c.id.in_(request.ids)]


def redrive(transaction: Transaction, tenant: str, ids: Sequence[int], interval: float = 0.0, nth: int = 0) -> int:
    """Put the tasks of these letters back to waiting, at the page they stopped at; how many they were.

    They become due `interval` seconds after each other, the first as the `nth` one. Left out are letters without a
    task, those redriven already, and those of jobs that cannot be left any more.
    """
    statement = (
        select(dead_letters.c.id, dead_letters.c.job_id, dead_letters.c.task_id)
        .where(*undriven(tenant), dead_letters.c.id.in_(ids), dead_letters.c.task_id.is_not(None))
        .order_by(dead_letters.c.job_id, dead_letters.c.id)
    )
    letters = transaction.connection.execute(statement).mappings().all()
    done = 0
    for job_id, of_job in groupby(letters, key=lambda letter: str(letter["job_id"])):
        if (status := _locked(transaction, tenant, job_id)) is not None:
            done += _redrive_job(transaction, job_id, status, list(of_job), _Pace(interval, nth + done))
    return done


class _Pace(NamedTuple):
    """Tasks become due `interval` seconds after each other, the first as the `nth` one."""

    interval: float
    nth: int


def _locked(transaction: Transaction, tenant: str, job_id: str) -> JobStatus | None:
    """The job's state, which stays so until the commit. None: it is being erased, and not the tenant's any more."""
    locked = select(jobs.c.status).where(jobs.c.id == job_id, jobs.c.tenant == tenant).with_for_update()
    status = transaction.connection.execute(locked).scalar_one_or_none()
    return None if status is None else JobStatus(status)


def _redrive_job(
    transaction: Transaction, job_id: str, status: JobStatus, letters: Sequence[RowMapping], pace: _Pace
) -> int:
    if status not in TRANSITIONS[JobAction.REDRIVE]:
        return 0
    dead = _dead_tasks(transaction, [letter["task_id"] for letter in letters])
    if not dead:
        return 0
    _wait_again(transaction, [task["id"] for task in dead], pace)
    _reopen_locations(transaction, [task["location_no"] for task in dead if task["location_no"] is not None])
    revived = {task["id"] for task in dead}
    _mark(transaction, [letter["id"] for letter in letters if letter["task_id"] in revived])
    _count(transaction, job_id, len(dead))
    if status is JobStatus.DLQ:
        _go_on(transaction, job_id)
    return len(dead)


def _dead_tasks(transaction: Transaction, ids: Sequence[int]) -> Sequence[RowMapping]:
    statement = (
        select(tasks.c.id, tasks.c.stage, tasks.c.location_no)
        .where(tasks.c.id.in_(ids), tasks.c.status == TaskStatus.DEAD.value)
        .order_by(tasks.c.stage, tasks.c.id)
        .with_for_update()
    )
    return transaction.connection.execute(statement).mappings().all()


def _wait_again(transaction: Transaction, ids: Sequence[int], pace: _Pace) -> None:
    """With all attempts and restarts again, one after another."""
    due = [
        {"dead_id": task_id, "due": transaction.now + (pace.nth + number) * pace.interval}
        for number, task_id in enumerate(ids)
    ]
    transaction.connection.execute(_revive, due)


_revive = (
    update(tasks)
    .where(tasks.c.id == bindparam("dead_id"))
    .values(
        status=TaskStatus.WAITING.value,
        version=tasks.c.version + 1,
        attempt=0,
        crashes=0,
        restarts=0,
        missing=0,
        due_at=bindparam("due"),
        holder=None,
        lease_until=None,
    )
)


def _reopen_locations(transaction: Transaction, numbers: Sequence[int]) -> None:
    transaction.connection.execute(
        update(locations)
        .where(locations.c.no.in_(numbers), locations.c.state == LocationState.DEAD.value)
        .values(state=LocationState.WAITING.value, cause=None, gap=None)
    )


def _mark(transaction: Transaction, ids: Sequence[int]) -> None:
    transaction.connection.execute(
        update(dead_letters)
        .where(dead_letters.c.id.in_(ids))
        .values(redrives=dead_letters.c.redrives + 1, redriven_at=transaction.now)
    )


def _count(transaction: Transaction, job_id: str, revived: int) -> None:
    transaction.connection.execute(
        update(jobs)
        .where(jobs.c.id == job_id)
        .values(
            tasks_open=jobs.c.tasks_open + revived,
            tasks_dead=jobs.c.tasks_dead - revived,
            updated_at=transaction.now,
        )
    )


def _go_on(transaction: Transaction, job_id: str) -> None:
    """A job in `dlq` is processed again, with the token that was kept for it, or once it is given another."""
    kept = transaction.connection.execute(
        update(credentials)
        .where(credentials.c.job_id == job_id, credentials.c.wipe_after > transaction.now)
        .values(wipe_after=None)
    ).rowcount
    problem = Problem("token_expired", "The job's access token was wiped after the job ended. Give it a new one.")
    values: dict[str, object] = {"status": JobStatus.PROCESSING.value, "finished_at": None, **clock_anew(transaction)}
    if not kept:
        values |= {
            "status": JobStatus.NEEDS_TOKEN.value,
            "error_type": problem.type,
            "error_detail": problem.detail,
        }
    transaction.connection.execute(update(jobs).where(jobs.c.id == job_id).values(values))
    if not kept:
        tell_callback(transaction, job_id)
