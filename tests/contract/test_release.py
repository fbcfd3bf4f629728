"""How much is released, and what is taken back, over every database."""

from collections import Counter

import pytest

from app.models.job import Stage
from app.store.database import Database
from app.store.postgresql import PostgresDatabase
from app.store.release import Window, release
from app.store.tasks import claim, reclaim_expired, reclaim_released
from tests.support.locks import held_rows
from tests.support.store import job_with_tasks, new_job, plans

WINDOW = Window(total=8, per_job=2)
"""As one replica with two slots has it."""


async def _released(database: Database) -> Counter[str]:
    """Job → how many of its tasks one pass releases."""
    released = await database.write(release, Stage.REVIEWS, WINDOW)
    return Counter(work.job_id for work in released.works)


async def test_without_other_replicas_a_job_gets_what_its_window_says(database: Database) -> None:
    huge = await job_with_tasks(database, waiting=100, held=2)
    assert await _released(database) == {huge: 2}
    assert await _released(database) == {}


async def test_a_job_that_many_replicas_work_on_has_as_many_tasks_at_hand_as_they_hold(database: Database) -> None:
    huge = await job_with_tasks(database, waiting=100, held=40)
    assert await _released(database) == {huge: 40}


async def test_what_was_released_before_counts_towards_the_window(database: Database) -> None:
    huge = await job_with_tasks(database, waiting=100, held=40, released=30)
    assert await _released(database) == {huge: 10}


async def test_all_jobs_together_have_four_times_what_the_replicas_hold(database: Database) -> None:
    for number in range(45):
        await job_with_tasks(database, tenant=f"tenant-{number}", waiting=100)
    await job_with_tasks(database, held=10)
    assert sum((await _released(database)).values()) == 40


async def test_the_jobs_of_one_tenant_leave_half_of_it_to_whoever_comes(database: Database) -> None:
    for _ in range(6):
        await job_with_tasks(database, waiting=100)
    await job_with_tasks(database, held=10)
    assert sum((await _released(database)).values()) == 20


async def test_a_small_job_is_released_beside_a_huge_one_that_keeps_all_replicas_busy(database: Database) -> None:
    huge = await job_with_tasks(database, waiting=100, held=40)
    assert await _released(database) == {huge: 40}
    small = await job_with_tasks(database, waiting=1)
    assert await _released(database) == {small: 1}


async def test_what_replicas_hold_of_another_stage_widens_nothing(database: Database) -> None:
    await job_with_tasks(database, held=40)
    for _ in range(20):
        await new_job(database)
    released = await database.write(release, Stage.ACCOUNTS, WINDOW)
    assert len(released.works) == 4


async def test_what_is_out_is_counted_by_its_index_alone(database: Database) -> None:
    await job_with_tasks(database, waiting=500, released=20, held=20, done=3000)
    counting, *_ = await database.write(plans, lambda transaction: release(transaction, Stage.REVIEWS, WINDOW))
    assert "ix_tasks_out" in counting
    assert "Seq Scan" not in counting


async def test_what_was_released_waits_again_and_its_old_copies_are_worthless(database: Database) -> None:
    await job_with_tasks(database, waiting=2, held=1)
    works = (await database.write(release, Stage.REVIEWS, WINDOW)).works
    assert len(works) == 2
    assert await database.write(reclaim_released) == 2
    assert await database.write(claim, [(work.task_id, work.version) for work in works], "worker-1", 15.0) == []
    again = (await database.write(release, Stage.REVIEWS, WINDOW)).works
    assert {work.version for work in again} == {3}


@pytest.mark.postgresql
async def test_a_task_that_is_being_settled_is_not_waited_for_by_who_takes_back(
    store: PostgresDatabase, postgresql_database: str
) -> None:
    await job_with_tasks(store, released=2, held=2)
    async with held_rows(postgresql_database, "tasks"):
        assert await store.write(reclaim_released) == 0
        assert await store.write(reclaim_expired) == 0
    assert await store.write(reclaim_released) == 2
