"""Activity by the minute, over every database: what replicas add comes out as their sum, and is gone after a day."""

import asyncio
import random
from collections import Counter

import pytest
from sqlalchemy import func, select

from app.store.activity import KEPT_MINUTES, MINUTE, Activity, add_activity, purge_activity, read_activity
from app.store.database import Database, Transaction
from app.store.postgresql import PostgresDatabase
from app.store.schema import activity
from app.store.tidy import tidy
from tests.support.store import plans

TENANTS = ("default", "other", "third")
MINUTES = range(100, 110)


def some_work(draw: random.Random) -> list[Activity]:
    """Of several tenants and minutes, in any order, each minute of a tenant once."""
    keys = draw.sample([(tenant, minute) for tenant in TENANTS for minute in MINUTES], 12)
    return [Activity(*key, *(draw.randrange(1000) for _ in range(3))) for key in keys]


def summed(portions: list[list[Activity]]) -> Counter[tuple[str, int, str]]:
    """The plain model: a sum for each tenant, minute and number."""
    found = Counter[tuple[str, int, str]]()
    for done in (item for portion in portions for item in portion):
        for name in ("reviews", "calls", "throttled"):
            found[done.tenant, done.minute, name] += getattr(done, name)
    return found


async def stored(database: Database) -> Counter[tuple[str, int, str]]:
    found = [await database.read(read_activity, tenant, MINUTES[0], MINUTES[-1]) for tenant in TENANTS]
    return summed([list(minutes.values()) for minutes in found])


async def test_what_replicas_add_is_their_sum(database: Database) -> None:
    draw = random.Random(7)
    portions = [some_work(draw) for _ in range(30)]
    await asyncio.gather(*(database.write(add_activity, portion) for portion in portions))
    assert await stored(database) == summed(portions)


@pytest.mark.postgresql
async def test_two_replicas_add_to_the_same_minutes_side_by_side(
    store: PostgresDatabase, other_store: PostgresDatabase
) -> None:
    draw = random.Random(8)
    portions = [some_work(draw) for _ in range(40)]
    replicas = (store, other_store)
    await asyncio.gather(*(replicas[at % 2].write(add_activity, portion) for at, portion in enumerate(portions)))
    assert await stored(store) == summed(portions)


async def test_a_tenant_reads_its_own_minutes_and_only_those_it_asks_for(database: Database) -> None:
    done = [Activity("default", 101, reviews=1), Activity("default", 103, calls=2), Activity("other", 102, throttled=3)]
    await database.write(add_activity, done)
    assert await database.read(read_activity, "default", 102, 103) == {103: Activity("default", 103, calls=2)}
    assert await database.read(read_activity, "nobody", 0, 1_000_000) == {}


def _rows(transaction: Transaction) -> list[tuple[str, int]]:
    key = (activity.c.tenant, activity.c.minute)
    return [(row.tenant, row.minute) for row in transaction.connection.execute(select(*key).order_by(*key))]


async def test_minutes_older_than_a_day_are_forgotten_some_at_a_time(database: Database) -> None:
    now = int((await database.read(lambda transaction: transaction.now)) // MINUTE)
    day_ago = now - KEPT_MINUTES
    kept = [(tenant, minute) for tenant in ("a", "b") for minute in (day_ago + 2, now)]
    old = [(tenant, day_ago - minute) for tenant in ("a", "b") for minute in (1, 60, 3000)]
    await database.write(add_activity, [Activity(*key, reviews=1) for key in kept + old])
    assert [await database.write(purge_activity, 4) for _ in range(3)] == [4, 2, 0]
    assert await database.read(_rows) == kept


async def test_housekeeping_goes_on_at_once_while_there_are_more_old_minutes(database: Database) -> None:
    await database.write(add_activity, [Activity("default", minute, reviews=1) for minute in range(5)])
    first = await database.write(tidy, 3600.0, 3)
    assert (first.minutes_forgotten, first.is_full(3)) == (3, True)
    second = await database.write(tidy, 3600.0, 3)
    assert (second.minutes_forgotten, second.is_full(3)) == (2, False)


async def test_a_sweep_with_nothing_to_forget_looks_at_no_minute(database: Database) -> None:
    now = int((await database.read(lambda transaction: transaction.now)) // MINUTE)
    many = [Activity(f"tenant-{tenant}", now - minute) for tenant in range(20) for minute in range(120)]
    await database.write(add_activity, many)
    how = await database.write(plans, lambda transaction: purge_activity(transaction, 500))
    assert "ix_activity_minute" in how[-1]
    assert await database.read(_count) == len(many)


def _count(transaction: Transaction) -> int:
    return int(transaction.connection.execute(select(func.count()).select_from(activity)).scalar_one())
