"""A review is erased in one job while another job stores it: readers of reviews-raw end up with what the store has."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from sqlalchemy.util import await_only

from app.models.erasure import ErasureKind
from app.models.job import HeldTask, TaskStatus
from app.models.settlement import Move, Settlement
from app.results.records import records
from app.store.database import Transaction
from app.store.erasures import order_job, order_reviewer
from app.store.outbox import read_batch, stamp
from app.store.postgresql import PostgresDatabase
from app.store.settle import settle
from tests.contract.test_erasing import MANY, all_done, job_of
from tests.support.announcing import OPTIONS, held_locations, settle_page
from tests.support.locks import held_rows, until_somebody_waits
from tests.support.store import review

pytestmark = pytest.mark.postgresql

KEY = "locations/0/reviews/r1"


@asynccontextmanager
async def settle_under_way(store: PostgresDatabase, task: HeldTask) -> AsyncIterator[None]:
    """A page with the review is written, and committed when the block ends."""
    written, may_commit = asyncio.Event(), asyncio.Event()

    def work(transaction: Transaction) -> None:
        settle(transaction, Settlement(task, Move(TaskStatus.HELD, "next"), page=True, reviews=[review("r1")]), OPTIONS)
        written.set()
        await_only(may_commit.wait())

    async with asyncio.TaskGroup() as group:
        group.create_task(store.write(work))
        await written.wait()
        yield
        may_commit.set()


async def held_by_a_reader(store: PostgresDatabase) -> dict[str, bool]:
    """The keys of all that is sent now, and whether the last message of each is a review."""
    await store.write(stamp, MANY)
    batch = await store.read(read_batch, 0, MANY, MANY)
    assert batch is not None
    return {record.key.decode(): record.value is not None for record in records(batch, "")}


@pytest.mark.parametrize("kind", [ErasureKind.JOB, ErasureKind.REVIEW])
async def test_what_another_job_was_storing_is_not_deleted_by_a_tombstone(
    store: PostgresDatabase, kind: ErasureKind
) -> None:
    erased = await job_of(store, "r1")
    if kind is ErasureKind.JOB:
        await store.write(order_job, "default", erased)
    else:
        await store.write(order_reviewer, "default", kind, KEY)
    (task,) = await held_locations(store, 1)
    async with settle_under_way(store, task):
        await all_done(store)
    assert await held_by_a_reader(store) == {KEY: True}


async def test_what_another_job_stores_before_the_tombstone_is_written_is_not_deleted_by_it(
    store: PostgresDatabase, postgresql_database: str
) -> None:
    """The look for other copies is over when the other job's page is committed."""
    await store.write(order_job, "default", await job_of(store, "r1"))
    (task,) = await held_locations(store, 1)
    await store.write(stamp, MANY)
    async with held_rows(postgresql_database, "publisher_head") as connection:
        erasing = asyncio.create_task(all_done(store))
        await until_somebody_waits(connection)
        await settle_page(store, task, [review("r1")])
    await erasing
    assert await held_by_a_reader(store) == {KEY: True}
