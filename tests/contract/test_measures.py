"""What metrics ask of the store, over every database."""

from functools import partial

import pytest
from sqlalchemy import delete, insert, update

from app.models.job import DEFAULT_PROJECT, JobStatus, Stage, TaskStatus
from app.pipeline.control import JobControl
from app.store.database import Database, Transaction
from app.store.measures import (
    COUNTED_UP_TO,
    EXPIRING_SECONDS,
    JOBS_LOOKED_AT,
    Runnable,
    jobs_by_state,
    runnable_by_stage,
    tasks_by_stage_and_state,
    tokens_expiring,
)
from app.store.refresh import NewToken, end_refresh
from app.store.schema import credentials, jobs, tasks
from app.telemetry import names
from tests.support.jobs import in_state
from tests.support.store import job_with_tasks, new_job, plans


async def set_job(database: Database, job_id: str, **values: object) -> None:
    def work(transaction: Transaction) -> None:
        transaction.connection.execute(update(jobs).where(jobs.c.id == job_id).values(values))

    await database.write(work)


async def due(database: Database, job_id: str, ago: float) -> None:
    """All tasks of the job have been due for so many seconds; a negative number: will be."""

    def work(transaction: Transaction) -> None:
        when = transaction.now - ago
        transaction.connection.execute(update(tasks).where(tasks.c.job_id == job_id).values(due_at=when))

    await database.write(work)


async def test_metrics_count_jobs_by_state_and_tasks_by_stage(database: Database) -> None:
    for status in (JobStatus.COMPLETED, JobStatus.DLQ, JobStatus.PROCESSING, JobStatus.PENDING, JobStatus.PENDING):
        await in_state(database, status)
    counted = await database.read(jobs_by_state)
    assert {status: number for status, number in counted.items() if number} == {
        "completed": 1,
        "dlq": 1,
        "processing": 1,
        "pending": 2,
    }
    assert await database.read(tasks_by_stage_and_state) == {
        ("accounts", TaskStatus.WAITING): 2,
        ("reviews", TaskStatus.HELD): 1,
        ("reviews", TaskStatus.DEAD): 2,
    }


async def test_what_may_be_millions_is_counted_so_far_and_no_further(database: Database) -> None:
    await job_with_tasks(database, waiting=7, held=6, released=5)
    assert await database.read(tasks_by_stage_and_state, 4) == {
        ("accounts", TaskStatus.WAITING): 1,
        ("reviews", TaskStatus.WAITING): 4,
        ("reviews", TaskStatus.HELD): 6,
        ("reviews", TaskStatus.RELEASED): 5,
    }
    assert f"up to {COUNTED_UP_TO:,}" in names.TASKS.help


async def test_tasks_that_are_done_cost_a_scrape_nothing(database: Database) -> None:
    await job_with_tasks(database, waiting=50, held=20, released=20, done=5000)
    many, out = await database.write(plans, tasks_by_stage_and_state)
    assert "ix_tasks_waiting" in many
    assert "ix_tasks_out" in out
    assert "Seq Scan on tasks" not in many + out


async def test_jobs_are_counted_so_far_and_no_further(database: Database) -> None:
    for _ in range(5):
        await new_job(database)
    assert (await database.read(jobs_by_state, 3))[JobStatus.PENDING] == 3


async def runnable(database: Database, **closed: list[str]) -> dict[Stage, int]:
    found = await database.read(runnable_by_stage, closed)
    return {stage: of.tasks for stage, of in found.items() if of.tasks}


async def test_tasks_that_are_due_of_jobs_that_run_are_runnable(database: Database) -> None:
    job = await job_with_tasks(database, waiting=3, held=2, done=4)
    await due(database, job, 60.0)
    later = await job_with_tasks(database, waiting=5)
    await due(database, later, -60.0)
    found = await database.read(runnable_by_stage, {})
    assert found[Stage.REVIEWS].tasks == 3
    assert found[Stage.REVIEWS].seconds == pytest.approx(60.0, abs=5.0)
    assert found[Stage.ACCOUNTS].tasks == 1
    assert found[Stage.LOCATIONS] == Runnable(0, 0.0)


@pytest.mark.parametrize("status", [JobStatus.PAUSED, JobStatus.NEEDS_TOKEN, JobStatus.CANCELLED, JobStatus.FAILED])
async def test_tasks_of_a_job_that_does_not_run_are_not_runnable(database: Database, status: JobStatus) -> None:
    job = await job_with_tasks(database, waiting=3)
    await set_job(database, job, status=status.value)
    assert await runnable(database) == {}


async def test_tasks_whose_quota_is_spent_are_not_runnable(database: Database) -> None:
    one = await job_with_tasks(database, waiting=3)
    await set_job(database, one, google_project="one")
    other = await job_with_tasks(database, waiting=4)
    await set_job(database, other, google_project=DEFAULT_PROJECT)
    assert await runnable(database) == {Stage.ACCOUNTS: 2, Stage.REVIEWS: 7}
    assert await runnable(database, reviews=["one"]) == {Stage.ACCOUNTS: 2, Stage.REVIEWS: 4}
    assert await runnable(database, reviews=["one", DEFAULT_PROJECT]) == {Stage.ACCOUNTS: 2}


async def test_tasks_whose_project_is_not_known_are_runnable_unless_they_were_told_to_wait(database: Database) -> None:
    """As the scheduler releases them."""
    job = await job_with_tasks(database, waiting=3)
    now = await database.read(lambda transaction: transaction.now)
    all_of_it = {Stage.ACCOUNTS: 1, Stage.REVIEWS: 3}
    assert await runnable(database, reviews=[DEFAULT_PROJECT]) == all_of_it
    await set_job(database, job, waiting_until=now + 60.0)
    assert await runnable(database, reviews=[DEFAULT_PROJECT]) == {Stage.ACCOUNTS: 1}
    assert await runnable(database, reviews=["one"]) == all_of_it
    await set_job(database, job, waiting_until=now - 5.0)
    assert await runnable(database, reviews=[DEFAULT_PROJECT]) == all_of_it


async def test_tasks_whose_token_is_being_renewed_are_not_runnable(database: Database) -> None:
    """The scheduler withholds them, and a worker more could do nothing."""

    async def renewing(until: float, *, token_ends: float) -> None:
        job = await job_with_tasks(database, waiting=3)
        now = await database.read(lambda transaction: transaction.now)
        await set_job(database, job, token_refreshable=True, token_expires_at=now + token_ends)
        secrets = {"key_id": "k", "sealed": b"t", "sealed_grant": b"g", "version": 1, "created_at": now}

        def work(transaction: Transaction) -> None:
            of_job = credentials.c.job_id == job
            transaction.connection.execute(delete(credentials).where(of_job))
            leased = {"tenant": "default", "job_id": job, "refreshing_until": now + until}
            transaction.connection.execute(insert(credentials).values(secrets | leased))

        await database.write(work)

    await renewing(60.0, token_ends=-5.0)
    assert await runnable(database) == {}
    await renewing(60.0, token_ends=300.0)
    assert await runnable(database) == {Stage.ACCOUNTS: 1, Stage.REVIEWS: 3}
    await renewing(-5.0, token_ends=-5.0)
    assert await runnable(database) == {Stage.ACCOUNTS: 2, Stage.REVIEWS: 6}


async def test_a_released_task_that_nobody_takes_has_waited_since_it_was_due(database: Database) -> None:
    job = await job_with_tasks(database, held=2, released=3)
    await due(database, job, 400.0)
    found = (await database.read(runnable_by_stage, {}))[Stage.REVIEWS]
    assert found.tasks == 0
    assert found.seconds == pytest.approx(400.0, abs=5.0)


@pytest.mark.parametrize("status", ["waiting", "released"])
async def test_a_task_that_waited_for_quota_is_not_older_than_its_opening(database: Database, status: str) -> None:
    """It is due long before."""
    number = {status: 3}
    job = await job_with_tasks(database, "default", **number)
    await due(database, job, 70_000.0)
    now = await database.read(lambda transaction: transaction.now)
    await set_job(database, job, google_project="one", waiting_until=now - 5.0)
    assert (await database.read(runnable_by_stage, {}))[Stage.REVIEWS].seconds == pytest.approx(5.0, abs=4.0)
    await set_job(database, job, waiting_until=now + 60.0)
    assert (await database.read(runnable_by_stage, {}))[Stage.REVIEWS].seconds == 0.0
    await set_job(database, job, waiting_until=now - 80_000.0)
    assert (await database.read(runnable_by_stage, {}))[Stage.REVIEWS].seconds == pytest.approx(70_000.0, abs=5.0)


@pytest.mark.parametrize("rest", ["paused", "without a token"])
async def test_a_task_of_a_job_that_rested_is_not_older_than_its_going_on(database: Database, rest: str) -> None:
    job = await job_with_tasks(database, "default", waiting=3)
    await due(database, job, 70_000.0)
    if rest == "paused":
        control = JobControl(database, lambda: None)
        await control.pause("default", job)
        await control.resume("default", job)
    else:
        now = await database.read(lambda transaction: transaction.now)
        await database.write(end_refresh, job, 1, NewToken("key-1", b"fresh", b"grant", now, 3600.0))
    await set_job(database, job, status=JobStatus.PROCESSING.value)
    found = (await database.read(runnable_by_stage, {}))[Stage.REVIEWS]
    assert found.tasks == 3
    assert found.seconds == pytest.approx(0.0, abs=5.0)


async def test_runnable_tasks_are_counted_so_far_and_no_further(database: Database) -> None:
    await job_with_tasks(database, waiting=7)
    found = await database.read(runnable_by_stage, {}, 4)
    assert found[Stage.REVIEWS].tasks == 4


async def test_the_job_that_moved_last_is_seen_among_many_that_run(database: Database) -> None:
    for _ in range(2 * JOBS_LOOKED_AT):
        await new_job(database)
    await job_with_tasks(database, waiting=7)
    assert (await runnable(database))[Stage.REVIEWS] == 7


async def test_what_is_runnable_is_found_in_indexes(database: Database) -> None:
    await job_with_tasks(database, waiting=50, held=20, released=20, done=5000)
    plan = "\n".join(await database.write(plans, partial(runnable_by_stage, closed={})))
    assert "ix_tasks_waiting" in plan
    assert "Seq Scan on tasks" not in plan
    assert "SCAN tasks" not in plan


async def test_tokens_that_end_soon_and_cannot_be_renewed_are_counted(database: Database) -> None:
    async def job(ends_in: float, status: JobStatus = JobStatus.PROCESSING, *, refreshable: bool = False) -> None:
        job_id = await new_job(database)
        now = await database.read(lambda transaction: transaction.now)
        expiry = {"token_expires_at": now + ends_in, "token_refreshable": refreshable}
        await set_job(database, job_id, status=status.value, **expiry)

    assert await database.read(tokens_expiring) == 0
    await job(EXPIRING_SECONDS - 5)
    await job(EXPIRING_SECONDS + 60)
    await job(60.0, refreshable=True)
    await job(60.0, JobStatus.PAUSED)
    assert await database.read(tokens_expiring) == 1
