"""Leases are extended while pages settle, and neither waits for the other."""

import asyncio

import asyncpg
import pytest
from sqlalchemy import select, update

from app.models.job import TaskStatus
from app.store.database import Transaction
from app.store.postgresql import PostgresDatabase
from app.store.schema import tasks
from app.store.tasks import extend
from tests.support.store import job_with_tasks

pytestmark = pytest.mark.postgresql

HOLDER = "worker-1"
MINE = select(tasks.c.id).where(tasks.c.status == TaskStatus.HELD.value)


def _held_by_one(transaction: Transaction) -> list[int]:
    transaction.connection.execute(update(tasks).where(tasks.c.id.in_(MINE)).values(holder=HOLDER, lease_until=1.0))
    return list(transaction.connection.execute(MINE.order_by(tasks.c.id)).scalars())


def _extended(transaction: Transaction) -> list[int]:
    return list(transaction.connection.execute(MINE.where(tasks.c.lease_until > transaction.now)).scalars())


async def test_a_task_that_is_being_settled_keeps_no_other_from_being_extended(
    store: PostgresDatabase, postgresql_database: str
) -> None:
    """Its commit may take long. The settle itself leaves it enough of its lease."""
    await job_with_tasks(store, held=3)
    first, *others = await store.write(_held_by_one)
    connection = await asyncpg.connect(postgresql_database)
    try:
        async with connection.transaction():
            await connection.execute("SELECT 1 FROM tasks WHERE id = $1 FOR UPDATE", first)
            async with asyncio.timeout(30):
                assert await store.write(extend, [first, *others], HOLDER, 15.0) == len(others)
            assert sorted(await store.read(_extended)) == others
        assert await store.write(extend, [first, *others], HOLDER, 15.0) == len(others) + 1
    finally:
        await connection.close()
