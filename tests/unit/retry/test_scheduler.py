"""The scheduler: what is due, fairly, within its window, and whatever happens around it."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from app.broker.base import BrokerUnavailableError
from app.broker.reach import CUT_OFF_SECONDS
from app.limits.permits import Api, Wait
from app.limits.rules import Limits
from app.limits.spent import SpentBudgets
from app.models.job import Problem, Stage, TaskStatus, Work
from app.models.review import Account, Location
from app.models.settlement import Move, Settlement, SettleOptions
from app.retry.scheduler import IDLE_SECONDS, RECLAIM_SECONDS, RetryScheduler
from app.store.database import StoreUnavailableError, Transaction
from app.store.release import QuotaWait, Window, release
from app.store.schema import jobs, tasks
from app.store.settle import settle
from app.store.sqlite import SqliteDatabase
from app.store.tasks import claim, extend
from app.store.turns import Place, Turn
from tests.support.clock import ManualClock, settle_loop
from tests.support.store import new_job, sqlite_database, take

OPTIONS = SettleOptions(announce=False, token_wait=3600.0)
LIMITS = {str(api): Limits(per_minute=4) for api in Api}


class Topic:
    """A broker that keeps what it is given, and can be away."""

    system = "test"

    def __init__(self) -> None:
        self.works: list[Work] = []
        self.arrived = asyncio.Event()
        self.away = False

    async def publish(self, works: Sequence[Work]) -> None:
        if self.away:
            raise BrokerUnavailableError("away")
        self.works += works
        self.arrived.set()

    def taken(self) -> list[Work]:
        works, self.works = self.works, []
        self.arrived.clear()
        return works


class TellingClock(ManualClock):
    """Tells when somebody has gone to sleep: the store works in threads of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.asleep = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        self.asleep.set()
        await super().sleep(seconds)


class Case:
    """A scheduler over a real store, with a clock that a test moves. All jobs are one tenant's: of `window` it has half
    at most."""

    def __init__(self, database: SqliteDatabase, clock: TellingClock, window: Window) -> None:
        self.database = database
        self.clock = clock
        self.topic = Topic()
        self.spent = SpentBudgets(clock, LIMITS)
        broker: Any = self.topic
        self.scheduler = RetryScheduler(database, broker, clock, self.spent, window)

    async def released(self) -> list[Work]:
        await self.scheduler.release_due()
        return self.topic.taken()

    def is_cut_off(self) -> bool:
        return self.scheduler.cut_off

    async def job_with_locations(self, count: int) -> str:
        """A job whose locations wait to be read."""
        job_id = await new_job(self.database)
        done = Move(TaskStatus.DONE)
        (task,) = [task for task in await take(self.database, Stage.ACCOUNTS) if task.job_id == job_id]
        found = Settlement(task, done, page=True, accounts=[Account("accounts/1", "")])
        await self.database.write(settle, found, OPTIONS)
        (task,) = await take(self.database, Stage.LOCATIONS)
        places = [Location(f"locations/{number}", "", None, None, True) for number in range(count)]
        await self.database.write(settle, Settlement(task, done, page=True, locations=places), OPTIONS)
        return job_id

    async def postpone(self, work: Work, delay: float) -> None:
        """Claim it and settle that it waits."""
        (task,) = await self.database.write(claim, [(work.task_id, work.version)], "worker", 15.0)
        move = Move(TaskStatus.WAITING, delay=delay, attempt=1, error=Problem("http_503", "Google answered 503."))
        await self.database.write(settle, Settlement(task, move), OPTIONS)

    async def statuses(self) -> list[str]:
        def read(transaction: Transaction) -> list[str]:
            return list(transaction.connection.execute(select(tasks.c.status).order_by(tasks.c.id)).scalars())

        return await self.database.read(read)


@asynccontextmanager
async def scheduling(directory: Path, window: int = 100, per_job: int | None = None) -> AsyncIterator[Case]:
    clock = TellingClock()
    async with sqlite_database(directory, clock) as database:
        yield Case(database, clock, Window(total=window, per_job=per_job or window))


@asynccontextmanager
async def running(case: Case) -> AsyncIterator[None]:
    loop = asyncio.create_task(case.scheduler.run())
    try:
        yield
    finally:
        loop.cancel()
        await asyncio.gather(loop, return_exceptions=True)


@pytest.fixture
async def case(tmp_path: Path) -> AsyncIterator[Case]:
    async with scheduling(tmp_path) as case:
        yield case


def name_project(transaction: Transaction, job_id: str, project: str) -> None:
    """As a job's first step does, when Google has told whose quota its token spends."""
    transaction.connection.execute(update(jobs).where(jobs.c.id == job_id).values(google_project=project))


async def test_what_is_due_is_released_once(case: Case) -> None:
    await case.job_with_locations(3)
    released = await case.released()
    assert [work.resource for work in released] == ["locations/0", "locations/1", "locations/2"]
    assert {work.stage for work in released} == {Stage.REVIEWS}
    assert await case.released() == []


async def test_a_retry_is_released_when_it_is_due_and_not_before(case: Case) -> None:
    await case.job_with_locations(1)
    (work,) = await case.released()
    await case.postpone(work, 30.0)
    assert await case.scheduler.release_due() == pytest.approx(case.clock.now() + 30.0)
    assert case.topic.taken() == []
    await case.clock.advance(29.9)
    assert await case.released() == []
    await case.clock.advance(0.1)
    assert [again.task_id for again in await case.released()] == [work.task_id]


async def test_due_times_survive_a_restart(tmp_path: Path) -> None:
    async with scheduling(tmp_path) as case:
        await case.job_with_locations(2)
        first, second = await case.released()
        await case.postpone(first, 30.0)
        moment = case.clock.now()
    async with scheduling(tmp_path) as case:
        assert case.clock.now() == moment
        await case.scheduler.begin()
        assert [work.task_id for work in await case.released()] == [second.task_id]
        await case.clock.advance(30.0)
        assert [work.task_id for work in await case.released()] == [first.task_id]


async def test_no_more_is_released_than_the_window_holds_until_it_is_claimed(tmp_path: Path) -> None:
    async with scheduling(tmp_path, window=6) as case:
        await case.job_with_locations(5)
        released = await case.released()
        assert len(released) == 3
        assert await case.released() == []
        work = released[0]
        await case.database.write(claim, [(work.task_id, work.version)], "worker", 15.0)
        assert [again.resource for again in await case.released()] == ["locations/3"]


async def test_a_small_job_does_not_queue_behind_all_of_a_large_one(tmp_path: Path) -> None:
    async with scheduling(tmp_path, window=8) as case:
        large = await case.job_with_locations(50)
        first = await case.released()
        small = await case.job_with_locations(2)
        second = await released_after(case, first)
        assert [work.job_id for work in first] == [large] * 4
        assert sorted(work.job_id for work in second) == sorted([large, large, small, small])


async def test_one_job_does_not_fill_the_window(tmp_path: Path) -> None:
    async with scheduling(tmp_path, window=8, per_job=3) as case:
        large = await case.job_with_locations(50)
        assert [work.job_id for work in await case.released()] == [large] * 3
        small = await case.job_with_locations(1)
        assert [work.job_id for work in await case.released()] == [small]


async def test_more_jobs_than_one_pass_looks_at_all_have_their_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.store.turns.MOST_JOBS", 3)
    async with scheduling(tmp_path) as case:
        ids = sorted([await new_job(case.database) for _ in range(10)])

        def pause(transaction: Transaction) -> None:
            transaction.connection.execute(update(jobs).where(jobs.c.id != ids[-1]).values(status="paused"))

        await case.database.write(pause)
        passes = [await case.released() for _ in range(5)]
        assert [work.job_id for works in passes for work in works] == [ids[-1]]


@pytest.mark.parametrize("count", [2, 3, 9, 10])
async def test_a_round_over_jobs_that_cannot_be_served_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    monkeypatch.setattr("app.store.turns.MOST_JOBS", 3)
    async with scheduling(tmp_path) as case:
        ids = [await new_job(case.database) for _ in range(count)]
        for job_id in ids:
            await case.database.write(name_project, job_id, "default")
        spent = {"default": QuotaWait("spent", 3600.0)}
        for began in ["", *ids, "zzz"]:
            place, passes, complete = Place(jobs={"default": Turn(began, began)}), 0, False
            while not complete:
                done = await case.database.write(release, Stage.ACCOUNTS, Window(100, 100), place, spent)
                place, complete, passes = done.place, done.complete, passes + 1
                assert passes <= count // 3 + 2, began


async def test_a_wake_up_during_a_round_begins_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.store.turns.MOST_JOBS", 3)
    async with scheduling(tmp_path) as case:
        ids = sorted([await new_job(case.database) for _ in range(10)])
        for job_id in ids:
            await case.database.write(name_project, job_id, "default")
        case.spent.wait_for("default", "accounts", Wait(case.clock.now() + 3600.0, "spent"))
        async with running(case), asyncio.timeout(30):
            await case.clock.asleep.wait()
            for job_id in ids:
                await case.database.write(name_project, job_id, "rich")
                case.scheduler.wake()
                await case.topic.arrived.wait()
                assert [work.job_id for work in case.topic.taken()] == [job_id]


async def released_after(case: Case, works: list[Work]) -> list[Work]:
    """What is released once these were worked on, and wait for long."""
    for work in works:
        await case.postpone(work, delay=3600.0)
    return await case.released()


async def test_jobs_take_turns(tmp_path: Path) -> None:
    async with scheduling(tmp_path, window=12) as case:
        ids = [await case.job_with_locations(10) for _ in range(3)]
        works = await case.released()
        for _ in range(3):
            works += await released_after(case, works[-6:])
        counts = [sum(work.job_id == job_id for work in works) for job_id in ids]
        assert counts == [8, 8, 8]


def _told(transaction: Transaction, job_id: str) -> tuple[str | None, float | None]:
    statement = select(jobs.c.waiting_reason, jobs.c.waiting_until).where(jobs.c.id == job_id)
    row = transaction.connection.execute(statement).one()
    return row.waiting_reason, row.waiting_until


async def test_work_of_a_project_without_quota_stays_and_that_of_others_goes(case: Case) -> None:
    poor, rich = await case.job_with_locations(1), await case.job_with_locations(1)
    await case.database.write(name_project, poor, "default")
    await case.database.write(name_project, rich, "rich")
    case.spent.wait_for("default", "reviews", Wait(case.clock.now() + 20.0, "spent"))
    assert [work.job_id for work in await case.released()] == [rich]
    assert await case.database.read(_told, poor) == ("spent", case.clock.now() + 20.0)
    assert await case.database.read(_told, rich) == (None, None)
    assert await case.scheduler.release_due() == pytest.approx(case.clock.now() + 20.0)
    await case.clock.advance(20.0)
    assert [work.job_id for work in await case.released()] == [poor]


async def test_a_budget_of_another_api_keeps_nothing_back(case: Case) -> None:
    await case.database.write(name_project, await case.job_with_locations(1), "default")
    case.spent.wait_for("default", "locations", Wait(case.clock.now() + 20.0, "spent"))
    assert len(await case.released()) == 1


async def test_what_the_broker_did_not_take_is_released_again_under_another_version(case: Case) -> None:
    await case.job_with_locations(2)
    case.topic.away = True
    with pytest.raises(BrokerUnavailableError):
        await case.scheduler.release_due()
    assert (await case.statuses())[2:] == ["waiting", "waiting"]
    case.topic.away = False
    released = await case.released()
    assert [work.version for work in released] == [3, 3]


async def test_a_broker_that_was_away_gets_all_of_it(case: Case) -> None:
    await case.job_with_locations(2)
    case.topic.away = True
    async with running(case):
        await case.clock.asleep.wait()
        case.topic.away = False
        await case.clock.advance(1.0)
        await case.topic.arrived.wait()
    assert len(case.topic.taken()) == 2


async def test_a_scheduler_that_is_cut_off_from_the_broker_says_so_until_it_takes_something(case: Case) -> None:
    await case.job_with_locations(2)
    case.topic.away = True
    async with running(case):
        await case.clock.asleep.wait()
        assert not case.is_cut_off(), "a broker is restarted now and then"
        await case.clock.advance(CUT_OFF_SECONDS)
        assert case.is_cut_off()
        case.topic.away = False
        while not case.topic.arrived.is_set():  # it may go to sleep only now
            await case.clock.advance(1.0)
        assert not case.is_cut_off()


async def test_a_store_that_was_away_is_asked_again(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    await case.job_with_locations(1)
    write, failures = case.database.write, [StoreUnavailableError("away"), StoreUnavailableError("away")]

    async def failing(*arguments: Any) -> Any:
        if failures:
            raise failures.pop()
        return await write(*arguments)

    monkeypatch.setattr(case.database, "write", failing)
    async with running(case):
        for _ in range(2):
            await settle_loop()
            await case.clock.advance(1.0)
        await case.topic.arrived.wait()
    assert len(case.topic.taken()) == 1


async def test_a_wake_up_is_followed_at_once(case: Case) -> None:
    async with running(case):
        await case.clock.asleep.wait()
        moment = case.clock.now()
        await new_job(case.database)
        case.scheduler.wake()
        async with asyncio.timeout(10):
            await case.topic.arrived.wait()
        assert case.clock.now() == moment


async def test_what_nobody_told_of_is_found_within_a_second(case: Case) -> None:
    async with running(case):
        await case.clock.asleep.wait()
        await new_job(case.database)
        assert case.topic.works == []
        await case.clock.advance(IDLE_SECONDS)
        async with asyncio.timeout(10):
            await case.topic.arrived.wait()


async def test_what_a_dead_holder_had_is_released_again_when_its_lease_has_run_out(case: Case) -> None:
    await case.job_with_locations(1)
    (work,) = await case.released()
    await case.database.write(claim, [(work.task_id, work.version)], "dead", 15.0)
    await case.clock.advance(15.0)
    assert await case.released() == []
    await case.clock.advance(RECLAIM_SECONDS)
    (again,) = await case.released()
    assert (again.task_id, again.version) == (work.task_id, work.version + 3)


async def test_who_lives_and_could_not_say_so_keeps_its_tasks_when_the_store_comes_back(case: Case) -> None:
    await case.job_with_locations(1)
    (work,) = await case.released()
    await case.database.write(claim, [(work.task_id, work.version)], "alive", 15.0)
    await case.clock.advance(60.0)
    async with running(case):
        await case.clock.asleep.wait()
        assert await case.database.write(extend, [work.task_id], "alive", 15.0) == 1
        await case.clock.advance(RECLAIM_SECONDS)
        await settle_loop()
    assert (await case.statuses())[-1] == TaskStatus.HELD


@pytest.mark.parametrize("status", ["paused", "needs_token", "cancelled", "failed"])
async def test_work_of_a_job_that_does_not_run_stays(case: Case, status: str) -> None:
    job_id = await case.job_with_locations(1)

    def stop(transaction: Transaction) -> None:
        transaction.connection.execute(update(jobs).where(jobs.c.id == job_id).values(status=status))

    await case.database.write(stop)
    assert await case.released() == []
