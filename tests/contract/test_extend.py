"""Leases are extended while pages settle, and neither waits for the other in a circle."""

import asyncio

import asyncpg
import pytest
from sqlalchemy import select, update

from app.models.job import TaskStatus
from app.store.database import Transaction
from app.store.postgresql import PostgresDatabase
from app.store.schema import tasks
from app.store.tasks import extend
from tests.support.locks import until_somebody_waits
from tests.support.store import job_with_tasks

pytestmark = pytest.mark.postgresql

HOLDER = "worker-1"
MINE = select(tasks.c.id).where(tasks.c.status == TaskStatus.HELD.value)


def _all_held_by_one(transaction: Transaction) -> list[int]:
    """The tasks in the order in which a group of settles takes them."""
    transaction.connection.execute(update(tasks).where(tasks.c.id.in_(MINE)).values(holder=HOLDER))
    return list(transaction.connection.execute(MINE.order_by(tasks.c.job_id, tasks.c.id)).scalars())


async def _held_tasks_of_jobs_in_disorder(store: PostgresDatabase) -> list[int]:
    """The last of them, with the largest numbers, does not come last by its name."""
    before = await job_with_tasks(store, held=3)
    while (job_id := await job_with_tasks(store, held=3)) > before:
        before = job_id
    return await store.write(_all_held_by_one)


async def test_who_extends_waits_for_a_task_without_those_that_a_settle_takes_after_it(
    store: PostgresDatabase, postgresql_database: str
) -> None:
    held = await _held_tasks_of_jobs_in_disorder(store)
    newest = held.index(max(held))
    connection = await asyncpg.connect(postgresql_database)
    try:
        async with connection.transaction():
            await connection.execute("SELECT 1 FROM tasks WHERE id = $1 FOR UPDATE", held[newest])
            extending = asyncio.create_task(store.write(extend, held, HOLDER, 15.0))
            await until_somebody_waits(connection)
            for task_id in held[newest + 1 :]:
                await connection.execute("SELECT 1 FROM tasks WHERE id = $1 FOR UPDATE NOWAIT", task_id)
        assert await extending == len(held)
    finally:
        await connection.close()
