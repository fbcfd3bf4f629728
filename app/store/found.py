"""What a page held, written: accounts and locations become tasks, reviews become rows; each at most once a job."""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import delete, select, update

from app.crash import CrashPoint, crash_point
from app.models.job import HeldTask, LocationState, Stage, TaskStatus
from app.models.review import Account, Location, Review
from app.store.counters import Counters
from app.store.database import Transaction
from app.store.schema import dead_letters, locations, other_accounts, outbox, reviews, status_in, tasks

_TASK_COLUMNS = (
    "tenant",
    "job_id",
    "stage",
    "resource",
    "account",
    "title",
    "location_no",
    "status",
    "due_at",
)


class _LocationRow(NamedTuple):
    no: int
    location: str
    account: str
    title: str
    state: str


def insert_accounts(transaction: Transaction, task: HeldTask, found: Sequence[Account], add: Counters) -> int:
    """One task a new account, to list its locations. Returns how many were new."""
    rows = [
        (task.tenant, task.job_id, Stage.LOCATIONS.value, account.name, account.name, account.title, None)
        + (TaskStatus.WAITING.value, transaction.now)
        for account in found
    ]
    new = transaction.insert_tuples(tasks, _TASK_COLUMNS, rows)
    crash_point(CrashPoint.FAN_OUT)
    add.accounts_found += new
    add.tasks_open += new
    return new


def insert_locations(transaction: Transaction, task: HeldTask, found: Sequence[Location], add: Counters) -> int:
    """One row and one task a new location. A location that another account listed first is remembered for this one.

    Returns how many were new to this account. Under the lock of the job: accounts list the same locations, each in an
    order of its own.
    """
    rows = [
        (task.tenant, task.job_id, item.name, task.resource, item.title, item.store_code)
        + (item.place_id, item.verified, LocationState.WAITING.value)
        for item in found
    ]
    columns = (
        "tenant",
        "job_id",
        "location",
        "account",
        "title",
        "store_code",
        "place_id",
        "verified",
        "state",
    )
    add.locations_found += transaction.insert_tuples(locations, columns, rows)
    known = (
        select(locations.c.no, locations.c.location, locations.c.account, locations.c.title, locations.c.state)
        .where(locations.c.job_id == task.job_id, locations.c.location.in_([item.name for item in found]))
        .order_by(locations.c.no)
    )
    mine = transaction.connection.execute(known.where(locations.c.account == task.resource))
    new = _insert_review_tasks(transaction, task, [_LocationRow(*row) for row in mine], add)
    crash_point(CrashPoint.FAN_OUT)
    for row in transaction.connection.execute(known.where(locations.c.account != task.resource)):
        new += _remember_account(transaction, task, _LocationRow(*row), add)
    return new


def _insert_review_tasks(transaction: Transaction, task: HeldTask, mine: Sequence[_LocationRow], add: Counters) -> int:
    rows = [
        (task.tenant, task.job_id, Stage.REVIEWS.value, row.location, row.account, row.title, row.no)
        + (TaskStatus.WAITING.value, transaction.now)
        for row in mine
    ]
    new = transaction.insert_tuples(tasks, _TASK_COLUMNS, rows)
    add.tasks_open += new
    return new


def _remember_account(transaction: Transaction, task: HeldTask, row: _LocationRow, add: Counters) -> int:
    """Keep this account for the location; if the location was given up already, try it again through this account.

    Returns 0 if it was known. Under the lock of the job: whoever gives it up sees this account, or is seen here to have
    given it up.
    """
    new = transaction.insert_ignore(
        other_accounts, [{"location_no": row.no, "account": task.resource, "tenant": task.tenant}]
    )
    if not new or row.state not in (LocationState.UNAVAILABLE, LocationState.DEAD):
        return new
    _reopen(transaction, task.job_id, row, task.resource)
    add.tasks_open += 1
    if row.state == LocationState.DEAD:
        add.tasks_dead -= 1
        _retract(transaction, task.job_id, row.location)
    else:
        add.tasks_done -= 1
        add.locations_unavailable -= 1
    return new


def _reopen(transaction: Transaction, job_id: str, row: _LocationRow, account: str) -> None:
    forget_account(transaction, row.no, account)
    transaction.connection.execute(
        update(locations)
        .where(locations.c.no == row.no)
        .values(state=LocationState.WAITING.value, cause=None, gap=None, account=account)
    )
    transaction.connection.execute(
        update(tasks)
        .where(
            tasks.c.job_id == job_id,
            tasks.c.stage == Stage.REVIEWS.value,
            tasks.c.resource == row.location,
            status_in(tasks.c.status, (TaskStatus.DONE, TaskStatus.DEAD)),
        )
        .values(
            status=TaskStatus.WAITING.value,
            version=tasks.c.version + 1,
            account=account,
            cursor=None,
            walk=0,
            pages=0,
            restarts=0,
            missing=0,
            attempt=0,
            crashes=0,
            due_at=transaction.now,
        )
    )


def _retract(transaction: Transaction, job_id: str, location: str) -> None:
    """The location was given up before this account was known: its dead letter counts as tried again."""
    transaction.connection.execute(
        update(dead_letters)
        .where(
            dead_letters.c.job_id == job_id,
            dead_letters.c.stage == Stage.REVIEWS.value,
            dead_letters.c.resource == location,
            dead_letters.c.redriven_at.is_(None),
        )
        .values(redrives=dead_letters.c.redrives + 1, redriven_at=transaction.now)
    )


def next_account(transaction: Transaction, location_no: int) -> str | None:
    """Another account that lists this location and was not tried yet; it counts as tried from now on.

    Under the lock of the job.
    """
    statement = (
        select(other_accounts.c.account)
        .where(other_accounts.c.location_no == location_no)
        .order_by(other_accounts.c.account)
        .limit(1)
    )
    account: str | None = transaction.connection.execute(statement).scalar_one_or_none()
    if account is not None:
        forget_account(transaction, location_no, account)
        transaction.connection.execute(update(locations).where(locations.c.no == location_no).values(account=account))
    return account


def forget_account(transaction: Transaction, location_no: int, account: str) -> None:
    transaction.connection.execute(
        delete(other_accounts).where(other_accounts.c.location_no == location_no, other_accounts.c.account == account)
    )


_REVIEW_COLUMNS = (
    "tenant",
    "location_no",
    "review_id",
    "name",
    "rating",
    "comment",
    "reviewer",
    "create_time",
    "update_time",
    "reply",
    "raw",
)


def insert_reviews(
    transaction: Transaction, task: HeldTask, found: Sequence[Review], add: Counters, *, announce: bool
) -> None:
    """The page's rows; those the job has already stay as they are. `announce`: tell the publisher which are new."""
    head = (task.tenant, task.location_no)
    rows = [head + review for review in found]
    if announce and rows:
        numbers = transaction.insert_numbered(reviews, _REVIEW_COLUMNS, rows, "seq")
        new = len(numbers)
        _announce(transaction, task, numbers, sum(len(review.raw) for review in found))
    else:
        new = transaction.insert_tuples(reviews, _REVIEW_COLUMNS, rows)
    add.reviews_fetched += new
    add.reviews_duplicates += len(found) - new


def _announce(transaction: Transaction, task: HeldTask, numbers: list[int], most_bytes: int) -> None:
    if not numbers:
        return
    row = {
        "tenant": task.tenant,
        "job_id": task.job_id,
        "location_no": task.location_no,
        "first_seq": min(numbers),
        "last_seq": max(numbers),
        "created_at": transaction.now,
        "review_count": len(numbers),
        "review_bytes": most_bytes,
    }
    transaction.insert_ignore(outbox, [row])
