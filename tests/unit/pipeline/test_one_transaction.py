"""A settle is one transaction: what fails half-way has written nothing, and the same settle may come again."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from app.models.job import HeldTask, Stage, TaskStatus
from app.models.review import Account, Location
from app.models.settlement import Move, Settlement, SettleOptions
from app.store import settle as settling
from app.store.database import Database, StoreUnavailableError, Transaction
from app.store.schema import jobs, locations, reviews, tasks
from app.store.settle import settle
from tests.support.store import new_job, review, sqlite_database, take

OPTIONS = SettleOptions(announce=True, token_wait=3600.0)


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    async with sqlite_database(tmp_path) as opened:
        yield opened


def everything(transaction: Transaction) -> list[list[dict[str, Any]]]:
    rows = (transaction.connection.execute(select(table)).mappings() for table in (jobs, tasks, locations, reviews))
    return [[dict(row) for row in table] for table in rows]


async def first_page(database: Database) -> Settlement:
    """Of a location with more to come."""
    await new_job(database)
    done = Move(TaskStatus.DONE)
    (task,) = await take(database, Stage.ACCOUNTS)
    await database.write(settle, Settlement(task, done, page=True, accounts=[Account("accounts/1", "")]), OPTIONS)
    (task,) = await take(database, Stage.LOCATIONS)
    place = Location("locations/1", "", None, None, True)
    await database.write(settle, Settlement(task, done, page=True, locations=[place]), OPTIONS)
    (held,) = await take(database, Stage.REVIEWS)
    return page_of(held)


def page_of(task: HeldTask) -> Settlement:
    return Settlement(
        task, Move(TaskStatus.HELD, "p2", pages=1), page=True, reviews=[review("a"), review("b")], total=9
    )


@pytest.mark.parametrize("step", ["insert_reviews", "add_to_job", "_after"])
async def test_a_settle_that_fails_half_way_has_written_nothing(
    database: Database, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    settlement = await first_page(database)
    before = await database.read(everything)

    def fails(*_: object, **__: object) -> None:
        raise StoreUnavailableError("the disk is full")

    with monkeypatch.context() as broken:
        broken.setattr(settling, step, fails)
        with pytest.raises(StoreUnavailableError):
            await database.write(settle, settlement, OPTIONS)
    assert await database.read(everything) == before
    settled = await database.write(settle, settlement, OPTIONS)
    assert (settled.status, settled.new_reviews) == (TaskStatus.HELD, 2)


async def test_a_settle_under_an_old_version_changes_nothing_though_its_task_is_held(database: Database) -> None:
    settlement = await first_page(database)
    await database.write(settle, settlement, OPTIONS)
    before = await database.read(everything)
    settlement.reviews = [review("c")]
    assert (await database.write(settle, settlement, OPTIONS)).move is None
    assert await database.read(everything) == before
