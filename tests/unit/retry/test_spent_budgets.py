"""A scheduler whose workers are other processes: it learns from the store which budgets are spent."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from app.clock import Clock
from app.limits.permits import Api, Permit, Wait
from app.limits.quota import SharedQuota
from app.limits.rules import Limits
from app.limits.spent import SpentBudgets
from app.models.job import Stage, TaskStatus, Work
from app.models.settlement import Move, Settlement, SettleOptions
from app.pipeline.outcome import Snooze, Spent
from app.pipeline.settle import LONGEST_DELAY_SECONDS, Situation, settlement_of
from app.retry.policy import ExponentialBackoffPolicy
from app.retry.scheduler import BUDGETS_SECONDS, RetryScheduler
from app.store.budgets import StoredBudgets, read_budgets
from app.store.database import Transaction
from app.store.release import Window
from app.store.schema import jobs, tasks
from app.store.settle import settle
from app.store.sqlite import SqliteDatabase
from tests.support.clock import ManualClock
from tests.support.store import new_job, sqlite_database, take
from tests.unit.retry.test_scheduler import Topic, name_project

LIMITS = {str(api): Limits(per_minute=4) for api in Api}
OFF: dict[str, Limits] = {}


class DatabaseClock:
    """The true clock, as a database shows it that is `ahead`."""

    def __init__(self, true: Clock, ahead: float) -> None:
        self._true = true
        self._ahead = ahead

    def now(self) -> float:
        return self._true.now() + self._ahead

    def monotonic(self) -> float:
        return self._true.monotonic()

    async def sleep(self, seconds: float) -> None:
        await self._true.sleep(seconds)


class Pair:
    """A scheduler and, in another process, the quota of the workers: one store between them."""

    def __init__(self, database: SqliteDatabase, clock: ManualClock, limits: dict[str, Limits]) -> None:
        self.database = database
        self.clock = clock
        self.quota = SharedQuota(StoredBudgets(database), limits, "worker", clock, lambda: 0.5)
        self.topic = Topic()
        self.scheduler = self.new_scheduler(limits)

    def new_scheduler(self, limits: dict[str, Limits]) -> RetryScheduler:
        broker: Any = self.topic
        return RetryScheduler(self.database, broker, self.clock, SpentBudgets(self.clock, limits), Window(100, 100))

    async def new_job(self) -> str:
        """A job whose project is known."""
        job_id = await new_job(self.database)
        await self.database.write(name_project, job_id, "default")
        return job_id

    async def waiting_job(self) -> tuple[str, Wait]:
        """A job that a worker gave back because the minute is spent; and the wait."""
        job_id, wait = await self.new_job(), await self.spend()
        (task,) = await take(self.database, Stage.ACCOUNTS)
        situation = Situation(ExponentialBackoffPolicy(), self.clock.now())
        back = settlement_of(task, Snooze(wait.until, wait.reason), Spent(), situation)
        await self.database.write(settle, back, SettleOptions(announce=False, token_wait=3600.0))
        return job_id, wait

    async def released(self) -> list[Work]:
        await self.scheduler.release_due()
        return self.topic.taken()

    async def spend(self) -> Wait:
        """Use up the minute."""
        while isinstance(answer := await self.quota.acquire("default", Api.ACCOUNTS, max_wait=0.0), Permit):
            await self.quota.succeeded(answer)
        return answer


@pytest.fixture
async def pair(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Pair]:
    ahead, limits = getattr(request, "param", (0.0, LIMITS))
    clock = ManualClock()
    async with sqlite_database(tmp_path, DatabaseClock(clock, ahead)) as database:
        pair = Pair(database, clock, limits)
        yield pair
        await pair.quota.close()


def told(transaction: Transaction) -> list[tuple[str | None, float | None]]:
    rows = transaction.connection.execute(select(jobs.c.waiting_reason, jobs.c.waiting_until).order_by(jobs.c.id))
    return [(row.waiting_reason, row.waiting_until) for row in rows]


skewed = pytest.mark.parametrize(
    "pair", [(-30.0, LIMITS), (0.0, LIMITS), (30.0, LIMITS)], ids=["behind", "in step", "ahead"], indirect=True
)


@skewed
async def test_what_another_process_spent_is_not_released(pair: Pair) -> None:
    wait = await pair.spend()
    assert wait.until == pytest.approx(pair.clock.now() + 60.5, abs=0.6)
    await pair.clock.advance(BUDGETS_SECONDS)
    for _ in range(5):
        await pair.new_job()
        for _ in range(4):
            assert await pair.released() == []
            await pair.clock.advance(0.25)
    ((reason, until), *_) = await pair.database.read(told)
    assert reason == "the 4 calls of this minute are spent"
    now = await pair.database.read(lambda transaction: transaction.now)
    assert until == pytest.approx(now + wait.until - pair.clock.now(), abs=0.1)


@skewed
async def test_the_opening_is_seen_within_a_second(pair: Pair) -> None:
    wait = await pair.spend()
    await pair.new_job()
    await pair.clock.advance(wait.until - pair.clock.now() - 3.0)
    assert await pair.released() == []
    await pair.clock.advance(3.0)  # 2 seconds before, a worker would have waited for it
    assert len(await pair.released()) == 1


@skewed
async def test_a_wait_that_is_over_is_over(pair: Pair) -> None:
    wait = await pair.spend()
    await pair.clock.advance(wait.until - pair.clock.now() - 0.1)
    assert isinstance(await pair.quota.acquire("default", Api.ACCOUNTS, max_wait=0.0), Wait)
    await pair.clock.advance(0.2)
    assert isinstance(await pair.quota.acquire("default", Api.ACCOUNTS, max_wait=0.0), Permit)


@skewed
async def test_what_a_worker_gave_back_is_kept_back_until_the_opening_and_no_longer(pair: Pair) -> None:
    """Also after a restart: its scheduler knows what the store says alone."""
    _, wait = await pair.waiting_job()
    (told_before,) = await pair.database.read(told)
    while (left := wait.until - pair.clock.now()) > 3.0:
        assert await pair.released() == []
        await pair.clock.advance(min(1.0, left - 3.0))
        if left < 30.0:
            pair.scheduler = pair.new_scheduler(LIMITS)
    assert await pair.database.read(told) == [told_before]
    due = await pair.scheduler.release_due()
    assert due == pytest.approx(wait.until, abs=0.1)
    await pair.clock.advance(3.0)
    assert len(await pair.released()) == 1


@skewed
async def test_with_other_limits_what_waited_goes_on_and_no_longer_says_that_it_waits(pair: Pair) -> None:
    await pair.waiting_job()
    pair.scheduler = pair.new_scheduler({api: Limits(per_minute=400) for api in LIMITS})
    await pair.clock.advance(LONGEST_DELAY_SECONDS)
    assert len(await pair.released()) == 1
    ((_, until),) = await pair.database.read(told)
    assert until is not None
    assert until <= await pair.database.read(lambda transaction: transaction.now)


async def test_a_wait_at_another_stage_is_not_over(pair: Pair) -> None:
    """Nothing waits here for the API that is closed; what the job was told stays."""
    job_id, _ = await pair.waiting_job()
    before = await pair.database.read(told)

    def another_stage(transaction: Transaction) -> None:
        transaction.connection.execute(update(tasks).where(tasks.c.job_id == job_id).values(stage="locations"))

    await pair.database.write(another_stage)
    await pair.clock.advance(LONGEST_DELAY_SECONDS)
    assert len(await pair.released()) == 1
    assert await pair.database.read(told) == before


@pytest.mark.parametrize("pair", [(-30.0, OFF), (30.0, OFF)], ids=["behind", "ahead"], indirect=True)
async def test_a_budget_that_google_closed_is_known_to_the_scheduler(pair: Pair) -> None:
    permit = await pair.quota.acquire("default", Api.ACCOUNTS, max_wait=0.0)
    assert isinstance(permit, Permit)
    wait = await pair.quota.throttled(permit, 20.0)
    assert wait.until == pytest.approx(pair.clock.now() + 20.0, abs=0.1)
    await pair.new_job()
    assert await pair.released() == []
    assert await pair.scheduler.release_due() == pytest.approx(pair.clock.now() + 20.0, abs=0.1)
    await pair.clock.advance(20.1)
    assert len(await pair.released()) == 1


@skewed
async def test_the_scheduler_rests_until_a_retry_is_due_whatever_time_the_database_keeps(pair: Pair) -> None:
    await pair.new_job()
    (task,) = await take(pair.database, Stage.ACCOUNTS)
    again = Settlement(task, Move(TaskStatus.WAITING, delay=30.0))
    await pair.database.write(settle, again, SettleOptions(announce=False, token_wait=3600.0))
    assert await pair.scheduler.release_due() == pytest.approx(pair.clock.now() + 30.0, abs=0.1)
    await pair.clock.advance(30.1)
    assert len(await pair.released()) == 1


async def test_budgets_are_read_a_few_times_a_second_at_most(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    read, reads = pair.database.read, 0

    async def counting(work: Any, *arguments: Any) -> Any:
        nonlocal reads
        reads += work is read_budgets
        return await read(work, *arguments)

    monkeypatch.setattr(pair.database, "read", counting)
    for _ in range(100):
        await pair.scheduler.release_due()
        await pair.clock.advance(0.01)
    assert reads <= 1 / BUDGETS_SECONDS + 1
