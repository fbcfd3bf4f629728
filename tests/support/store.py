"""Databases for tests, and the few rows that most of them start from."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, nullcontext
from itertools import count
from pathlib import Path
from typing import Any
from unittest.mock import patch

from sqlalchemy import Connection, event, insert, text

from app.clock import Clock
from app.models.job import HeldTask, Stage, TaskStatus
from app.models.review import Review
from app.store.database import Database, Transaction
from app.store.migrate import migrate
from app.store.release import Window, release
from app.store.schema import OUT, tasks
from app.store.sqlite import SqliteDatabase
from app.store.submit import Callback, NewJob, submit
from app.store.tasks import claim

_numbers = count(1)

CALLBACK: Callback | None = None
"""Of every new job; set by tests of callbacks."""


@asynccontextmanager
async def sqlite_database(path: Path, clock: Clock | None = None, **options: Any) -> AsyncIterator[SqliteDatabase]:
    database = SqliteDatabase(path / "store.db", exclusive=True, clock=clock, **options)
    await database.start()
    try:
        await database.write(migrate)
        yield database
    finally:
        await database.close()


async def new_job(database: Database, tenant: str = "default") -> str:
    """Submit a job; its id."""
    job_id = f"job-{next(_numbers)}"
    await database.write(submit, [NewJob(job_id, tenant, "key-1", b"sealed", callback=CALLBACK)])
    return job_id


async def take(database: Database, stage: Stage, holder: str = "worker-1", limit: int = 100) -> list[HeldTask]:
    """Release and claim what is due of a stage, of one tenant's jobs at most so many tasks."""
    released = await database.write(release, stage, Window(2 * limit, limit))
    return await database.write(claim, [(work.task_id, work.version) for work in released.works], holder, 15.0)


async def job_with_tasks(database: Database, tenant: str = "default", **number: int) -> str:
    """A job with so many reviews tasks in these states, beside its own of accounts; its id."""
    job_id = await new_job(database, tenant)
    for status, so_many in number.items():
        await database.write(_add_tasks, tenant, job_id, TaskStatus(status), so_many)
    return job_id


def _add_tasks(transaction: Transaction, tenant: str, job_id: str, status: TaskStatus, number: int) -> None:
    """Those that are out have a lease that runs."""
    row: dict[str, object] = {"tenant": tenant, "job_id": job_id, "stage": Stage.REVIEWS.value, "due_at": 1.0}
    row |= {"status": status.value, "lease_until": transaction.now + 15.0 if status in OUT else None}
    rows = [row | {"resource": f"locations/{status}-{at}"} for at in range(number)]
    transaction.connection.execute(insert(tasks), rows)


def review(review_id: str, rating: int | None = 5) -> Review:
    raw = f'{{"reviewId":"{review_id}"}}'.encode()
    name = f"accounts/1/locations/1/reviews/{review_id}"
    return Review(
        review_id, name, rating, "Good", "A. Guest", "2024-01-01T00:00:00Z", "2024-01-01T00:00:00Z", None, raw
    )


def plans(transaction: Transaction, work: Callable[[Transaction], object]) -> list[str]:
    """How the database goes about each statement of `work`, which runs. By fresh statistics."""
    connection, seen = transaction.connection, list[tuple[str, Any]]()
    postgresql = connection.dialect.name == "postgresql"
    connection.execute(text("ANALYZE"))

    def note(_connection: Connection, _cursor: object, statement: str, parameters: Any, *_: object) -> None:
        seen.append((statement, parameters))

    event.listen(connection, "before_cursor_execute", note)
    try:
        with _straight_to_the_driver(transaction, seen) if postgresql else nullcontext():
            work(transaction)
    finally:
        event.remove(connection, "before_cursor_execute", note)
    explain = "EXPLAIN" if postgresql else "EXPLAIN QUERY PLAN"
    return [
        "\n".join(str(row[-1]) for row in connection.exec_driver_sql(f"{explain} {statement}", parameters))
        for statement, parameters in seen
    ]


@contextmanager
def _straight_to_the_driver(transaction: Transaction, seen: list[tuple[str, Any]]) -> Iterator[None]:
    """What passes SQLAlchemy by is noted as well."""

    def noting(run: Callable[..., Any]) -> Callable[..., Any]:
        def noted(statement: str, values: tuple[Any, ...]) -> Any:
            seen.append((statement, values))
            return run(statement, values)

        return noted

    with (
        patch.object(transaction, "run", noting(transaction.run)),
        patch.object(transaction, "fetch", noting(transaction.fetch)),
    ):
        yield
