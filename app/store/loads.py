"""What is left to do of the jobs that run now, and how fast they went: what estimates are made from."""

from typing import Any, NamedTuple

from sqlalchemy import select

from app.models.job import RUNNING
from app.store.database import Transaction
from app.store.schema import jobs, status_in

MOST_LOADS = 1_000
"""Running jobs that are looked at, the oldest first: a fair share of a quota that so many share says nothing more."""


class Load(NamedTuple):
    """A running job: the project whose quota it spends, its counters, and since when it made how many calls."""

    job_id: str
    project: str | None
    accounts_found: int
    accounts_done: int
    locations_found: int
    locations_begun: int
    locations_done: int
    locations_unavailable: int
    reviews_fetched: int
    reviews_expected: int
    clocked_seconds: float
    clocked_calls: int


_COUNTERS = tuple(
    jobs.c[name]
    for name in (
        "accounts_found accounts_done locations_found locations_begun locations_done locations_unavailable"
        " reviews_fetched reviews_expected"
    ).split()
)

_running = (
    select(
        jobs.c.id,
        jobs.c.google_project,
        *_COUNTERS,
        jobs.c.clocked_from,
        jobs.c.created_at,
        jobs.c.calls,
        jobs.c.clocked_calls,
    )
    .where(status_in(jobs.c.status, RUNNING))
    .order_by(jobs.c.created_at)
    .limit(MOST_LOADS)
)


def read_loads(transaction: Transaction) -> list[Load]:
    """The running jobs of all tenants: they share quotas."""
    return [_load(transaction, tuple(row)) for row in transaction.connection.execute(_running)]


def _load(transaction: Transaction, row: tuple[Any, ...]) -> Load:
    clocked_from, created_at, calls, clocked_calls = row[-4:]
    since = created_at if clocked_from is None else clocked_from
    return Load._make((*row[:-4], max(0.0, transaction.now - since), calls - clocked_calls))


def clock_anew(transaction: Transaction) -> dict[str, object]:
    """The columns of a job that goes on after it stood still: its speed is what it does from now on."""
    return {"clocked_from": transaction.now, "clocked_calls": jobs.c.calls}
