"""How much is released, and what is taken back, over every database."""

from collections import Counter

import pytest
from sqlalchemy import update

from app.models.job import DEFAULT_PROJECT, Stage
from app.store.database import Database, Transaction
from app.store.postgresql import PostgresDatabase
from app.store.release import START, QuotaWait, Window, release
from app.store.schema import jobs, tasks
from app.store.tasks import claim, reclaim_expired, reclaim_released
from app.store.tenants import change_tenant
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


async def test_a_flood_of_one_tenants_jobs_does_not_hold_up_another_tenant(database: Database) -> None:
    """Also when it has more jobs than a pass looks at."""
    for _ in range(250):
        await job_with_tasks(database, tenant="flood", waiting=1)
    assert len(await _released(database)) == 4
    small = await job_with_tasks(database, tenant="small", waiting=1)
    assert await _released(database) == {small: 1}


async def test_tenants_share_what_is_out_by_their_weights(database: Database) -> None:
    """What workers hold counts as well as what is released."""
    await database.write(change_tenant, "large", {"weight": 3})
    for tenant in ("large", "small"):
        for _ in range(10):
            await job_with_tasks(database, tenant=tenant, waiting=5)
    released = await database.write(release, Stage.REVIEWS, Window(80, 16))
    assert Counter(work.tenant for work in released.works) == {"large": 41, "small": 13}
    assert {(work.tenant, work.weight) for work in released.works} == {("large", 3), ("small", 1)}
    wanted = [(work.task_id, work.version) for work in released.works]
    await database.write(claim, wanted, "worker-1", 15.0)
    late = await job_with_tasks(database, tenant="late", waiting=100)
    assert (await _released(database))[late] >= 2


async def test_what_a_tenant_does_not_need_is_the_others(database: Database) -> None:
    for number in range(10):
        await job_with_tasks(database, tenant=f"tenant-{number}", waiting=1)
    for _ in range(20):
        await job_with_tasks(database, tenant="flood", waiting=10)
    released = await database.write(release, Stage.REVIEWS, Window(100, 100))
    counts = Counter(work.tenant for work in released.works)
    assert counts.pop("flood") >= 40
    assert counts == {f"tenant-{number}": 1 for number in range(10)}


async def test_more_tenants_than_a_pass_looks_at_all_have_their_turn(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.store.turns.MOST_TENANTS", 3)
    jobs = {await job_with_tasks(database, tenant=f"tenant-{number}", waiting=2) for number in range(10)}
    place, seen = START, Counter[str]()
    for _ in range(10):
        released = await database.write(release, Stage.REVIEWS, Window(4, 1), place)
        place = released.place
        seen.update(work.job_id for work in released.works)
        await database.write(claim, [(work.task_id, work.version) for work in released.works], "worker-1", 15.0)
        if set(seen) == jobs:
            return
    raise AssertionError(seen)


async def test_a_pass_costs_no_more_with_a_hundred_thousand_jobs_and_a_thousand_tenants(database: Database) -> None:
    """Counted in what the database does: statements, and for each the way it takes."""

    def many(transaction: Transaction) -> None:
        row = {"stage": "reviews", "resource": "locations/1", "status": "waiting", "due_at": 1.0}
        flood = [row | {"tenant": "flood", "job_id": f"flood-{number:06}"} for number in range(100_000)]
        others = [row | {"tenant": f"tenant-{number:04}", "job_id": f"job-{number:04}"} for number in range(1000)]
        columns = ("tenant", "job_id", "stage", "resource", "status", "due_at")
        transaction.insert_tuples(tasks, columns, [tuple(one[name] for name in columns) for one in flood + others])
        known = ("id", "tenant", "status", "created_at", "updated_at")
        transaction.insert_tuples(
            jobs, known, [(one["job_id"], one["tenant"], "processing", 1.0, 1.0) for one in flood + others]
        )

    await database.write(many)
    found = await database.write(plans, lambda transaction: release(transaction, Stage.REVIEWS, WINDOW))
    assert len(found) <= 5 + WINDOW.total
    walks = [plan for plan in found if "waiting_" in plan]
    assert walks
    for plan in found:
        assert "Seq Scan on tasks" not in plan
        assert "SCAN tasks" not in plan.replace("SCAN tasks USING", "")
    for plan in walks:
        assert "ix_tasks_waiting" in plan
    released = Counter(work.tenant for work in (await database.write(release, Stage.REVIEWS, WINDOW)).works)
    assert released["flood"] <= 1


SPENT = {DEFAULT_PROJECT: QuotaWait("spent", 3600.0), "poor": QuotaWait("spent", 3600.0)}


async def _change_job(database: Database, job_id: str, *, waiting_in: float | None, project: str | None = None) -> None:
    def change(transaction: Transaction) -> None:
        until = None if waiting_in is None else transaction.now + waiting_in
        changed = update(jobs).where(jobs.c.id == job_id).values(waiting_until=until, google_project=project)
        transaction.connection.execute(changed)

    await database.write(change)


async def _may_go(database: Database, job_id: str) -> bool:
    """Whether it is released while the budgets of `SPENT` are closed; then its tasks wait again."""
    works = (await database.write(release, Stage.REVIEWS, WINDOW, closed=SPENT)).works
    await database.write(reclaim_released)
    return job_id in {work.job_id for work in works}


async def test_a_job_whose_project_is_not_known_goes_on_to_ask_for_it(database: Database) -> None:
    """The budget that is closed is most likely not its own. Once it was told to wait, that moment counts."""
    job = await job_with_tasks(database, waiting=2)
    assert await _may_go(database, job)
    await _change_job(database, job, waiting_in=10.0)
    assert not await _may_go(database, job)
    await _change_job(database, job, waiting_in=-0.1)
    assert await _may_go(database, job)
    for project in SPENT:
        await _change_job(database, job, waiting_in=None, project=project)
        assert not await _may_go(database, job)


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
async def test_no_more_is_released_than_the_window_holds_while_another_settles(
    store: PostgresDatabase, postgresql_database: str
) -> None:
    """A row that is locked and changed meanwhile makes PostgreSQL look again: the choice must not be made twice."""
    await job_with_tasks(store, waiting=100)
    async with held_rows(postgresql_database, "tasks"):
        assert await _released(store) == {}
    assert (await _released(store)).total() == 2


@pytest.mark.postgresql
async def test_a_task_that_is_being_settled_is_not_waited_for_by_who_takes_back(
    store: PostgresDatabase, postgresql_database: str
) -> None:
    await job_with_tasks(store, released=2, held=2)
    async with held_rows(postgresql_database, "tasks"):
        assert await store.write(reclaim_released) == 0
        assert await store.write(reclaim_expired) == 0
    assert await store.write(reclaim_released) == 2
