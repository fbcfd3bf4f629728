"""One leader at a time, by the database's time, over every database."""

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import select, update

from app.store.database import Database, Transaction
from app.store.leadership import free_in, lead, step_down
from app.store.postgresql import PostgresDatabase
from app.store.schema import leaders
from tests.support.clock import ManualClock
from tests.support.locks import held_rows, until_somebody_waits
from tests.support.store import sqlite_database

WORK = "publisher"


async def _lead(database: Database, holder: str, name: str = WORK) -> bool:
    return await database.write(lead, name, holder, 300.0)


def _let_run_out(transaction: Transaction) -> None:
    transaction.connection.execute(update(leaders).values(lease_until=transaction.now))


def _lease(transaction: Transaction) -> tuple[str, float]:
    """Who leads, and for how many seconds more."""
    holder, until = transaction.connection.execute(select(leaders.c.holder, leaders.c.lease_until)).one()
    return holder, until - transaction.now


async def test_a_lease_that_runs_is_refused_to_another(database: Database) -> None:
    assert await _lead(database, "one")
    assert not await _lead(database, "two")
    assert await _lead(database, "two", "scheduler")


async def test_the_holder_renews_its_lease(database: Database) -> None:
    assert await database.write(lead, WORK, "one", 1.0)
    assert await database.write(lead, WORK, "one", 300.0)
    holder, seconds = await database.read(_lease)
    assert holder == "one"
    assert 200 < seconds <= 300


async def test_who_stands_by_learns_when_the_lease_ends(database: Database) -> None:
    assert await database.read(free_in, WORK) == 0
    assert await _lead(database, "one")
    assert 0 < await database.read(free_in, WORK) <= 300
    await database.write(_let_run_out)
    assert await database.read(free_in, WORK) == 0


async def test_a_lease_that_ran_out_is_anothers_and_its_old_holder_is_refused(database: Database) -> None:
    assert await _lead(database, "one")
    await database.write(_let_run_out)
    assert await _lead(database, "two")
    assert not await _lead(database, "one")


async def test_a_holder_that_comes_back_before_another_took_its_lease_goes_on(database: Database) -> None:
    assert await _lead(database, "one")
    await database.write(_let_run_out)
    assert await _lead(database, "one")


async def test_who_steps_down_is_followed_at_once(database: Database) -> None:
    assert await _lead(database, "one")
    await database.write(step_down, WORK, "one")
    assert await _lead(database, "two")


async def test_who_was_followed_already_frees_nothing(database: Database) -> None:
    assert await _lead(database, "one")
    await database.write(_let_run_out)
    assert await _lead(database, "two")
    await database.write(step_down, WORK, "one")
    assert not await _lead(database, "three")


@pytest.mark.parametrize("begun", [False, True], ids=["nobody led before", "after a lease ran out"])
async def test_of_many_that_want_to_lead_at_once_one_does(database: Database, begun: bool) -> None:
    if begun:
        await _lead(database, "zero")
        await database.write(_let_run_out)
    led = await asyncio.gather(*(_lead(database, f"replica-{number}") for number in range(8)))
    assert sum(led) == 1


async def test_a_lease_runs_out_by_the_stores_clock(tmp_path: Path) -> None:
    clock = ManualClock()
    async with sqlite_database(tmp_path, clock) as database:
        assert await database.write(lead, WORK, "one", 3.0)
        await clock.advance(2.9)
        assert not await _lead(database, "two")
        await clock.advance(0.2)
        assert await _lead(database, "two")


@pytest.mark.postgresql
async def test_of_two_that_both_saw_the_lease_run_out_one_leads(
    store: PostgresDatabase, postgresql_database: str
) -> None:
    await _lead(store, "zero")
    await store.write(_let_run_out)
    async with held_rows(postgresql_database, "leaders") as connection:
        taking = [asyncio.create_task(_lead(store, holder)) for holder in ("one", "two")]
        await until_somebody_waits(connection, 2)
    assert sorted(await asyncio.gather(*taking)) == [False, True]
