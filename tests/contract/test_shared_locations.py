"""Locations that several accounts list, while their settles race on a real PostgreSQL."""

import asyncio
from collections.abc import Sequence

import pytest
from sqlalchemy import select

from app.models.job import HeldTask, LocationState, Problem, Stage, TaskStatus
from app.models.review import Account, Location
from app.models.settlement import LocationEnd, Move, Settled, Settlement, SettleOptions
from app.models.views import RedriveRequest
from app.store.database import Transaction
from app.store.postgresql import PostgresDatabase
from app.store.redrive import match_dead_letters, redrive
from app.store.schema import jobs, tasks
from app.store.settle import settle
from tests.support.locks import held_rows, until_somebody_waits
from tests.support.store import new_job, take

pytestmark = pytest.mark.postgresql

OPTIONS = SettleOptions(announce=True, token_wait=3600.0)
DONE = Move(TaskStatus.DONE)


async def _settle(store: PostgresDatabase, settlement: Settlement) -> Settled:
    return await store.write(settle, settlement, OPTIONS)


async def _listings(store: PostgresDatabase, number: int) -> list[HeldTask]:
    """A job with so many accounts, the tasks that list their locations held."""
    await new_job(store)
    (first,) = await take(store, Stage.ACCOUNTS)
    found = [Account(f"accounts/{account}", "") for account in range(number)]
    await _settle(store, Settlement(first, DONE, page=True, accounts=found))
    return await take(store, Stage.LOCATIONS)


def _listed(task: HeldTask, places: Sequence[int]) -> Settlement:
    found = [Location(f"locations/{place}", "Shop", None, None, True) for place in places]
    return Settlement(task, DONE, page=True, locations=found)


def _refused(task: HeldTask) -> Settlement:
    """Google said that this account may not read the location."""
    end = LocationEnd(LocationState.UNAVAILABLE, "permission_denied")
    return Settlement(task, DONE, location_end=end, try_other_account=True)


def _open_tasks(transaction: Transaction, job_id: str) -> int:
    return int(transaction.connection.execute(select(jobs.c.tasks_open).where(jobs.c.id == job_id)).scalar_one())


def _reviews_task(transaction: Transaction) -> tuple[str, str]:
    of_reviews = select(tasks.c.status, tasks.c.account).where(tasks.c.stage == Stage.REVIEWS.value)
    status, account = transaction.connection.execute(of_reviews).one()
    return status, account


async def test_accounts_that_list_the_same_locations_in_opposite_orders_all_settle(
    store: PostgresDatabase, other_store: PostgresDatabase
) -> None:
    """Three at once in each replica, which commits two of them together."""
    for _ in range(8):
        listings = await _listings(store, 6)
        settled = await asyncio.gather(
            *(_settle(store, _listed(task, range(60))) for task in listings[:3]),
            *(_settle(other_store, _listed(task, range(59, -1, -1))) for task in listings[3:]),
        )
        assert [each.status for each in settled] == [TaskStatus.DONE] * 6
        assert await store.read(_open_tasks, listings[0].job_id) == 60


async def test_a_location_that_two_accounts_list_after_it_was_given_up_is_asked_for_again_once(
    store: PostgresDatabase, other_store: PostgresDatabase, postgresql_database: str
) -> None:
    first, *others = await _listings(store, 3)
    await _settle(store, _listed(first, [1]))
    (task,) = await take(store, Stage.REVIEWS)
    await _settle(store, _refused(task))
    async with held_rows(postgresql_database, "jobs") as connection:
        replicas = zip((store, other_store), others, strict=True)
        listing = [asyncio.create_task(_settle(replica, _listed(other, [1]))) for replica, other in replicas]
        await until_somebody_waits(connection, 2)
    await asyncio.gather(*listing)
    assert await store.read(_open_tasks, task.job_id) == 1
    (again,) = await take(store, Stage.REVIEWS)
    assert (await _settle(store, _refused(again))).status is TaskStatus.WAITING
    (last,) = await take(store, Stage.REVIEWS)
    assert {again.account, last.account} == {other.resource for other in others}
    assert (await _settle(store, _refused(last))).job_ended == "completed"


@pytest.mark.parametrize("order", [1, -1], ids=["listed first", "given up first"])
async def test_an_account_that_lists_a_location_while_it_is_given_up_is_asked(
    store: PostgresDatabase, other_store: PostgresDatabase, postgresql_database: str, order: int
) -> None:
    first, other = await _listings(store, 2)
    await _settle(store, _listed(first, [1]))
    (task,) = await take(store, Stage.REVIEWS)
    async with held_rows(postgresql_database, "jobs") as connection:
        settlements = [_listed(other, [1]), _refused(task)]
        settling = []
        for number, (replica, settlement) in enumerate(zip((store, other_store), settlements[::order], strict=True)):
            settling.append(asyncio.create_task(_settle(replica, settlement)))
            await until_somebody_waits(connection, number + 1)
    await asyncio.gather(*settling)
    assert await store.read(_reviews_task) == (TaskStatus.WAITING.value, other.resource)


def _dead(task: HeldTask) -> Settlement:
    problem = Problem("http_503", "Google answered 503 four times.")
    end = LocationEnd(LocationState.DEAD, problem.type)
    return Settlement(task, Move(TaskStatus.DEAD, attempt=4, error=problem), location_end=end)


async def test_a_dead_location_that_is_redriven_while_another_account_lists_it_is_brought_back_once(
    store: PostgresDatabase, postgresql_database: str
) -> None:
    first, other = await _listings(store, 2)
    await _settle(store, _listed(first, [1]))
    (task,) = await take(store, Stage.REVIEWS)
    await _settle(store, _dead(task))
    found = await store.read(match_dead_letters, task.tenant, RedriveRequest(all=True), None, 10)
    everything = [letter.id for letter in found]
    async with held_rows(postgresql_database, "dead_letters") as connection:
        listing = asyncio.create_task(_settle(store, _listed(other, [1])))
        await until_somebody_waits(connection, 1)
        redriving = asyncio.create_task(store.write(redrive, task.tenant, everything))
        await until_somebody_waits(connection, 2)
    assert (await listing).status is TaskStatus.DONE
    assert await redriving == 0
    assert await store.read(_reviews_task) == (TaskStatus.WAITING.value, other.resource)
    assert await store.read(_open_tasks, task.job_id) == 1
