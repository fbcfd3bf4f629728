"""Dead work is tried again: dead − 1 and open + 1 in one transaction, and a job that ended in `dlq` goes on.

Under the lock of the job, as whatever else brings a dead location back: whoever comes second finds nothing dead.
"""

from collections.abc import Sequence
from itertools import groupby

from sqlalchemy import RowMapping, select, update

from app.models.job import JobStatus, LocationState, Problem, TaskStatus
from app.models.transitions import TRANSITIONS, JobAction
from app.models.views import RedriveRequest
from app.store.database import Transaction
from app.store.loads import clock_anew
from app.store.reads import undriven
from app.store.schema import credentials, dead_letters, jobs, locations, tasks


def match_dead_letters(
    transaction: Transaction, tenant: str, request: RedriveRequest, before: int | None, limit: int
) -> list[int]:
    """The ids of at most `limit` dead letters that the request names, newest first, behind the id `before`."""
    cause = request.filter.cause if request.filter else None
    job_id = request.filter.job_id if request.filter else None
    which = undriven(tenant, cause, job_id)
    if request.ids is not None:
        which.append(dead_letters.c.id.in_(request.ids))
    if before is not None:
        which.append(dead_letters.c.id < before)
    statement = select(dead_letters.c.id).where(*which).order_by(dead_letters.c.id.desc()).limit(limit)
    return list(transaction.connection.execute(statement).scalars())


def redrive(transaction: Transaction, tenant: str, ids: Sequence[int]) -> int:
    """Put the tasks of these letters back to waiting, at the page they stopped at; how many they were.

    Left out are letters without a task, those redriven already, and those of jobs that cannot be left any more.
    """
    statement = (
        select(dead_letters.c.id, dead_letters.c.job_id, dead_letters.c.task_id)
        .where(*undriven(tenant, None, None), dead_letters.c.id.in_(ids), dead_letters.c.task_id.is_not(None))
        .order_by(dead_letters.c.job_id, dead_letters.c.id)
    )
    letters = transaction.connection.execute(statement).mappings().all()
    by_job = groupby(letters, key=lambda letter: str(letter["job_id"]))
    return sum(_redrive_job(transaction, job_id, list(of_job)) for job_id, of_job in by_job)


def _redrive_job(transaction: Transaction, job_id: str, letters: Sequence[RowMapping]) -> int:
    locked = select(jobs.c.status).where(jobs.c.id == job_id).with_for_update()
    status = JobStatus(transaction.connection.execute(locked).scalar_one())
    if status not in TRANSITIONS[JobAction.REDRIVE]:
        return 0
    dead = _dead_tasks(transaction, [letter["task_id"] for letter in letters])
    if not dead:
        return 0
    _wait_again(transaction, [task["id"] for task in dead])
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


def _wait_again(transaction: Transaction, ids: Sequence[int]) -> None:
    """With all attempts and restarts again."""
    transaction.connection.execute(
        update(tasks)
        .where(tasks.c.id.in_(ids))
        .values(
            status=TaskStatus.WAITING.value,
            version=tasks.c.version + 1,
            attempt=0,
            crashes=0,
            restarts=0,
            missing=0,
            due_at=transaction.now,
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
