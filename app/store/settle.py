"""Settle: everything that one answer of Google changes, in one transaction.

First the guarded UPDATE of the task: when it hits no row, somebody else has it, or the job has ended, and this settle
alone is dropped. Then what the page held, and last the job's counters, relatively: two last tasks that settle at the
same time must both be counted. Open = 0 ends the job.

Nobody waits in a circle: rows that belong to a task that is held are changed by its settle alone. What other settles of
the job, or a redrive, may want as well (a location that is listed or given up) is touched under the lock of the job.
"""

import json
from dataclasses import replace

from sqlalchemy import Double, Text, bindparam, case, exists, func, null, select, update

from app.models.job import (
    OPEN,
    RUNNING,
    HeldTask,
    JobStatus,
    LocationState,
    Stage,
    TaskStatus,
)
from app.models.settlement import LocationEnd, Move, Settled, Settlement, SettleOptions
from app.store.bury import bury, bury_items
from app.store.counters import Counters, JobNow, add_to_job
from app.store.database import HotStatement, Transaction, commits_together
from app.store.ends import fail_job, finish_job, park_for_token
from app.store.found import insert_accounts, insert_locations, insert_reviews, next_account
from app.store.schema import jobs, locations, status_in, status_is, tasks

LEASE_LEFT_SECONDS = 10.0
"""So much of the lease has a task that goes on at least: extensions pass over a task that is being settled, and where
commits are slow it nearly always is. What an extension left is more, and then its index has nothing to change."""


class JobEndedMeanwhileError(Exception):
    """The job ended between this settle's guard and its counters: nothing of the settle is written."""


_job_open = exists(select(jobs.c.id).where(jobs.c.id == tasks.c.job_id, status_in(jobs.c.status, OPEN)))

_lock = HotStatement(select(jobs.c.credential_version).where(jobs.c.id == bindparam("job")).with_for_update())

_lease_left = bindparam("lease_left", type_=Double)

_guard = HotStatement(
    update(tasks)
    .where(
        tasks.c.id == bindparam("held_id"),
        tasks.c.version == bindparam("held_version"),
        status_is(tasks.c.status, TaskStatus.HELD),
        _job_open,
    )
    .values(
        version=tasks.c.version + 1,
        cursor=bindparam("next_cursor"),
        pages=bindparam("settled_pages"),
        attempt=0,
        crashes=0,
        lease_until=case((tasks.c.lease_until < _lease_left, _lease_left), else_=tasks.c.lease_until),
    )
)


@commits_together(
    lambda settlement, _options: settlement.task.job_id,
    lambda settlement, _options: settlement.task.task_id,
)
def settle(transaction: Transaction, settlement: Settlement, options: SettleOptions) -> Settled:
    """Write the settlement, or nothing of it."""
    task = settlement.task
    taken = _guard.execute(
        transaction,
        {
            "held_id": task.task_id,
            "held_version": task.version,
            "next_cursor": settlement.move.cursor,
            "settled_pages": settlement.move.pages,
            "lease_left": transaction.now + LEASE_LEFT_SECONDS,
        },
    )
    if taken.rowcount == 0:
        return Settled(None)
    if settlement.unless_token_replaced is not None and _token_was_replaced(transaction, task):
        settlement = replace(settlement, move=settlement.unless_token_replaced, job_problem=None, location_end=None)
    add = Counters(calls=settlement.calls, pages_settled=int(settlement.page))
    move = _write(transaction, settlement, add, options)
    job = add_to_job(transaction, task.job_id, add)
    if job is None:
        raise JobEndedMeanwhileError
    if job.status not in RUNNING and move.status is TaskStatus.HELD:
        move = replace(move, status=TaskStatus.WAITING)
    if not _stays_as_guarded(task, settlement.move, move):
        _place(transaction, task, move)
    first, age = 0 < add.reviews_fetched == job.reviews_fetched, transaction.now - job.created_at
    ended = _after(transaction, settlement, job, options)
    return Settled(
        move,
        task.version + 1,
        new_reviews=add.reviews_fetched,
        duplicates=add.reviews_duplicates,
        new_tasks=add.tasks_open + (move.status in (TaskStatus.DONE, TaskStatus.DEAD)),
        total=settlement.total,
        job_ended=ended,
        first_review_after=age if first else None,
        ended_after=age if ended else None,
    )


def _token_was_replaced(transaction: Transaction, task: HeldTask) -> bool:
    """Whoever gives the job a new token does so before this settle, or after its end."""
    return _lock_job(transaction, task) != task.credential_version


def _lock_job(transaction: Transaction, task: HeldTask) -> int:
    """Hold the job's row until the commit. Returns the version of its token."""
    row = _lock.execute(transaction, {"job": task.job_id}).one()
    return int(row[0])


def _write(transaction: Transaction, settlement: Settlement, add: Counters, options: SettleOptions) -> Move:
    """What the page held, and where the task goes from there."""
    task, move, end, new = settlement.task, settlement.move, settlement.location_end, 0
    if settlement.accounts:
        new = insert_accounts(transaction, task, settlement.accounts, add)
    if settlement.locations:
        _lock_job(transaction, task)
        new = insert_locations(transaction, task, settlement.locations, add)
    if settlement.reviews:
        insert_reviews(transaction, task, settlement.reviews, add, announce=options.announce)
    if settlement.given_up:
        bury_items(transaction, settlement, announce=options.announce)
    if settlement.again is not None:
        move, end = settlement.again(new + add.reviews_fetched)
    if settlement.try_other_account or (end is not None and end.state is not LocationState.DONE):
        _lock_job(transaction, task)
    if settlement.try_other_account:
        move, end = _try_next_account(transaction, task, move, end)
    if task.location_no is not None and (settlement.page or end is not None):
        _update_location(transaction, settlement, end, add)
    _count_end(task, move, end, add)
    if move.status is TaskStatus.DEAD:
        bury(transaction, task, move, announce=options.announce)
    return move


def _try_next_account(
    transaction: Transaction, task: HeldTask, move: Move, end: LocationEnd | None
) -> tuple[Move, LocationEnd | None]:
    """A location that one account may not read is asked for through the next account that lists it."""
    account = next_account(transaction, task.location_no) if task.location_no is not None else None
    if account is None:
        return move, end
    transaction.connection.execute(update(tasks).where(tasks.c.id == task.task_id).values(account=account))
    return Move(TaskStatus.WAITING, error=move.error), None


_grow_location = HotStatement(
    update(locations)
    .where(locations.c.no == bindparam("number"))
    .values(
        fetched=locations.c.fetched + bindparam("new"),
        duplicates=locations.c.duplicates + bindparam("seen_before"),
        total=bindparam("newest_total"),
        average=func.coalesce(bindparam("newest_average", type_=Double), locations.c.average),
    )
)

_end_location = HotStatement(
    update(locations)
    .where(locations.c.no == bindparam("number"))
    .values(state=bindparam("end"), cause=bindparam("why"), gap=bindparam("missing_rows"))
)


def _update_location(transaction: Transaction, settlement: Settlement, end: LocationEnd | None, add: Counters) -> None:
    task = settlement.task
    total = settlement.total if settlement.total is not None else task.location_total
    add.reviews_expected += (total or 0) - (task.location_total or 0)
    add.locations_begun += int(task.location_total is None and total is not None)
    if settlement.page:
        _grow_location.execute(
            transaction,
            {
                "number": task.location_no,
                "new": add.reviews_fetched,
                "seen_before": add.reviews_duplicates,
                "newest_total": total,
                "newest_average": settlement.average,
            },
        )
    if end is not None:
        fetched = task.location_fetched + add.reviews_fetched
        gap = total - fetched if total is not None and total != fetched else None
        ended = {"number": task.location_no, "end": end.state.value, "why": end.cause, "missing_rows": gap}
        _end_location.execute(transaction, ended)


def _count_end(task: HeldTask, move: Move, end: LocationEnd | None, add: Counters) -> None:
    if move.status is TaskStatus.DONE:
        add.tasks_open -= 1
        add.tasks_done += 1
        add.accounts_done += int(task.stage is Stage.LOCATIONS)
    elif move.status is TaskStatus.DEAD:
        add.tasks_open -= 1
        add.tasks_dead += 1
    if end is not None:
        add.locations_done += int(end.state is LocationState.DONE)
        add.locations_unavailable += int(end.state is LocationState.UNAVAILABLE)


def _stays_as_guarded(task: HeldTask, guarded: Move, move: Move) -> bool:
    """The guard has written everything already: the usual page, with another one to follow."""
    return move.status is TaskStatus.HELD and (move.cursor, move.walk, move.restarts, move.missing, move.attempt) == (
        guarded.cursor,
        task.walk,
        task.restarts,
        task.missing,
        0,
    )


_keep = (
    update(tasks)
    .where(tasks.c.id == bindparam("held_id"))
    .values(
        cursor=bindparam("next_cursor"),
        walk=bindparam("next_walk"),
        pages=bindparam("settled_pages"),
        restarts=bindparam("next_restarts"),
        missing=bindparam("next_missing"),
        attempt=bindparam("next_attempt"),
        last_error=func.coalesce(bindparam("newest_error", type_=Text), tasks.c.last_error),
    )
)
_go_on = HotStatement(_keep)
_put_down = HotStatement(
    _keep.values(status=bindparam("next_status"), holder=null(), lease_until=null(), due_at=bindparam("next_due"))
)


def _place(transaction: Transaction, task: HeldTask, move: Move) -> None:
    error = move.error and json.dumps({"type": move.error.type, "detail": move.error.detail})
    values: dict[str, object] = {
        "held_id": task.task_id,
        "next_cursor": move.cursor,
        "next_walk": move.walk,
        "settled_pages": move.pages,
        "next_restarts": move.restarts,
        "next_missing": move.missing,
        "next_attempt": move.attempt,
        "newest_error": error,
    }
    if move.status is TaskStatus.HELD:
        _go_on.execute(transaction, values)
    else:
        values |= {"next_status": move.status.value, "next_due": transaction.now + move.delay}
        _put_down.execute(transaction, values)


def _after(transaction: Transaction, settlement: Settlement, job: JobNow, options: SettleOptions) -> JobStatus | None:
    """What the settle means for the job as a whole: None while it goes on."""
    task = settlement.task
    _note_on_job(transaction, settlement, same_token=job.credential_version == task.credential_version)
    if settlement.job_problem is not None:
        return fail_job(transaction, task.job_id, settlement.job_problem)
    if settlement.token_problem is not None and job.credential_version == task.credential_version:
        park_for_token(transaction, task.job_id, settlement.token_problem)
    if job.tasks_open == 0:
        return finish_job(transaction, task.job_id, job.tasks_dead, options.token_wait)
    return None


def _note_on_job(transaction: Transaction, settlement: Settlement, *, same_token: bool) -> None:
    """What was learned of a token is worth nothing once the job has another; nor is what it waited for."""
    values: dict[str, object] = {}
    if same_token and settlement.waiting is not None:
        reason, seconds = settlement.waiting
        values["waiting_reason"], values["waiting_until"] = reason, transaction.now + seconds
    if same_token and settlement.project is not None:
        values["google_project"] = settlement.project
    if same_token and settlement.token_expires_at is not None:
        values["token_expires_at"] = settlement.token_expires_at
    if values:
        transaction.connection.execute(update(jobs).where(jobs.c.id == settlement.task.job_id).values(values))
