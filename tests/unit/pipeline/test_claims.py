"""A claim is for one version of a task: copies of older messages are worth nothing, whatever became of the task."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.models.job import Stage, Work
from app.store.database import Database
from app.store.release import Window, release, unrelease
from app.store.tasks import claim, reclaim_all
from tests.support.store import new_job, sqlite_database

WINDOW = Window(10, 10)


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    async with sqlite_database(tmp_path) as opened:
        yield opened


async def released(database: Database) -> Work:
    (work,) = (await database.write(release, Stage.ACCOUNTS, WINDOW)).works
    return work


async def claimed(database: Database, *works: Work) -> list[int]:
    """The versions under which these copies of messages take tasks."""
    wanted = [(work.task_id, work.version) for work in works]
    return [task.version for task in await database.write(claim, wanted, "worker-1", 15.0)]


async def test_a_message_from_before_a_crash_claims_nothing_though_its_task_is_released_again(
    database: Database,
) -> None:
    await new_job(database)
    old = await released(database)
    await database.write(reclaim_all)
    new = await released(database)
    assert await claimed(database, old) == []
    assert await claimed(database, old, new) == [new.version + 1]


async def test_a_message_that_the_broker_took_after_all_claims_nothing(database: Database) -> None:
    await new_job(database)
    old = await released(database)
    await database.write(unrelease, [old])
    assert await claimed(database, old) == []
    new = await released(database)
    assert await claimed(database, old) == []
    assert await claimed(database, new) == [new.version + 1]


async def test_a_task_is_claimed_once_however_many_copies_of_its_message_there_are(database: Database) -> None:
    await new_job(database)
    work = await released(database)
    assert await claimed(database, work, work) == [work.version + 1]
    assert await claimed(database, work) == []
