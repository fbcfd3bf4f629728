"""A tenant's work at a glance, over every database: numbers that a plain model agrees with, and nobody else's."""

import asyncio
import random
import re
from collections import Counter
from functools import partial

import pytest
from sqlalchemy import insert, update

from app.models.job import JobStatus, Stage, TaskStatus
from app.models.settlement import Move, Settlement
from app.results.overview import MINUTES_AVERAGED, MINUTES_SHOWN, Overviews
from app.store.activity import MINUTE, Activity, add_activity
from app.store.control import pause
from app.store.database import Database, Transaction
from app.store.overview import (
    JOBS_LOOKED_AT,
    Waits,
    jobs_by_state_of,
    oldest_waiting_of,
    tokenless_jobs_of,
    waiting_jobs_of,
)
from app.store.schema import jobs, outbox, tasks
from tests.support.jobs import given_up, in_state, settle_one, walked_to_reviews
from tests.support.store import new_job, plans, take

LOOKS = 300
QUIET = {"reviews": 0, "calls": 0, "throttled": 0}


def overviews(database: Database) -> Overviews:
    return Overviews(database, publishes=True)


def _add_jobs(transaction: Transaction, tenant: str, number: Counter[JobStatus]) -> None:
    now = transaction.now
    rows = [
        {
            "id": f"{tenant}-{status}-{at}",
            "tenant": tenant,
            "status": status.value,
            "created_at": now - at,
            "updated_at": now,
        }
        for status, count in number.items()
        for at in range(count)
    ]
    if rows:
        transaction.connection.execute(insert(jobs), rows)


def _add_task(transaction: Transaction, job_id: str, *, due_in: float, stage: Stage = Stage.REVIEWS) -> None:
    row = {"tenant": "default", "job_id": job_id, "stage": stage.value, "resource": f"locations/{job_id}"}
    row |= {"status": TaskStatus.WAITING.value}
    transaction.connection.execute(insert(tasks), [row | {"due_at": transaction.now + due_in}])


async def test_a_tenant_without_jobs_sees_zeros(database: Database) -> None:
    found = await overviews(database).of("nobody")
    assert found.jobs == dict.fromkeys(JobStatus, 0)
    assert (found.oldest_waiting, found.waiting_jobs, found.needs_token) == (None, [], [])
    assert (found.unpublished and found.unpublished.model_dump()) == {"reviews": 0, "seconds": 0.0}
    assert [minute.model_dump(exclude={"minute"}) for minute in found.activity] == [QUIET] * MINUTES_SHOWN


async def test_jobs_are_counted_by_state_for_each_tenant(database: Database) -> None:
    draw = random.Random(5)
    numbers = {tenant: Counter({status: draw.randrange(30) for status in JobStatus}) for tenant in ("default", "other")}
    for tenant, number in numbers.items():
        await database.write(_add_jobs, tenant, number)
    for tenant, number in numbers.items():
        assert (await overviews(database).of(tenant)).jobs == {status: number[status] for status in JobStatus}


async def test_the_last_hour_has_every_minute_and_the_full_ones_make_the_rate(database: Database) -> None:
    now = int((await database.read(lambda transaction: transaction.now)) // MINUTE)
    draw = random.Random(6)
    reviews = {minute: draw.randrange(500) for minute in draw.sample(range(now - 90, now), 60)}
    await database.write(add_activity, [Activity("default", minute, reviews=new) for minute, new in reviews.items()])
    await database.write(add_activity, [Activity("other", now - 3, reviews=1_000_000)])
    found = await overviews(database).of("default")
    last = int(found.generated_at.timestamp() // MINUTE)  # the minute may have changed meanwhile
    shown = range(last - MINUTES_SHOWN + 1, last + 1)
    assert [minute.reviews for minute in found.activity] == [reviews.get(minute, 0) for minute in shown]
    assert [minute.minute.timestamp() for minute in found.activity] == [minute * MINUTE for minute in shown]
    full = [reviews.get(minute, 0) for minute in range(last - MINUTES_AVERAGED, last)]
    assert found.reviews_per_minute == pytest.approx(sum(full) / MINUTES_AVERAGED)


async def test_the_oldest_waiting_work_is_that_of_a_running_job_that_is_due(database: Database) -> None:
    paused, young, late, not_due = [await new_job(database) for _ in range(4)]
    theirs = await new_job(database, "other")
    for job_id, due_in in ((paused, -900.0), (young, -10.0), (late, -600.0), (not_due, 60.0)):
        await database.write(partial(_add_task, due_in=due_in), job_id)
    await database.write(partial(_add_task, due_in=-1200.0), theirs)
    await database.write(pause, "default", paused)
    found = (await overviews(database).of("default")).oldest_waiting
    assert found is not None
    assert (found.job_id, found.stage, found.resource) == (late, Stage.REVIEWS, f"locations/{late}")
    assert 600.0 <= found.seconds < 660.0
    generated = (await overviews(database).of("default")).generated_at
    assert 0 <= (generated - found.since).total_seconds() - found.seconds < 60.0


async def test_work_that_waits_for_quota_is_not_overdue_and_counts_from_the_opening(database: Database) -> None:
    job_id = await new_job(database)
    await database.write(partial(_add_task, due_in=-70_000.0), job_id)

    async def oldest(waiting_in: float) -> float | None:
        def wait(transaction: Transaction) -> None:
            until = transaction.now + waiting_in
            transaction.connection.execute(update(jobs).where(jobs.c.id == job_id).values(waiting_until=until))

        await database.write(wait)
        found = (await overviews(database).of("default")).oldest_waiting
        return None if found is None else found.seconds

    assert await oldest(600.0) is None
    assert await oldest(-5.0) == pytest.approx(5.0, abs=4.0)
    assert await oldest(-80_000.0) == pytest.approx(70_000.0, abs=5.0)


async def test_work_that_a_worker_has_does_not_wait(database: Database) -> None:
    await new_job(database)
    assert (await overviews(database).of("default")).oldest_waiting is not None
    await take(database, Stage.ACCOUNTS)
    assert (await overviews(database).of("default")).oldest_waiting is None


async def test_work_may_be_taken_in_the_moment_of_the_look(database: Database) -> None:
    """Statements of one transaction see each its own moment on PostgreSQL: an answer must not need two of them."""
    job_id = await new_job(database)

    def become(transaction: Transaction, status: TaskStatus) -> None:
        transaction.connection.execute(update(tasks).where(tasks.c.job_id == job_id).values(status=status.value))

    async def taken_and_given_back() -> None:
        for _ in range(LOOKS):
            await database.write(become, TaskStatus.HELD)
            await database.write(become, TaskStatus.WAITING)

    async def looks() -> list[Waits | None]:
        return [await database.read(oldest_waiting_of, "default") for _ in range(LOOKS)]

    found, _ = await asyncio.gather(looks(), taken_and_given_back())
    assert {None if waits is None else waits.job_id for waits in found} <= {None, job_id}


@pytest.mark.parametrize("stage", Stage)
async def test_each_stage_is_looked_at(database: Database, stage: Stage) -> None:
    await database.write(_add_jobs, "default", Counter({JobStatus.PROCESSING: 1}))
    await database.write(partial(_add_task, due_in=-100.0, stage=stage), "default-processing-0")
    found = (await overviews(database).of("default")).oldest_waiting
    assert found is not None
    assert found.stage is stage


async def test_jobs_that_wait_say_why_and_until_when_and_no_longer(database: Database) -> None:
    job = await walked_to_reviews(database, ("locations/1", "locations/2"))
    waits = Settlement(
        job.tasks["locations/1"], Move(TaskStatus.WAITING, delay=600.0), waiting=("the minute is used up", 600.0)
    )
    await settle_one(database, waits)
    (waiting,) = (await overviews(database).of("default")).waiting_jobs
    assert (waiting.job_id, waiting.reason) == (job.id, "the minute is used up")
    assert (await overviews(database).of("other")).waiting_jobs == []
    over = Settlement(job.tasks["locations/2"], Move(TaskStatus.HELD), waiting=("over", -1.0))
    await settle_one(database, over)
    assert (await overviews(database).of("default")).waiting_jobs == []


async def test_of_many_jobs_that_wait_a_few_are_shown(database: Database) -> None:
    await database.write(_add_jobs, "default", Counter({JobStatus.PROCESSING: 30, JobStatus.COMPLETED: 1}))

    def all_wait(transaction: Transaction) -> None:
        transaction.connection.execute(update(jobs).values(waiting_reason="spent", waiting_until=transaction.now + 60))

    await database.write(all_wait)
    found = (await overviews(database).of("default")).waiting_jobs
    oldest = [f"default-processing-{at}" for at in range(29, 19, -1)]
    assert [job.job_id for job in found] == oldest


async def test_jobs_that_need_a_token_are_shown_with_their_cause(database: Database) -> None:
    job_id = await in_state(database, JobStatus.NEEDS_TOKEN)
    found = await overviews(database).of("default")
    (job,) = found.needs_token
    assert (job.job_id, job.error and job.error.type) == (job_id, "token_expired")
    assert job.since <= found.generated_at
    assert (await overviews(database).of("other")).needs_token == []


async def test_what_is_not_published_yet_is_the_tenants_own(database: Database) -> None:
    def announce(transaction: Transaction) -> None:
        page = {"job_id": "job", "location_no": 1, "first_seq": 1, "last_seq": 9}
        rows = [
            page | {"tenant": tenant, "review_count": count, "created_at": transaction.now - age}
            for tenant, count, age in (("default", 40, 30.0), ("other", 7, 900.0), ("default", 2, 10.0))
        ]
        transaction.connection.execute(insert(outbox), rows)

    await database.write(announce)
    found = (await overviews(database).of("default")).unpublished
    assert found is not None
    assert found.reviews == 42
    assert 30.0 <= found.seconds < 90.0
    assert (await Overviews(database, publishes=False).of("default")).unpublished is None


async def test_the_oldest_is_looked_for_in_so_many_jobs_and_no_further(database: Database) -> None:
    """Those submitted first: each costs a look."""
    number = Counter({JobStatus.PROCESSING: JOBS_LOOKED_AT + 1})
    await database.write(_add_jobs, "default", number)
    await database.write(partial(_add_task, due_in=-5.0), "default-processing-0")
    assert (await overviews(database).of("default")).oldest_waiting is None
    await database.write(partial(_add_task, due_in=-5.0), "default-processing-1")
    found = (await overviews(database).of("default")).oldest_waiting
    assert found is not None
    assert found.job_id == "default-processing-1"


async def test_nothing_of_it_reads_all_tasks_or_all_jobs(database: Database) -> None:
    def many_tasks(transaction: Transaction) -> None:
        for job_id, status in (("default-processing-0", "waiting"), ("default-completed-0", "done")):
            row = {"tenant": "default", "job_id": job_id, "stage": "reviews", "status": status, "due_at": 1.0}
            rows = [row | {"resource": f"locations/{at}"} for at in range(5_000)]
            transaction.connection.execute(insert(tasks), rows)

    await database.write(_add_jobs, "default", Counter({JobStatus.COMPLETED: 5_000, JobStatus.PROCESSING: 5}))
    await database.write(_add_jobs, "small", Counter({JobStatus.COMPLETED: 20}))
    await database.write(many_tasks)
    for work in (jobs_by_state_of, waiting_jobs_of, tokenless_jobs_of):
        plan = (await database.write(plans, partial(work, tenant="small")))[-1]
        assert "ix_jobs_tenant_status_created_at_id" in plan
        assert "Seq Scan" not in plan
    plan = (await database.write(plans, partial(oldest_waiting_of, tenant="default")))[-1]
    assert "ix_tasks_waiting" in plan
    assert re.search(r"AND \(?due_at ?= ?(\?|oldest\.due)\)", plan), "the resource is found by the index alone"
    assert "Seq Scan" not in plan
    assert "SCAN tasks" not in plan


async def test_dead_letters_are_counted_by_cause(database: Database) -> None:
    await given_up(database)
    (cause,) = (await Overviews(database, publishes=False).of("default")).dead_letters
    assert (cause.cause, cause.count, cause.parked) == ("http_503", 1, 0)
    assert (await Overviews(database, publishes=False).of("other")).dead_letters == []
