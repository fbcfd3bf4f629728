"""A job's counters: only ever changed relatively, by one UPDATE a settle, and never while the job has ended."""

from dataclasses import dataclass, fields
from typing import NamedTuple

from sqlalchemy import bindparam, update

from app.models.job import OPEN, JobStatus
from app.store.database import HotStatement, Transaction
from app.store.schema import jobs, status_in


@dataclass(slots=True)
class Counters:
    """By how much each counter of a job changes."""

    tasks_open: int = 0
    tasks_done: int = 0
    tasks_dead: int = 0
    accounts_found: int = 0
    accounts_done: int = 0
    locations_found: int = 0
    locations_begun: int = 0
    locations_done: int = 0
    locations_unavailable: int = 0
    reviews_fetched: int = 0
    reviews_duplicates: int = 0
    reviews_expected: int = 0
    calls: int = 0
    pages_settled: int = 0


class JobNow(NamedTuple):
    """How a job stands after its counters changed."""

    status: JobStatus
    tasks_open: int
    tasks_dead: int
    credential_version: int
    reviews_fetched: int
    created_at: float


_NAMES = tuple(field.name for field in fields(Counters))

_add = HotStatement(
    update(jobs)
    .where(jobs.c.id == bindparam("job"), status_in(jobs.c.status, OPEN))
    .values({name: jobs.c[name] + bindparam(f"add_{name}") for name in _NAMES})
    .values(updated_at=bindparam("now"))
    .returning(
        jobs.c.status,
        jobs.c.tasks_open,
        jobs.c.tasks_dead,
        jobs.c.credential_version,
        jobs.c.reviews_fetched,
        jobs.c.created_at,
    )
)


def add_to_job(transaction: Transaction, job_id: str, counters: Counters) -> JobNow | None:
    """Add, and say how the job stands. None: it has ended, and its counters stay as they are."""
    values: dict[str, object] = {f"add_{name}": getattr(counters, name) for name in _NAMES}
    values |= {"job": job_id, "now": transaction.now}
    row = _add.execute(transaction, values).one_or_none()
    return None if row is None else JobNow(JobStatus(row[0]), *tuple(row)[1:])
